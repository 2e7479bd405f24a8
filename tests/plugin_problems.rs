//! What would keep a plugin from running is reported.

use crate::support::puppet::Puppet;
use crate::support::{PROJECT, Sandbox, repository};

/// A project whose one plugin is fine.
fn fine() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.puppets("", &[Puppet::new("fine", &["check x passed"])]);
    sandbox
}

#[test]
fn settings_of_a_plugin_that_does_not_exist_are_an_error() {
    let sandbox = fine();
    sandbox.write("lsrun.yml", &format!("{PROJECT}plugins: {{settings: {{fien: {{}}}}}}\n"));
    sandbox.lsrun(&["verify"]).expect(30).says(&["fien", "did you mean fine?"]);
    assert!(!sandbox.path("replica").exists(), "nothing was done");
    sandbox.write(
        "lsrun.yml",
        &format!("{PROJECT}plugins: {{settings: {{fien: {{optional: true}}}}}}\n"),
    );
    sandbox.lsrun(&["verify"]).expect(0).says(&["fien"]);
}

#[test]
fn a_folder_that_is_named_and_missing_is_an_error() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["verify"]).expect(0);
    sandbox.write("lsrun.yml", &format!("{PROJECT}plugins: {{path: [pluggins]}}\n"));
    sandbox.lsrun(&["verify"]).expect(30).says(&["pluggins does not exist", "plugins.path"]);
}

#[test]
fn a_component_that_is_nothing_of_lsruns_is_an_error() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("plugins")).unwrap();
    let newer = r#"(component (instance $i) (export "lsrun:plugin/verified@0.3.0" (instance $i)))"#;
    for (wat, word) in [("(component)", "exports nothing"), (newer, "lsrun:plugin/verified@0.3.0")]
    {
        std::fs::write(sandbox.path("plugins/odd.wasm"), wat::parse_str(wat).unwrap()).unwrap();
        sandbox.lsrun(&["verify"]).expect(30).says(&["odd.wasm", word]);
    }
}

#[test]
fn files_with_other_endings_are_named() {
    let sandbox = fine();
    let built = repository().join("tests/guests/puppet.wasm");
    std::fs::copy(built, sandbox.path("plugins/Other.WASM")).unwrap();
    sandbox.lsrun(&["verify"]).expect(30).says(&["Other.WASM", ".wasm"]);
    std::fs::remove_file(sandbox.path("plugins/Other.WASM")).unwrap();
    sandbox.write("plugins/fine.yaml", "limits: {cpu-ms: 1000}\n");
    sandbox.lsrun(&["verify"]).expect(30).says(&["fine.yaml", ".yml"]);
}

#[test]
fn a_manifest_that_nobody_reads_is_a_warning() {
    let sandbox = Sandbox::new();
    sandbox.plugin("row-count");
    sandbox.write("plugins/row-count.yml", "limits: {cpu-ms: 1000}\n");
    let settings = "plugins: {settings: {row-count: {config: {table: users}}}}\n";
    sandbox.write("lsrun.yml", &format!("{PROJECT}{settings}"));
    sandbox.lsrun(&["verify"]).expect(0).says(&["row-count.yml is not read"]);
}

#[test]
fn permissions_that_do_not_exist_are_errors_and_grants_without_effect_warnings() {
    let sandbox = Sandbox::new();
    let with = |manifest: &str, grant: &str| {
        let puppet = Puppet::new("fine", &["check x passed"]).manifest(manifest);
        sandbox.puppets("", &[puppet.with("grant", serde_json::json!([grant]))]);
        sandbox.lsrun(&["verify"])
    };
    let asks = "permissions: [\"sqlite:read=*\"]\n";
    with(asks, "sqlite:reed=default").expect(30).says(&["did you mean sqlite:read=?"]);
    with("permissions: [\"litestream:synch\"]\n", "litestream:sync")
        .expect(30)
        .says(&["fine.wasm", "did you mean litestream:sync"]);
    with(asks, "litestream:sync").expect(0).says(&["grants litestream:sync to fine"]);
    with(asks, "sqlite:read=default").expect(0).says_not("grants");
}

#[test]
fn an_optional_plugin_that_cannot_be_loaded_is_a_warning() {
    let sandbox = fine();
    let component = std::fs::read(sandbox.path("plugins/fine.wasm")).unwrap();
    std::fs::write(sandbox.path("plugins/fine.wasm"), &component[..component.len() / 2]).unwrap();
    let settings = |optional: bool| {
        sandbox.write(
            "lsrun.yml",
            &format!("{PROJECT}plugins: {{settings: {{fine: {{optional: {optional}}}}}}}\n"),
        );
    };
    settings(false);
    sandbox.lsrun(&["verify"]).expect(30).says(&["fine.wasm"]);
    settings(true);
    sandbox.lsrun(&["verify"]).expect(0).says(&["warning", "fine.wasm"]);
}

#[test]
fn what_a_command_cannot_fire_is_not_compiled() {
    let sandbox = fine();
    // It exports only what is asked before a restore, and would not compile: its import
    // is not offered.
    let wat = r#"(component
      (import "acme:thing/magic@1.0.0" (instance (export "cast" (func))))
      (instance $i) (export "lsrun:plugin/pre-restore@0.1.0" (instance $i)))"#;
    std::fs::write(sandbox.path("plugins/before.wasm"), wat::parse_str(wat).unwrap()).unwrap();
    sandbox.lsrun(&["verify"]).expect(0);
    sandbox.lsrun(&["restore", "-o", "out", "default"]).expect(30).says(&["acme:thing/magic"]);
}
