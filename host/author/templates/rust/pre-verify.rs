//! @about@. Its settings in `lsrun.yml`, with what they are without any:
//!
//! ```yaml
//! plugins: {settings: {@name@: {config: {paused: false}}}}
//! ```

use lsrun_plugin::prelude::*;
use serde::Deserialize;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::pre_verify!(run);

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    paused: bool,
}

fn run(plan: &VerifyPlan) -> Result<(), Error> {
    may_begin(&plan.command(), &settings_as()?)
}

fn may_begin(command: &str, settings: &Settings) -> Result<(), Error> {
    match settings.paused {
        true => Err(refused(format!("{command} is paused in lsrun.yml"))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_refuses() {
        assert!(may_begin("verify", &Settings { paused: false }).is_ok());
        assert_eq!(may_begin("verify", &Settings { paused: true }).unwrap_err().code, "refused");
    }
}
