//! @about@.

use lsrun_plugin::prelude::*;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::not_restored!(run);

fn run(plan: &RestorePlan, reason: &Error) -> Result<(), Error> {
    report::log("warning", &message(&plan.source(), reason));
    Ok(())
}

fn message(source: &str, reason: &Error) -> String {
    format!("nothing was restored from {source}: {}", reason.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_named() {
        assert!(message("a", &failed("too few rows")).ends_with("from a: too few rows"));
    }
}
