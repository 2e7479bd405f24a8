//! An example of a post-restore hook: looks into the copy before it is put in place,
//! and refuses one whose newest row is older than a question in SQL allows. A copy of
//! an older point that was asked for is as old as it should be.
//!
//! ```yaml
//! plugins:
//!   settings:
//!     fresh: {config: {sql: "SELECT max(created) > datetime('now', '-1 day') FROM orders"}}
//! ```

use lsrun_plugin::prelude::*;
use tinyjson::JsonValue;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::post_restore!(run);

fn run(_plan: &RestorePlan, copy: &RestoredCopy) -> Result<(), Error> {
    let Some(sql) = question() else {
        return Err(error("invalid", "fresh needs a query: config: {sql: SELECT …}"));
    };
    if let Some(point) = copy.requested_point() {
        report::log(
            "info",
            &format!("the copy is of {point}, as requested: its age is not checked"),
        );
        return Ok(());
    }
    match sqlite::open_copy(copy)?.integer(&sql)? {
        0 => Err(refused(format!("the copy is too old: {sql}"))),
        _ => Ok(()),
    }
}

fn question() -> Option<String> {
    let settings: JsonValue = settings::get().parse().ok()?;
    let settings: &std::collections::HashMap<String, JsonValue> = settings.get()?;
    settings.get("sql")?.get::<String>().cloned()
}
