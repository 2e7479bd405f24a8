//! A user's own components: put into `plugins/`, run, and limited.

use crate::support::puppet::Puppet;
use crate::support::{PROJECT, Sandbox, repository};

#[test]
fn a_check_dropped_into_plugins_is_run_by_verify() {
    let sandbox = Sandbox::new();
    sandbox.plugin("row-count");
    let settings = |min: u32| {
        format!(
            "{PROJECT}plugins: {{settings: {{row-count: {{config: {{table: users, min: {min}}}}}}}}}\n"
        )
    };
    sandbox.write("lsrun.yml", &settings(3));
    let json = sandbox.lsrun(&["verify", "--format", "json"]).expect(0).json();
    let checks = json["databases"][0]["checks"].as_array().unwrap();
    let own = checks.iter().find(|check| check["plugin"] == "row-count").unwrap();
    assert_eq!((&own["id"], &own["outcome"]), (&"row-count".into(), &"passed".into()));
    sandbox.write("lsrun.yml", &settings(4));
    sandbox.lsrun(&["verify"]).expect(10).says(&["users has 3 rows, expected at least 4"]);
}

#[test]
fn an_optional_check_is_shown_and_does_not_count() {
    let sandbox = Sandbox::new();
    sandbox.plugin("row-count");
    sandbox.write(
        "lsrun.yml",
        &format!("{PROJECT}plugins: {{settings: {{row-count: {{optional: true, config: {{table: users, min: 9}}}}}}}}\n"),
    );
    sandbox.lsrun(&["verify"]).expect(0).says(&["users has 3 rows", "optional"]);
}

#[test]
fn a_check_applies_to_the_databases_of_its_setting() {
    let sandbox = Sandbox::new();
    sandbox.plugin("row-count");
    sandbox.write(
        "lsrun.yml",
        &format!("{PROJECT}plugins: {{settings: {{row-count: {{databases: [], config: {{table: none}}}}}}}}\n"),
    );
    let json = sandbox.lsrun(&["verify", "--format", "json"]).expect(0).json();
    assert!(!json.to_string().contains("row-count"), "{json}");
}

#[test]
fn what_is_no_component_is_named_and_nothing_is_written() {
    // A core module, an empty one, with nothing but its header.
    let module: &[u8] = b"\0asm\x01\0\0\0";
    let component = std::fs::read(repository().join("tests/compat/0.1.0/row-count.wasm")).unwrap();
    let truncated = &component[..component.len() / 2];
    for (bytes, word) in
        [(&b"hello"[..], "not WebAssembly"), (module, "is a core module"), (truncated, "bad.wasm")]
    {
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.path("plugins")).unwrap();
        std::fs::write(sandbox.path("plugins/bad.wasm"), bytes).unwrap();
        sandbox.lsrun(&["verify"]).expect(30).says(&["bad.wasm", word]);
        assert_eq!(sandbox.names(""), ["db.sqlite3", "lsrun.yml", "plugins", "tmp"]);
        // A command that fires no hooks does not check them.
        sandbox.lsrun(&["config"]).expect(0);
    }
}

#[test]
fn an_import_that_nobody_offers_is_named() {
    let sandbox = Sandbox::new();
    let wat = r#"(component (import "acme:thing/magic@1.0.0" (instance (export "cast" (func))))
      (instance $i) (export "lsrun:plugin/check@0.1.0" (instance $i)))"#;
    sandbox.write("plugins/magic.wasm", "");
    std::fs::write(sandbox.path("plugins/magic.wasm"), wat::parse_str(wat).unwrap()).unwrap();
    sandbox.lsrun(&["verify"]).expect(30).says(&["magic.wasm", "acme:thing/magic"]);
}

/// A check in the text format: `run` gets two handles and a return pointer's worth
/// of result; `body` is what it does.
fn check(body: &str) -> Vec<u8> {
    let wat = format!(
        r#"(component
  (import "lsrun:host/types@0.1.0" (instance $types
    (export "database" (type (sub resource)))
    (export "restored-copy" (type (sub resource)))
    (type $error' (record (field "code" string) (field "message" string)
      (field "hint" (option string)) (field "causes" (list string))))
    (export "error" (type $error (eq $error')))))
  (alias export $types "database" (type $database))
  (alias export $types "restored-copy" (type $copy))
  (alias export $types "error" (type $error))
  (core func $drop-database (canon resource.drop $database))
  (core func $drop-copy (canon resource.drop $copy))
  (core module $m
    (import "host" "drop-database" (func $drop-database (param i32)))
    (import "host" "drop-copy" (func $drop-copy (param i32)))
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
    (func $recurse (param i32) (result i32) (call $recurse (i32.add (local.get 0) (i32.const 1))) (drop) (call $recurse (local.get 0)))
    (func (export "run") (param i32 i32 i32) (result i32) {body}
      (call $drop-database (local.get 1)) (call $drop-copy (local.get 2)) i32.const 2048))
  (core instance $i (instantiate $m (with "host" (instance
    (export "drop-database" (func $drop-database)) (export "drop-copy" (func $drop-copy))))))
  (type $result (result (error $error)))
  (func $run (param "database" (option (own $database))) (param "copy" (own $copy)) (result $result)
    (canon lift (core func $i "run") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (component $shim
    (import "database" (type $database (sub resource)))
    (import "copy" (type $copy (sub resource)))
    (type $error' (record (field "code" string) (field "message" string)
      (field "hint" (option string)) (field "causes" (list string))))
    (import "error" (type $error (eq $error')))
    (import "run" (func $run (param "database" (option (own $database))) (param "copy" (own $copy)) (result (result (error $error)))))
    (export $database' "database" (type $database))
    (export $copy' "restored-copy" (type $copy))
    (export $error'' "error" (type $error))
    (export "run" (func $run) (func (param "database" (option (own $database'))) (param "copy" (own $copy')) (result (result (error $error''))))))
  (instance $check (instantiate $shim
    (with "database" (type $database)) (with "copy" (type $copy)) (with "error" (type $error))
    (with "run" (func $run))))
  (export "lsrun:plugin/check@0.1.0" (instance $check)))"#
    );
    wat::parse_str(&wat).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_plugin_that_misbehaves_is_stopped_and_named_and_the_others_go_on() {
    let sandbox = Sandbox::new();
    sandbox.plugin("row-count");
    let settings = "plugins: {settings: {row-count: {config: {table: users}}}}\n";
    sandbox.write("lsrun.yml", &format!("{PROJECT}{settings}"));
    for (name, body) in [
        ("fine", ""),
        ("loops", "(loop $l (br $l))"),
        ("grows", "(loop $l (drop (memory.grow (i32.const 100))) (br $l))"),
        ("recurses", "(drop (call $recurse (i32.const 0)))"),
        ("traps", "unreachable"),
    ] {
        std::fs::write(sandbox.path(&format!("plugins/{name}.wasm")), check(body)).unwrap();
    }
    sandbox.write("plugins/loops.yml", "limits: {cpu-ms: 200}\n");
    let run = sandbox.lsrun(&["verify", "--format", "json"]).expect(32);
    let json = run.json();
    let of = |name: &str| {
        let checks = json["databases"][0]["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["plugin"] == name).unwrap();
        let text = |key: &str| check[key].as_str().unwrap().to_owned();
        (text("outcome"), text("message"))
    };
    assert_eq!(of("fine").0, "passed");
    assert_eq!(of("row-count").0, "passed");
    for (name, word) in [
        ("loops", "longer than"),
        ("grows", "memory"),
        ("recurses", "stack"),
        ("traps", "unreachable"),
    ] {
        let (outcome, message) = of(name);
        assert_eq!(outcome, "inconclusive", "{name}");
        assert!(message.contains(name) && message.contains(word), "{name}: {message}");
    }
    assert_eq!(of("verify").0, "passed");
}

#[test]
fn rows_keep_their_connection_open_when_its_handle_is_dropped() {
    let sandbox = Sandbox::new();
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i FROM n";
    sandbox.puppets("", &[Puppet::new("reads", &[&format!("orphan {sql}")])]);
    let report = sandbox.lsrun(&["verify", "--format", "json"]).expect(0).json();
    assert_eq!(crate::support::check(&report, "reads/orphan")["message"], "5000");
}

#[test]
fn rows_come_as_json_as_well_and_count_as_rows() {
    let sandbox = Sandbox::new();
    let puppet = |deed: &str| Puppet::new("reads", &[deed]);
    sandbox.puppets("", &[puppet("json SELECT id, name, x'00ff', NULL, 1.5 FROM users LIMIT 2")]);
    let report = sandbox.lsrun(&["verify", "--format", "json"]).expect(0).json();
    assert_eq!(
        crate::support::check(&report, "reads/json")["message"],
        r#"[[1,"ann",{"blob":"00ff"},null,1.5],[2,"bob",{"blob":"00ff"},null,1.5]]"#
    );
    let limits = serde_json::json!({"rows": 2});
    sandbox.puppets("", &[puppet("json SELECT * FROM users").with("limits", limits)]);
    sandbox.lsrun(&["verify"]).expect(32).says(&["more than 2 rows"]);
}

#[test]
fn what_takes_long_to_compile_is_said_once() {
    let sandbox = Sandbox::new();
    sandbox.puppets("", &[Puppet::new("large", &["check x passed"])]);
    let path = sandbox.path("plugins/large.wasm");
    let mut component = std::fs::read(&path).unwrap();
    // A custom section that nobody reads: its id, its size in LEB128, its name, its content.
    let size = 2_u32 << 20;
    component.push(0);
    component.extend([0x80 | (size & 0x7f) as u8, 0x80 | ((size >> 7) & 0x7f) as u8]);
    component.extend([0x80 | ((size >> 14) & 0x7f) as u8, (size >> 21) as u8]);
    component.push(3);
    component.extend(b"pad");
    // Another one in each run of this test: what is compiled is kept.
    component.extend(std::process::id().to_le_bytes());
    component.resize(component.len() + size as usize - 8, 7);
    std::fs::write(path, component).unwrap();
    sandbox.lsrun(&["verify"]).expect(0).says(&["compiling", "large.wasm", "once on this machine"]);
    sandbox.lsrun(&["verify"]).expect(0).says_not("compiling");
}
