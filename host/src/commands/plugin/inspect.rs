//! `lsrun plugin inspect`: everything about one plugin.

use std::fmt::Write;

use clap::Args;

use super::{kinds, status};
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::plugin::inspect::{self, InspectedPlugin};
use crate::shown;

#[derive(Debug, Args)]
pub(super) struct InspectArguments {
    /// Its name, or its file in a plugins folder
    #[arg(value_name = "PLUGIN")]
    plugin: String,
}

pub(super) fn run(context: &Context, arguments: &InspectArguments) -> Result<Exit> {
    let plugins = [inspect::named(context, &arguments.plugin)?];
    Ok(super::shown(context, &plugins, &|| plugins.iter().map(details).collect()))
}

/// Everything about one.
pub(super) fn details(plugin: &InspectedPlugin) -> String {
    let mut text = String::new();
    let mut add = |what: &str, value: &str| {
        if !value.is_empty() {
            let _infallible = writeln!(text, "{what:<12}  {}", shown::line(value));
        }
    };
    add("name", &plugin.name);
    add("kind", &kinds(plugin));
    add("version", &plugin.version);
    add("about", &plugin.about);
    add("status", &status(plugin));
    add("file", &plugin.path.as_ref().map(|it| it.display().to_string()).unwrap_or_default());
    add("sha256", plugin.digest.as_deref().unwrap_or_default());
    add("from", plugin.source.as_deref().unwrap_or_default());
    add("lsrun.lock", plugin.lock.unwrap_or_default());
    let databases = plugin.databases.as_ref().map_or("all".to_owned(), |all| all.join(", "));
    add("applies to", &databases);
    for (index, power) in plugin.powers().into_iter().enumerate() {
        add(if index == 0 { "can" } else { "" }, power);
    }
    for (index, one) in plugin.permissions.iter().enumerate() {
        let granted = match one.granted.as_slice() {
            [] => "not granted".to_owned(),
            granted => format!("granted: {}", granted.join(", ")),
        };
        add(if index == 0 { "asks for" } else { "" }, &format!("{} ({granted})", one.asked));
    }
    let missing: Vec<String> = plugin.not_granted().map(|word| format!("\"{word}\"")).collect();
    if !missing.is_empty() {
        let grant = missing.join(", ");
        add(
            "to grant",
            &format!("plugins: {{settings: {{{}: {{grant: [{grant}]}}}}}}", plugin.name),
        );
    }
    for problem in &plugin.problems {
        add("problem", &problem.message);
        add("", &problem.hint.as_ref().map(|hint| format!("hint: {hint}")).unwrap_or_default());
    }
    text
}
