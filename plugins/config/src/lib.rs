//! `lsrun config`: prints the Litestream configuration generated from the project file,
//! or what is wrong with it.

mod problems;

use lsrun_plugin::prelude::*;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::command!(run);

/// How long a replica may take to accept a connection, in milliseconds.
const REACH: u64 = 3000;

fn run(invocation: &Invocation) -> Result<(), Error> {
    let json = invocation.argument("format").iter().any(|format| format == "json");
    if invocation.flag("check") {
        return problems::check(json);
    }
    // What is written in the file is the user's own; references stay references.
    let text = config::render_with_secrets(if json { "json" } else { "yaml" })?;
    report::data(text.as_bytes());
    Ok(())
}
