//! @about@.

use lsrun_plugin::prelude::*;

lsrun_plugin::manifest!("../manifest.yml");
lsrun_plugin::restored!(run);

fn run(plan: &RestorePlan, replaced: &Replaced) -> Result<(), Error> {
    let kept = replaced.kept();
    report::log("info", &message(&plan.source(), &replaced.path(), kept.as_deref()));
    Ok(())
}

fn message(source: &str, path: &str, kept: Option<&str>) -> String {
    match kept {
        Some(kept) => format!("{path} is restored from {source}; the old one is {kept}"),
        None => format!("{path} is restored from {source}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_database_is_named() {
        assert!(message("a", "b", Some("c")).ends_with("the old one is c"));
        assert!(!message("a", "b", None).contains("old"));
    }
}
