//! Permissions that are refused, asked for and granted one by one, and components of
//! another lsrun.

use crate::support::{PROJECT, Run, Sandbox, repository};

/// A component whose manifest nobody finds.
fn without_manifest(mut component: Vec<u8>) -> Vec<u8> {
    const SECTION: &[u8] = b"lsrun:manifest";
    let at = component.windows(SECTION.len()).position(|it| it == SECTION).unwrap();
    component[at..at + SECTION.len()].copy_from_slice(b"lsrun-manifest");
    component
}

/// What is between the words `before` and `"` in the output of a run.
fn between(run: &Run, before: &str) -> Option<String> {
    let all = format!("{}{}", run.stdout, run.stderr);
    let (_, after) = all.split_once(before)?;
    Some(after.split_once('"')?.0.to_owned())
}

#[test]
fn asking_and_granting_word_by_word_lets_it_run() {
    let sandbox = Sandbox::new();
    let built = std::fs::read(repository().join("host/builtin/verify.wasm")).unwrap();
    sandbox.write("plugins/proof.wasm", "");
    std::fs::write(sandbox.path("plugins/proof.wasm"), without_manifest(built)).unwrap();
    let (mut asked, mut granted) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let manifest = serde_json::json!({
            "command": { "per-database": true }, "limits": { "timeout-ms": 60_000 }, "permissions": asked,
        });
        sandbox.write("plugins/proof.yml", &manifest.to_string());
        let settings = serde_json::json!({ "settings": { "proof": { "grant": granted } } });
        sandbox.write("lsrun.yml", &format!("{PROJECT}plugins: {settings}\n"));
        let run = sandbox.lsrun(&["proof"]);
        if run.code == 0 {
            assert!(!asked.is_empty() && asked == granted, "{asked:?} {granted:?}");
            return;
        }
        let run = run.says(&["plugin proof may not "]);
        let ask = between(&run, "its manifest does not ask for it: add \"");
        let grant = between(&run, "add to lsrun.yml: plugins: {settings: {proof: {grant: [\"");
        asked.extend(ask);
        granted.extend(grant);
    }
    panic!("it is still refused: {asked:?} {granted:?}");
}
