//! @about@. Its settings in `lsrun.yml`, with what they are without any:
//!
//! ```yaml
//! plugins: {settings: {@name@: {config: {standby: false}}}}
//! ```

use lsrun_plugin::prelude::*;
use serde::Deserialize;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::pre_replicate!(run);

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Such as `${STANDBY:-false}`, where another host replicates.
    standby: bool,
}

fn run(plan: &ReplicatePlan) -> Result<(), Error> {
    let names: Vec<String> = plan.databases().iter().map(Database::name).collect();
    may_begin(&names, &settings_as()?)
}

fn may_begin(names: &[String], settings: &Settings) -> Result<(), Error> {
    match settings.standby {
        true => Err(refused(format!("this host is a standby for {}", names.join(", ")))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_refuses() {
        assert!(may_begin(&[], &Settings { standby: false }).is_ok());
        let refused = may_begin(&["default".into()], &Settings { standby: true });
        assert_eq!(refused.unwrap_err().message, "this host is a standby for default");
    }
}
