//! An example of a check: a table of the restored copy must have at least that many
//! rows, and how many there are is a metric. Its settings in `lsrun.yml`:
//!
//! ```yaml
//! plugins:
//!   settings:
//!     row-count: {config: {table: orders, min: 1}}
//! ```

use lsrun_plugin::prelude::*;
use tinyjson::JsonValue;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::check!(run);

fn run(_database: Option<&Database>, copy: &RestoredCopy) -> Result<(), Error> {
    let settings: JsonValue =
        settings::get().parse().map_err(|_| error("invalid", "the settings are not JSON"))?;
    let (table, min) = wanted(&settings).ok_or_else(|| {
        let mut error = error("invalid", "the settings do not name a table");
        error.hint = Some("write config: {table: orders, min: 1} under row-count".into());
        error
    })?;
    // A name cannot be a parameter; doubled quotes keep it a name.
    let sql = format!("SELECT count(*) FROM \"{}\"", table.replace('"', "\"\""));
    let count = sqlite::open_copy(copy)?.integer(&sql)?;
    report::metric("rows", count as f64)?;
    if count < min {
        return Err(failed(format!("{table} has {count} rows, expected at least {min}")));
    }
    Ok(())
}

fn wanted(settings: &JsonValue) -> Option<(String, i64)> {
    let settings: &std::collections::HashMap<String, JsonValue> = settings.get()?;
    let table = settings.get("table")?.get::<String>()?.clone();
    let min = settings.get("min").and_then(|min| min.get::<f64>()).copied().unwrap_or(1.0);
    Some((table, min as i64))
}
