//! `lsrun plugin list`: every plugin of the project.

use std::fmt::Write;

use super::{kinds, status};
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::plugin::inspect::{self, InspectedPlugin};
use crate::shown;

pub(super) fn run(context: &Context) -> Result<Exit> {
    let plugins = inspect::all(context);
    Ok(super::shown(context, &plugins, &|| table(&plugins)))
}

/// A line for each.
fn table(plugins: &[InspectedPlugin]) -> String {
    if plugins.is_empty() {
        return "this project has no plugins\n".to_owned();
    }
    let cells = |plugin: &InspectedPlugin| {
        let name = if plugin.name.is_empty() { "-" } else { &plugin.name };
        (shown::line(name).into_owned(), kinds(plugin), status(plugin))
    };
    let rows: Vec<_> = plugins.iter().map(cells).collect();
    let name = rows.iter().map(|row| row.0.chars().count()).chain([4]).max().unwrap_or_default();
    let kind = rows.iter().map(|row| row.1.chars().count()).chain([4]).max().unwrap_or_default();
    let mut text = format!("{:<name$}  {:<kind$}  STATUS\n", "NAME", "KIND");
    for (own, kinds, status) in rows {
        let _infallible = writeln!(text, "{own:<name$}  {kinds:<kind$}  {status}");
    }
    text
}
