//! An example of a restored hook: called when a restored copy has been put in place.
//! This one says so on the terminal, after the text that its setting gives.
//!
//! ```yaml
//! plugins:
//!   settings:
//!     announce: {config: {text: "tell the team:"}}
//! ```

use lsrun_plugin::prelude::*;
use tinyjson::JsonValue;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::restored!(run);

fn run(plan: &RestorePlan, replaced: &Replaced) -> Result<(), Error> {
    let Some(text) = text() else {
        return Err(error("invalid", "announce needs a text: config: {text: …}"));
    };
    let point = match replaced.txid() {
        Some(txid) => format!("TXID {txid}"),
        None => "its backup".to_owned(),
    };
    let kept = match replaced.kept() {
        Some(kept) => format!(", the old one is {kept}"),
        None => String::new(),
    };
    let (path, source) = (replaced.path(), plan.source());
    report::log("info", &format!("{text} {path} is at {point} of {source}{kept}"));
    Ok(())
}

fn text() -> Option<String> {
    let settings: JsonValue = settings::get().parse().ok()?;
    let settings: &std::collections::HashMap<String, JsonValue> = settings.get()?;
    settings.get("text")?.get::<String>().cloned()
}
