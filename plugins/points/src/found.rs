//! The answer of a search: for people with the commands that restore it, and for machines.

use lsrun_plugin::host::types::RestorePoint;
use lsrun_plugin::prelude::*;
use lsrun_plugin::{json, words};

use crate::foreign;
use crate::probe::Probe;
use crate::search::Last;

/// What was looked for.
pub(crate) enum Search {
    /// The SQL is true.
    Where(String),
    /// The checks pass.
    Good,
}

/// What was found.
pub(crate) struct Answer {
    pub(crate) search: Search,
    pub(crate) last: Last,
    /// At how many points the SQL could not be run.
    pub(crate) failures: usize,
}

pub(crate) fn human(probe: &Probe<'_>, source: &str, answer: &Answer) -> String {
    let Answer { search, last, failures } = answer;
    let name = probe.backup.alias().map(|name| format!("{name}  ")).unwrap_or_default();
    let mut text = format!("{name}{source}\n");
    let found = said(&probe.points[last.index]);
    let what = match search {
        Search::Where(_) => "the SQL is true",
        Search::Good => "the checks pass",
    };
    match &last.next {
        None => {
            let usable = last.index + 1 < probe.points.len();
            let usable = if usable { " that can be used" } else { "" };
            text += &format!("{what} at the newest point{usable}: {found}\n");
        }
        Some((next, why)) => {
            text += &format!("the last point at which {what}: {found}\n");
            let next = said(&probe.points[*next]);
            text += &format!("the next one: {next}\n  {}\n", foreign::indented(why));
        }
    }
    let of = words::count(probe.points.len() as u64, "point");
    text += &format!("{} of {of} tried", probe.tried);
    if *failures > 0 {
        text += &format!("; the SQL failed at {failures}, which counts as false");
    }
    if !probe.unusable.is_empty() {
        let count = words::count(probe.unusable.len() as u64, "point");
        text += &format!("; {count} left out, which cannot be used");
    }
    text.push('\n');
    for (way, command) in probe.backup.commands(&probe.points[last.index].txid) {
        text += &format!("restore it {way}: {command}\n");
    }
    text
}

fn said(point: &RestorePoint) -> String {
    format!("TXID {}, written {}", point.txid, report::local_time(&point.written.rfc3339))
}

/// One line.
pub(crate) fn json(probe: &Probe<'_>, source: &str, answer: &Answer) -> String {
    let Answer { search, last, failures } = answer;
    let quoted = |text: &str| json::string(text);
    let point = |index: usize, why: Option<&str>| {
        let point = &probe.points[index];
        let mut fields =
            vec![("txid", quoted(&point.txid)), ("timestamp", quoted(&point.written.rfc3339))];
        fields.extend(why.map(|why| ("reason", quoted(why))));
        json::object(&fields)
    };
    let mut fields = vec![("schema_version", "1".to_owned()), ("command", quoted("points"))];
    fields.extend(probe.backup.alias().map(|name| ("alias", quoted(&name))));
    fields.push(("source", quoted(source)));
    match search {
        Search::Where(sql) => {
            fields.extend([("search", quoted("last-where")), ("sql", quoted(sql))]);
        }
        Search::Good => fields.push(("search", quoted("last-good"))),
    }
    let next = last.next.as_ref().map(|(next, why)| point(*next, Some(why)));
    let left_out = probe.unusable.iter().map(|(index, why)| point(*index, Some(why)));
    let commands = probe.backup.commands(&probe.points[last.index].txid);
    let restore: Vec<String> = commands.into_iter().map(|(_way, command)| command).collect();
    fields.extend([
        ("found", point(last.index, None)),
        ("next", next.unwrap_or_else(|| "null".to_owned())),
        ("candidates", probe.points.len().to_string()),
        ("tried", probe.tried.to_string()),
        ("sql_failed", failures.to_string()),
        ("left_out", json::array(left_out)),
        ("restore", json::list(&restore)),
    ]);
    format!("{}\n", json::object(&fields))
}
