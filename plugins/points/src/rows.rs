//! `--rows`: how many rows each table had at each point.

use std::collections::BTreeMap;

use lsrun_plugin::host::types::RestorePoint;
use lsrun_plugin::prelude::*;
use lsrun_plugin::{json, tables, words};

use crate::foreign;
use crate::probe::Probe;

/// The points that could be restored, and the counts of each table at them; none where
/// there was no such table.
pub(crate) struct Counts {
    points: Vec<RestorePoint>,
    tables: BTreeMap<String, Vec<Option<u64>>>,
}

/// Restores one point after the other, the oldest first.
pub(crate) fn count(probe: &mut Probe<'_>) -> Result<Counts, Error> {
    let mut counts = Counts { points: Vec::new(), tables: BTreeMap::new() };
    let all = probe.points.len();
    for index in 0..all {
        let counted = |copy: &RestoredCopy| {
            let connection = sqlite::open_copy(copy)?;
            tables::contents(&tables::start(&connection, false)?)
        };
        let Some(contents) = probe.look(index, all - index, counted)? else { continue };
        for table in contents {
            let known = counts.tables.entry(table.table()).or_default();
            known.resize(counts.points.len(), None);
            known.push(Some(table.rows()));
        }
        counts.points.push(probe.points[index].clone());
    }
    for known in counts.tables.values_mut() {
        known.resize(counts.points.len(), None);
    }
    match counts.points.is_empty() {
        true => Err(crate::true_at::unusable(probe)),
        false => Ok(counts),
    }
}

fn changed(counts: &[Option<u64>]) -> bool {
    counts.windows(2).any(|pair| pair[0] != pair[1])
}

/// The points with a number each, then a line for each table.
pub(crate) fn human(name: Option<&str>, source: &str, counts: &Counts) -> String {
    let name = name.map(|name| format!("{name}  ")).unwrap_or_default();
    let mut text = format!("{name}{source}\n");
    let numbers = counts.points.len().to_string().len();
    for (number, point) in (1..).zip(&counts.points) {
        let written = report::local_time(&point.written.rfc3339);
        text += &format!("{number:>numbers$}  TXID {}, written {written}\n", point.txid);
    }
    let figure = |count: &Option<u64>| count.map_or_else(|| "-".to_owned(), words::grouped);
    let mut lines: Vec<Vec<String>> = vec![
        std::iter::once("TABLE".to_owned())
            .chain((1..=counts.points.len()).map(|number| number.to_string()))
            .collect(),
    ];
    for (table, counts) in &counts.tables {
        let mark = if changed(counts) { " *" } else { "" };
        let table = format!("{}{mark}", foreign::line(table));
        lines.push(std::iter::once(table).chain(counts.iter().map(figure)).collect());
    }
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..=counts.points.len()).map_while(width).collect();
    for line in &lines {
        let cells =
            line.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
        text += &format!("{}\n", cells.collect::<Vec<_>>().join("  "));
    }
    let moved = counts.tables.values().filter(|counts| changed(counts)).count();
    text += &format!("{} changed (*)\n", words::count(moved as u64, "table"));
    text
}

/// One line.
pub(crate) fn json(name: Option<&str>, source: &str, counts: &Counts) -> String {
    let quoted = |text: &str| json::string(text);
    let mut fields = vec![("schema_version", "1".to_owned()), ("command", quoted("points"))];
    fields.extend(name.map(|name| ("alias", quoted(name))));
    let points = counts.points.iter().map(|point| {
        let time = quoted(&point.written.rfc3339);
        json::object(&[("txid", quoted(&point.txid)), ("timestamp", time)])
    });
    let tables = counts.tables.iter().map(|(table, counts)| {
        json::object(&[
            ("table", quoted(table)),
            ("changed", changed(counts).to_string()),
            ("rows", json::array(counts.iter().map(|count| json::number(*count)))),
        ])
    });
    fields.extend([
        ("source", quoted(source)),
        ("points", json::array(points)),
        ("tables", json::array(tables)),
    ]);
    format!("{}\n", json::object(&fields))
}
