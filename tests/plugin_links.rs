//! What a component imports is held against what lsrun offers before anything is compiled,
//! and each kind of misfit has a hint of its own.

use crate::support::{PROJECT, Sandbox, repository};

/// A check that imports this.
fn check(imports: &str) -> Vec<u8> {
    let wat = format!(
        r#"(component {imports} (instance $i) (export "lsrun:plugin/check@0.1.0" (instance $i)))"#
    );
    wat::parse_str(wat).unwrap()
}

fn importing(name: &str, function: &str) -> Vec<u8> {
    check(&format!(r#"(import "{name}" (instance (export "{function}" (func))))"#))
}

/// What it is, what is said of it, and the hint.
fn misfits() -> Vec<(Vec<u8>, &'static str, &'static str)> {
    const OTHER_WIT: &str = "build it with the wit/ of this lsrun, or for a small world that has only what it uses; or update lsrun";
    vec![
        (
            b"\0asm\x01\0\0\0".to_vec(),
            "odd.wasm is a core module, and plugins are components",
            "build it for wasm32-wasip2, or make a component of it with `wasm-tools component new`",
        ),
        (
            check("(core func (canon context.get i32 0))"),
            "odd.wasm is built for the asynchronous ABI (context.get), which lsrun does not run",
            "build it for WASI 0.2: Rust for wasm32-wasip2, JavaScript with componentize-qjs --sync or componentize-js",
        ),
        (
            importing("wasi:clocks/system-clock@0.3.0", "now"),
            "odd.wasm imports wasi:clocks/system-clock@0.3.0, which lsrun does not offer",
            "build it for WASI 0.2, as wasm32-wasip2 does",
        ),
        (
            importing("wasi:keyvalue/store@0.2.0", "open"),
            "odd.wasm imports wasi:keyvalue/store@0.2.0, which lsrun does not offer",
            "build it without that interface; componentize-js leaves out wasi:http with `-d http fetch-event`",
        ),
        (
            importing("lsrun:host/sqlite@0.2.0", "open"),
            "odd.wasm was built for lsrun:host 0.2.0, and this lsrun offers 0.1.0",
            OTHER_WIT,
        ),
        (
            importing("lsrun:host/report@0.1.9", "sing"),
            "odd.wasm uses lsrun:host/report@0.1.9, of which this lsrun offers another shape: it was built for lsrun:host 0.1.9, and this lsrun has 0.1.0",
            OTHER_WIT,
        ),
        (
            importing("lsrun:moon/light@0.1.0", "shine"),
            "odd.wasm was built for lsrun:moon 0.1.0, and this lsrun offers no such package",
            OTHER_WIT,
        ),
        (
            importing("acme:thing/magic@1.0.0", "cast"),
            "odd.wasm imports acme:thing/magic@1.0.0, which is no interface of lsrun or of WASI",
            "a plugin imports lsrun:host and WASI 0.2 only; build it for a world of wit/plugin.wit, such as check-plugin",
        ),
        (
            wat::parse_str(
                r#"(component (instance $i) (export "lsrun:plugin/verified@0.3.0" (instance $i)))"#,
            )
            .unwrap(),
            "odd.wasm exports lsrun:plugin/verified@0.3.0, and this lsrun has lsrun:plugin 0.1.0",
            "build it with the wit/ of this lsrun, or update lsrun",
        ),
    ]
}

#[test]
fn each_misfit_is_named_by_every_command_and_has_a_hint_that_works() {
    let sandbox = Sandbox::new();
    sandbox.write("lsrun.yml", PROJECT);
    for (bytes, message, hint) in misfits() {
        sandbox.write("plugins/odd.wasm", "");
        std::fs::write(sandbox.path("plugins/odd.wasm"), bytes).unwrap();
        sandbox.lsrun(&["verify"]).expect(30).says(&[message, hint]);
        sandbox.lsrun(&["config", "--check"]).expect(20).says(&[message, hint]);
        sandbox.lsrun(&["plugin", "list"]).expect(30).says(&[message]);
        sandbox.lsrun(&["plugin", "inspect", "odd"]).expect(30).says(&[message, hint]);
        assert!(!sandbox.path("replica").exists(), "nothing was done");
    }
    let built = repository().join("tests/guests/puppet.wasm");
    std::fs::copy(built, sandbox.path("plugins/odd.wasm")).unwrap();
    sandbox.lsrun(&["verify"]).expect(0);
}

/// A component with these pieces of its own code damaged: its type is as it was.
fn with_damaged_code(name: &str) -> Vec<u8> {
    let mut component =
        std::fs::read(repository().join(format!("tests/compat/0.1.0/{name}.wasm"))).unwrap();
    // `local.get 0` and `local.get 1` at the start of expressions: an unknown instruction.
    let code = component.len() / 3;
    component[code..code + 64].fill(0xfe);
    component
}

#[test]
fn what_is_called_after_a_restore_is_known_to_be_good_before_it() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    sandbox.write("plugins/announce.wasm", "");
    std::fs::write(sandbox.path("plugins/announce.wasm"), with_damaged_code("announce")).unwrap();
    // Verify never calls it, and does not read its code.
    sandbox.lsrun(&["verify"]).expect(0);
    sandbox.lsrun(&["restore", "-force", "default"]).expect(30).says(&["announce.wasm"]);
    assert!(sandbox.names("").iter().all(|name| !name.contains("before-restore")));
}

#[test]
fn what_is_not_needed_is_not_compiled() {
    let sandbox = Sandbox::new();
    sandbox.write("plugins/row-count.wasm", "");
    std::fs::write(sandbox.path("plugins/row-count.wasm"), with_damaged_code("row-count")).unwrap();
    sandbox.lsrun(&["verify", "--check", "integrity_check"]).expect(0);
    sandbox
        .lsrun(&["verify"])
        .expect(30)
        .says(&["row-count", "not a component that lsrun can run"]);
    // Neither is one that is for other databases.
    let settings = "plugins: {settings: {row-count: {databases: [other]}}}\n";
    sandbox.write(
        "lsrun.yml",
        &format!(
            "{}{settings}",
            PROJECT.replace("databases:\n", "databases:\n  other: other.sqlite3\n")
        ),
    );
    sandbox.lsrun(&["verify", "default"]).expect(0);
}
