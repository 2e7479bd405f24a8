//! `lsrun plugin list` and `inspect`: what the plugins of a project are, what they may do,
//! and why one does not run.

use serde_json::{Value, json};

use crate::support::puppet::Puppet;
use crate::support::{PROJECT, Sandbox, repository};

/// Two of the examples: one is granted what it asks for, one is not.
fn two() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.plugin("row-count");
    sandbox.plugin("drill");
    sandbox.write(
        "lsrun.yml",
        &format!("{PROJECT}plugins: {{settings: {{row-count: {{databases: [default]}}}}}}\n"),
    );
    sandbox
}

fn plugin(document: &Value, name: &str) -> Value {
    let plugins = document["plugins"].as_array().unwrap();
    plugins.iter().find(|plugin| plugin["name"] == name).unwrap().clone()
}

#[test]
fn the_list_says_what_runs_and_without_what() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["plugin", "list"]).expect(0).says(&["no plugins"]);
    let sandbox = two();
    let run = sandbox.lsrun(&["plugin", "list"]).expect(0);
    assert_eq!(
        run.stdout,
        "NAME       KIND     STATUS\n\
         drill      command  runs, without litestream:restore\n\
         row-count  check    runs\n"
    );
    let granted = "plugins: {settings: {drill: {grant: ['litestream:restore=*']}}}";
    sandbox.write("lsrun.yml", &format!("{PROJECT}{granted}\n"));
    let document = sandbox.lsrun(&["plugin", "list", "--format", "json"]).expect(0).json();
    assert_eq!(
        plugin(&document, "drill")["permissions"],
        json!([{"permission": "litestream:restore", "granted": ["litestream:restore=*"]}])
    );
}

#[test]
fn one_that_does_not_run_is_listed_with_the_reason() {
    let sandbox = two();
    sandbox.write("plugins/broken.wasm", "no component");
    sandbox.write("plugins/Odd.wasm", "");
    let more = "plugins: {settings: {gone: {}, broken: {optional: true}}}";
    sandbox.write("lsrun.yml", &format!("{PROJECT}{more}\n"));
    let run = sandbox.lsrun(&["plugin", "list"]).expect(30);
    let line = |name: &str| {
        let mut lines = run.stdout.lines();
        lines.find(|line| line.starts_with(name)).unwrap().to_owned()
    };
    assert!(line("gone").contains("does not run: lsrun.yml has settings"), "{}", run.stdout);
    assert!(line("Odd").contains("does not run: "), "{}", run.stdout);
    // An optional one stops nothing.
    sandbox.lsrun(&["plugin", "inspect", "broken"]).expect(0).says(&["is not WebAssembly"]);
    // What the list says is what a run says.
    sandbox.lsrun(&["verify"]).expect(30);
}

#[test]
fn one_is_shown_with_what_it_can_do_and_how_to_grant_what_it_lacks() {
    let sandbox = two();
    let run = sandbox.lsrun(&["plugin", "inspect", "drill"]).expect(0).says(&[
        "drill",
        "command",
        "use litestream, as far as its permissions go",
        "litestream:restore (not granted)",
    ]);
    // The line that it gives works.
    let grant = run.stdout.lines().find_map(|line| line.strip_prefix("to grant")).unwrap();
    sandbox.write("lsrun.yml", &format!("{PROJECT}{}\n", grant.trim()));
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    sandbox.lsrun(&["drill"]).expect(0);
    let file = sandbox.path("plugins/row-count.wasm").display().to_string();
    let document = sandbox.lsrun(&["plugin", "inspect", &file, "--format", "json"]).expect(0);
    let shown = plugin(&document.json(), "row-count");
    assert_eq!(shown["kinds"], json!(["check"]));
    let imports = shown["imports"].to_string();
    assert!(imports.contains("lsrun:host/sqlite@0.1.0"), "{imports}");
    let component = std::fs::read(repository().join("tests/compat/0.1.0/row-count.wasm")).unwrap();
    assert_eq!(shown["sha256"], sha256(&component));
    sandbox.lsrun(&["plugin", "inspect", "row-cuont"]).expect(2).says(&["did you mean row-count?"]);
    sandbox.lsrun(&["plugin", "inspect", "zzz"]).expect(2).says(&["lsrun plugin list"]);
    sandbox.lsrun(&["plugin", "inspect"]).expect(2).says(&["<PLUGIN>"]);
    sandbox.lsrun(&["plugin"]).expect(2).says(&["lsrun plugin --help"]);
    sandbox.lsrun(&["plugin", "list", "x"]).expect(2).says(&["unexpected argument 'x'"]);
    sandbox.lsrun(&["plugin", "inspect", "drill"]).expect(0);
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_a_plugin_says_of_itself_makes_no_lines() {
    let sandbox = Sandbox::new();
    let manifest = "about: \"a\\n✓ b\\e[2J\"\ncommand: {per-database: true}\n";
    sandbox.puppets("", &[Puppet::new("look", &[]).manifest(manifest)]);
    let run = sandbox.lsrun(&["plugin", "inspect", "look"]).expect(0);
    assert!(!run.stdout.contains('\u{1b}'), "{:?}", run.stdout);
    assert!(!run.stdout.lines().any(|line| line.starts_with('✓')), "{}", run.stdout);
}
