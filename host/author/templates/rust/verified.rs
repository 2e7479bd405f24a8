//! @about@. Its settings in `lsrun.yml`, with what they are without any, and what it needs:
//!
//! ```yaml
//! plugins:
//!   settings:
//!     @name@:
//!       config: {url: "${WEBHOOK_URL}", always: false}
//!       grant: [http=hooks.example.com]
//! ```

use lsrun_plugin::json;
use lsrun_plugin::prelude::*;
use serde::Deserialize;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::verified!(run);

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    url: String,
    /// Also when the backup is good.
    always: bool,
}

fn run(verification: &Verification) -> Result<(), Error> {
    let settings: Settings = settings_as()?;
    if verification.outcome() == "passed" && !settings.always {
        return Ok(());
    }
    let database = verification.database().map_or(verification.source(), |it| it.name());
    let last = verification.last_proved().map(|at| at.rfc3339);
    let text = message(&verification.host(), &database, &verification.outcome(), last.as_deref());
    let request = http::Request::new("POST", &settings.url);
    request.set_header("Content-Type", "application/json")?;
    request.set_body(json::object(&[("text", json::string(&text))]).as_bytes())?;
    match request.send()?.status() {
        200..300 => Ok(()),
        status => Err(error("unreachable", format!("the message was answered with {status}"))),
    }
}

fn message(host: &str, database: &str, outcome: &str, last: Option<&str>) -> String {
    let last = last.unwrap_or("never");
    format!("{host}: the backup of {database}: {outcome}; last proved good: {last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_that_was_never_good_is_said_to_be() {
        assert!(message("h", "db", "failed", None).ends_with("last proved good: never"));
        assert!(message("h", "db", "failed", Some("x")).contains("backup of db: failed"));
    }
}
