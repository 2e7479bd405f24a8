//! Rows as a JSON document on one line. The values have the form of `rows.next-json`,
//! and go through as the host writes them.

use lsrun_plugin::backup::Backup;
use lsrun_plugin::host::sqlite::Rows;
use lsrun_plugin::json;
use lsrun_plugin::prelude::*;

use crate::out::Out;

/// Rows that are taken at once.
const BATCH: u32 = 512;

pub(crate) fn write(
    backup: &Backup,
    copy: &RestoredCopy,
    columns: &[String],
    rows: &Rows,
) -> Result<(), Error> {
    let mut fields = vec![("schema_version", "1".to_owned()), ("command", json::string("query"))];
    fields.extend(backup.alias().map(|alias| ("alias", json::string(&alias))));
    fields.extend([
        ("txid", json::optional(copy.txid().as_deref())),
        ("timestamp", json::optional(copy.written().as_deref())),
        ("columns", json::list(columns)),
    ]);
    let head = json::object(&fields);
    let mut out = Out::default();
    out.row(head.strip_suffix('}').unwrap_or(&head));
    out.row(",\"rows\":[");
    let mut between = "";
    loop {
        let batch = rows.next_json(BATCH)?;
        let inner = batch.strip_prefix('[').and_then(|batch| batch.strip_suffix(']'));
        let Some(inner) = inner.filter(|inner| !inner.is_empty()) else { break };
        out.row(&format!("{between}{inner}"));
        between = ",";
    }
    out.row("]}\n");
    out.flush();
    Ok(())
}
