//! @about@.

use lsrun_plugin::prelude::*;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::replicated!(run);

fn run(replication: &Replication) -> Result<(), Error> {
    report::log("info", &message(&replication.reason(), replication.exit_code()));
    Ok(())
}

fn message(reason: &str, code: u8) -> String {
    let why = match reason {
        "application" => "the application ended",
        "daemon" => "litestream ended by itself",
        "signal" => "it was asked to end",
        _ => "it could not go on",
    };
    format!("the replication is over: {why} (code {code})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_reason_is_the_general_case() {
        assert!(message("daemon", 1).contains("by itself"));
        assert!(message("something new", 1).contains("could not go on"));
    }
}
