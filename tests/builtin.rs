//! The committed components match the committed sources, and are small.

use std::process::Command;

use crate::support::repository;

#[test]
fn the_committed_components_match_their_sources() {
    let output = Command::new(repository().join("plugins/build")).arg("--check").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_built_in_components_are_small_and_import_no_wasi() {
    for name in ["config", "points", "query", "restore", "verify"] {
        let path = repository().join(format!("host/builtin/{name}.wasm"));
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.len() <= 200_000, "{name}: {} bytes", bytes.len());
        let engine = wasmtime::Engine::default();
        let component = wasmtime::component::Component::new(&engine, &bytes).unwrap();
        for (import, _) in component.component_type().imports(&engine) {
            assert!(import.starts_with("lsrun:host/"), "{name} imports {import}");
        }
    }
}
