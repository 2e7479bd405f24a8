//! `lsrun points`: what a backup can be restored to.

mod chosen;
mod shown;

use lsrun_plugin::host::litestream::RestoreRequest;
use lsrun_plugin::prelude::*;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::command!(run);

fn run(invocation: &Invocation) -> Result<(), Error> {
    let value = |name: &str| invocation.argument(name).into_iter().next();
    let (request, name) = match invocation.databases().first() {
        Some(database) => (RestoreRequest::new(database), Some(database.name())),
        None => {
            let url = value("url").ok_or_else(|| error("invalid", "no database was given"))?;
            (RestoreRequest::from_url(&url)?, None)
        }
    };
    let mut found = request.points()?;
    let number = |name: &str| value(name).and_then(|value| value.parse::<i64>().ok());
    if let Some(every) = number("every") {
        chosen::last_of_each(&mut found, every);
    }
    if let Some(limit) = number("limit").and_then(|limit| usize::try_from(limit).ok()) {
        chosen::newest(&mut found, limit);
    }
    let for_machines = invocation.flag("json") || value("format").as_deref() == Some("json");
    let text = match for_machines {
        true => shown::json(name.as_deref(), &found),
        false => shown::human(name.as_deref(), &found),
    };
    report::data(text.as_bytes());
    Ok(())
}
