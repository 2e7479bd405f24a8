//! @about@. Its settings in `lsrun.yml`, with what they are without any:
//!
//! ```yaml
//! plugins: {settings: {@name@: {config: {table: users, min: 1}}}}
//! ```

use lsrun_plugin::prelude::*;
use serde::Deserialize;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::post_restore!(run);

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    table: String,
    min: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { table: "users".into(), min: 1 }
    }
}

fn run(_plan: &RestorePlan, copy: &RestoredCopy) -> Result<(), Error> {
    enough_rows(&sqlite::open_copy(copy)?, &settings_as()?)
}

fn enough_rows(copy: &impl Query, Settings { table, min }: &Settings) -> Result<(), Error> {
    // A name cannot be a parameter; doubled quotes keep it a name.
    let sql = format!("SELECT count(*) FROM \"{}\"", table.replace('"', "\"\""));
    let count = copy.integer(&sql)?;
    if count < *min {
        return Err(refused(format!("{table} has {count} rows, expected at least {min}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lsrun_plugin::testing::Answers;

    use super::*;

    #[test]
    fn a_copy_with_too_few_rows_is_not_put_in_place() {
        let of = |count: i64| {
            let copy = Answers::default().to("SELECT count(*) FROM \"users\"", [[count]]);
            enough_rows(&copy, &Settings::default())
        };
        assert!(of(1).is_ok());
        assert_eq!(of(0).unwrap_err().code, "refused");
    }
}
