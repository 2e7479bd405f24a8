//! `lsrun plugin lock`: writes lsrun.lock from what is in the plugins folders.

use std::fmt::Write;

use clap::Args;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::plugin::inspect;
use crate::plugin::lock::Lock;
use crate::plugin::locking::{self, Locking};
use crate::report::event::Event;
use crate::shown;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lsrun plugin lock                    all of them, as they are now
  lsrun plugin lock row-count          only this one")]
pub(super) struct LockArguments {
    /// Only these; all of them, and no others, if none is given
    #[arg(value_name = "PLUGIN")]
    plugins: Vec<String>,
}

pub(super) fn run(context: &Context, arguments: &LockArguments) -> Result<Exit> {
    let Locking { lock, changes } = locking::renewed(context, &arguments.plugins)?;
    lock.write(context)?;
    let human = || {
        let mut text = format!("{} has {}\n", Lock::path(context).display(), count(&lock));
        for change in &changes {
            let _infallible = writeln!(text, "  {}", shown::line(change));
        }
        text
    };
    context.reporter.report(Event::Answer {
        human: &human,
        json: &|| inspect::json::render(&inspect::all(context)),
        lines: None,
    });
    Ok(Exit::Success)
}

fn count(lock: &Lock) -> String {
    match lock.plugins.len() {
        1 => "1 plugin".to_owned(),
        count => format!("{count} plugins"),
    }
}
