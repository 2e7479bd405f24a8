//! `lsrun points`: what a backup can be restored to, and what is there at those points.

mod chosen;
// The one filter for text from outside is the host's; a copy of it would go another way.
#[path = "../../../host/src/shown.rs"]
#[allow(dead_code, reason = "the host uses all of it")]
mod foreign;
mod found;
mod good;
mod probe;
mod rows;
mod search;
mod shown;
mod true_at;

use lsrun_plugin::backup::Backup;
use lsrun_plugin::prelude::*;

use probe::Probe;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::command!(run);

/// Points that `--rows` restores if nothing else is said.
const ROWS: usize = 10;

fn run(invocation: &Invocation) -> Result<(), Error> {
    let value = |name: &str| invocation.argument(name).into_iter().next();
    let sql = value("last-where");
    let (good, rows) = (invocation.flag("last-good"), invocation.flag("rows"));
    if usize::from(sql.is_some()) + usize::from(good) + usize::from(rows) > 1 {
        return Err(error("invalid", "use one of --last-where, --last-good and --rows"));
    }
    let backup = Backup::of(invocation)?;
    let mut found = backup.request()?.points()?;
    let number = |name: &str| value(name).and_then(|value| value.parse::<i64>().ok());
    if let Some(every) = number("every") {
        chosen::last_of_each(&mut found, every);
    }
    let limit = number("limit").and_then(|limit| usize::try_from(limit).ok());
    if rows {
        chosen::spread(&mut found, limit.unwrap_or(ROWS));
    } else if let Some(limit) = limit {
        chosen::newest(&mut found, limit);
    }
    let for_machines = invocation.flag("json") || value("format").as_deref() == Some("json");
    let name = backup.alias();
    let text = if rows {
        let mut probe = Probe::new(&backup, &found.points);
        let counts = rows::count(&mut probe)?;
        match for_machines {
            true => rows::json(name.as_deref(), &found.source, &counts),
            false => rows::human(name.as_deref(), &found.source, &counts),
        }
    } else if sql.is_some() || good {
        let mut probe = Probe::new(&backup, &found.points);
        let answer = match &sql {
            Some(sql) => true_at::last(&mut probe, sql)?,
            None => good::last(&mut probe)?,
        };
        match for_machines {
            true => found::json(&probe, &found.source, &answer),
            false => found::human(&probe, &found.source, &answer),
        }
    } else {
        match for_machines {
            true => shown::json(name.as_deref(), &found),
            false => shown::human(name.as_deref(), &found),
        }
    };
    report::data(text.as_bytes());
    Ok(())
}
