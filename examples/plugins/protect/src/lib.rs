//! An example of a pre-restore hook: nobody replaces an existing database, by
//! hand at three in the morning, without taking this hook away first. Restores to
//! other files, and to paths where no database exists, go on.
//!
//! ```yaml
//! plugins:
//!   settings:
//!     protect: {config: {reason: "ask the person on call"}}
//! ```

use lsrun_plugin::prelude::*;
use tinyjson::JsonValue;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::pre_restore!(run);

fn run(plan: &RestorePlan) -> Result<(), Error> {
    let own = plan.database().map(|database| database.path());
    if !plan.replaces() || plan.target() != own {
        return Ok(());
    }
    let reason = reason().unwrap_or_else(|| "it is protected".into());
    Err(refused(format!("{} would be replaced: {reason}", plan.target().unwrap_or_default())))
}

fn reason() -> Option<String> {
    let settings: JsonValue = settings::get().parse().ok()?;
    let settings: &std::collections::HashMap<String, JsonValue> = settings.get()?;
    settings.get("reason")?.get::<String>().cloned()
}
