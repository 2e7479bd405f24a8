//! Rows as a table for people.

use lsrun_plugin::host::sqlite::{Rows, Value};
use lsrun_plugin::prelude::*;
use lsrun_plugin::words;
use unicode_width::UnicodeWidthStr;

use crate::foreign;
use crate::out::{Out, hex};

/// Rows that decide how wide the columns are; what follows is aligned as far as it fits.
const MEASURED: usize = 500;
/// Rows that are taken at once.
const BATCH: u32 = 512;
/// The longest text of a value, in characters, and bytes of a blob.
const WIDEST: usize = 60;
const BYTES: usize = 16;

/// Writes the names, the rows and how many there were. `full` shortens nothing.
pub(crate) fn write(columns: &[String], rows: &Rows, full: bool) -> Result<(), Error> {
    let names: Vec<Cell> =
        columns.iter().map(|name| Cell { text: shown(name, full), number: false }).collect();
    let mut widths: Vec<usize> = names.iter().map(|name| name.text.width()).collect();
    let mut out = Out::default();
    let mut first = Vec::new();
    let mut count: u64 = 0;
    let mut begun = false;
    loop {
        let batch = rows.next(BATCH)?;
        let ended = batch.is_empty();
        count += batch.len() as u64;
        let batch: Vec<Vec<Cell>> = batch
            .iter()
            .map(|row| row.iter().map(|value| Cell::of(value, full)).collect())
            .collect();
        if !begun {
            for row in &batch {
                for (width, cell) in widths.iter_mut().zip(row) {
                    *width = (*width).max(cell.text.width());
                }
            }
            first.extend(batch);
            if !ended && first.len() < MEASURED {
                continue;
            }
            begun = true;
            head(&mut out, &names, &widths);
            for row in first.drain(..) {
                out.row(&line(&row, &widths));
            }
        } else {
            for row in &batch {
                out.row(&line(row, &widths));
            }
        }
        if ended {
            out.row(&format!("({})\n", words::count(count, "row")));
            out.flush();
            return Ok(());
        }
    }
}

fn head(out: &mut Out, names: &[Cell], widths: &[usize]) {
    out.row(&line(names, widths));
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat((*width).max(1))).collect();
    out.row(&format!("{}\n", rule.join("  ")));
}

/// A value as it is shown.
struct Cell {
    text: String,
    number: bool,
}

impl Cell {
    fn of(value: &Value, full: bool) -> Self {
        let number = matches!(value, Value::Integer(_) | Value::Real(_));
        let text = match value {
            Value::Null => "NULL".to_owned(),
            Value::Integer(integer) => integer.to_string(),
            Value::Real(real) => format!("{real:?}"),
            // Not to be taken for NULL.
            Value::Text(text) if text == "NULL" => "'NULL'".to_owned(),
            Value::Text(text) => shown(text, full),
            Value::Blob(bytes) => {
                let some = if full { bytes.as_slice() } else { &bytes[..bytes.len().min(BYTES)] };
                let digits = hex(some);
                match some.len() < bytes.len() {
                    true => format!("x'{digits}…' ({})", words::bytes(bytes.len() as u64)),
                    false => format!("x'{digits}'"),
                }
            }
        };
        Self { text, number }
    }
}

/// Text from outside on one line, shortened unless it is wanted in full.
fn shown(text: &str, full: bool) -> String {
    if full {
        return foreign::line(text).into_owned();
    }
    let end = text.char_indices().nth(WIDEST).map_or(text.len(), |(end, _)| end);
    let line = foreign::line(&text[..end]);
    match line.char_indices().nth(WIDEST) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None if end < text.len() => format!("{line}…"),
        None => line.into_owned(),
    }
}

fn line(cells: &[Cell], widths: &[usize]) -> String {
    let mut line = String::new();
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let gap = " ".repeat(width.saturating_sub(cell.text.width()));
        let last = index + 1 == cells.len();
        match (cell.number, last) {
            (true, _) => line.extend([gap.as_str(), cell.text.as_str()]),
            (false, true) => line.push_str(&cell.text),
            (false, false) => line.extend([cell.text.as_str(), gap.as_str()]),
        }
        if !last {
            line.push_str("  ");
        }
    }
    line.push('\n');
    line
}
