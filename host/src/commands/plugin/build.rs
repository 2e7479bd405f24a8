//! `lsrun plugin build`: builds a plugin with its language's own tools.

use std::path::PathBuf;

use clap::Args;

use super::pack::packed;
use crate::author::{self, Built};
use crate::commands::Run;
use crate::error::Result;
use crate::exit::Exit;
use crate::report::event::Event;

#[derive(Debug, Args)]
pub(super) struct BuildArguments {
    /// The folder of its project
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

pub(super) async fn run(run: &Run, arguments: &BuildArguments) -> Result<Exit> {
    let dir = run.start.cwd.join(&arguments.dir);
    let notes = run.reporter.notes();
    let Built { path, kinds, bytes } =
        author::build(&dir, &run.start.environment, |line| notes.note(&format!("+ {line}")))
            .await?;
    run.reporter.report(Event::Text(&packed(&path, &kinds, bytes)));
    Ok(Exit::Success)
}
