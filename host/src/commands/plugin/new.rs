//! `lsrun plugin new`: the project of a new plugin.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;

use crate::author::{self, Language, NewPlugin};
use crate::commands::Run;
use crate::error::Result;
use crate::exit::Exit;
use crate::plugin::all_words;
use crate::report::event::Event;

#[derive(Debug, Args)]
pub(super) struct NewArguments {
    /// The plugin's name: letters a to z, digits, `-` and `_`
    #[arg(value_name = "NAME")]
    name: String,
    #[arg(long, value_name = "KIND", help = format!("What it is: {}", all_words().join(", ")))]
    kind: String,
    /// What it is written in
    #[arg(long = "lang", value_name = "LANGUAGE")]
    language: Language,
    /// The new folder [default: the plugin's name]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(run: &Run, arguments: &NewArguments) -> Result<Exit> {
    let NewArguments { name, kind, language, dir } = arguments;
    let dir = dir.clone().unwrap_or_else(|| name.into());
    let plugin = NewPlugin { name, kind, language: *language };
    let files = author::create(&run.start.cwd.join(&dir), &plugin)?;
    let mut text = String::new();
    let own = |path: &&PathBuf| !path.starts_with("vendor") && !path.starts_with("wit/deps");
    for path in files.iter().filter(own) {
        let _infallible = writeln!(text, "{}", dir.join(path).display());
    }
    let readme = dir.join("README.md");
    let _infallible = writeln!(text, "next: {} has the four commands", readme.display());
    run.reporter.report(Event::Text(&text));
    Ok(Exit::Success)
}
