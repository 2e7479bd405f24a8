//! `lsrun config`: prints the Litestream configuration that the project file gives.

use lsrun_plugin::prelude::*;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::command!(run);

fn run(invocation: &Invocation) -> Result<(), Error> {
    let json = invocation.argument("format").iter().any(|format| format == "json");
    // What stands in the file is the user's own; references stay references.
    let text = config::render_with_secrets(if json { "json" } else { "yaml" })?;
    report::data(text.as_bytes());
    Ok(())
}
