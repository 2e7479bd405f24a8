//! Rows as CSV (RFC 4180).

use lsrun_plugin::host::sqlite::{Rows, Value};
use lsrun_plugin::prelude::*;

use crate::out::{Out, hex};

/// Rows that are taken at once.
const BATCH: u32 = 512;

/// Writes a line of names and one for each row.
pub(crate) fn write(columns: &[String], rows: &Rows) -> Result<(), Error> {
    let mut out = Out::default();
    out.row(&line(columns.iter().map(|name| text(name))));
    loop {
        let batch = rows.next(BATCH)?;
        if batch.is_empty() {
            out.flush();
            return Ok(());
        }
        for row in &batch {
            out.row(&line(row.iter().map(field)));
        }
    }
}

fn line(fields: impl Iterator<Item = String>) -> String {
    format!("{}\r\n", fields.collect::<Vec<_>>().join(","))
}

/// NULL is empty, and an empty text is quoted.
fn field(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(integer) => integer.to_string(),
        Value::Real(real) => format!("{real:?}"),
        Value::Text(own) => text(own),
        Value::Blob(bytes) => hex(bytes),
    }
}

fn text(text: &str) -> String {
    match text.is_empty() || text.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}
