//! @about@. Its settings in `lsrun.yml`, with what they are without any:
//!
//! ```yaml
//! plugins: {settings: {@name@: {config: {most_ahead: 0}}}}
//! ```

use lsrun_plugin::prelude::*;
use serde::Deserialize;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::pre_restore!(run);

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    most_ahead: u64,
}

fn run(plan: &RestorePlan) -> Result<(), Error> {
    let ahead = plan.present().and_then(|present| present.ahead());
    few_enough(ahead, &settings_as()?)
}

fn few_enough(ahead: Option<u64>, settings: &Settings) -> Result<(), Error> {
    match ahead {
        Some(ahead) if ahead > settings.most_ahead => {
            Err(refused(format!("the current database has {ahead} transactions more")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_lost_is_kept() {
        let settings = Settings { most_ahead: 1 };
        assert!(few_enough(None, &settings).is_ok());
        assert!(few_enough(Some(1), &settings).is_ok());
        assert_eq!(few_enough(Some(2), &settings).unwrap_err().code, "refused");
    }
}
