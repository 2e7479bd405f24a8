//! What a guest may use of SQLite, seen from a guest.

use crate::support::puppet::Puppet;
use crate::support::{PROJECT, Sandbox, check};

/// A check that opens its database nine times and traps unless exactly the ninth time
/// is refused.
const NINE_CONNECTIONS: &str = r#"(component
  (import "lsrun:host/types@0.1.0" (instance $types
    (export "database" (type (sub resource)))
    (export "restored-copy" (type (sub resource)))
    (type $error' (record (field "code" string) (field "message" string)
      (field "hint" (option string)) (field "causes" (list string))))
    (export "error" (type $error (eq $error')))))
  (alias export $types "database" (type $database))
  (alias export $types "restored-copy" (type $copy))
  (alias export $types "error" (type $error))
  (import "lsrun:host/sqlite@0.1.0" (instance $sqlite
    (alias outer 1 $database (type $d))
    (alias outer 1 $error (type $e))
    (export "connection" (type $connection (sub resource)))
    (export "open" (func (param "database" (borrow $d))
      (result (result (own $connection) (error $e)))))))
  (core func $drop-database (canon resource.drop $database))
  (core func $drop-copy (canon resource.drop $copy))
  (core module $base
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 4096))
  (core instance $b (instantiate $base))
  (alias core export $b "memory" (core memory $memory))
  (alias core export $b "realloc" (core func $realloc))
  (core func $open
    (canon lower (func $sqlite "open") (memory $memory) (realloc $realloc)))
  (core module $m
    (import "host" "drop-database" (func $drop-database (param i32)))
    (import "host" "drop-copy" (func $drop-copy (param i32)))
    (import "host" "open" (func $open (param i32 i32)))
    (import "host" "memory" (memory 1))
    (func (export "run") (param i32 i32 i32) (result i32) (local $i i32)
      (loop $again
        (call $open (local.get 1) (i32.const 3000))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        ;; Refused must be the ninth, and it alone.
        (if (i32.ne (i32.load8_u (i32.const 3000)) (i32.eq (local.get $i) (i32.const 9)))
          (then unreachable))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 9))))
      (call $drop-database (local.get 1)) (call $drop-copy (local.get 2)) i32.const 2048))
  (core instance $i (instantiate $m (with "host" (instance
    (export "drop-database" (func $drop-database)) (export "drop-copy" (func $drop-copy))
    (export "open" (func $open)) (export "memory" (memory $memory))))))
  (type $result (result (error $error)))
  (func $run (param "database" (option (own $database))) (param "copy" (own $copy)) (result $result)
    (canon lift (core func $i "run") (memory (core memory $b "memory"))
      (realloc (core func $b "realloc"))))
  (component $shim
    (import "database" (type $database (sub resource)))
    (import "copy" (type $copy (sub resource)))
    (type $error' (record (field "code" string) (field "message" string)
      (field "hint" (option string)) (field "causes" (list string))))
    (import "error" (type $error (eq $error')))
    (import "run" (func $run (param "database" (option (own $database)))
      (param "copy" (own $copy)) (result (result (error $error)))))
    (export $database' "database" (type $database))
    (export $copy' "restored-copy" (type $copy))
    (export $error'' "error" (type $error))
    (export "run" (func $run) (func (param "database" (option (own $database')))
      (param "copy" (own $copy')) (result (result (error $error''))))))
  (instance $check (instantiate $shim
    (with "database" (type $database)) (with "copy" (type $copy)) (with "error" (type $error))
    (with "run" (func $run))))
  (export "lsrun:plugin/check@0.1.0" (instance $check)))"#;

#[test]
fn a_guest_has_eight_connections() {
    let sandbox = Sandbox::new();
    let component = wat::parse_str(NINE_CONNECTIONS).unwrap_or_else(|error| panic!("{error}"));
    sandbox.write("lsrun.yml", PROJECT);
    sandbox.write("plugins/many.wasm", "");
    std::fs::write(sandbox.path("plugins/many.wasm"), component).unwrap();
    let json = sandbox.lsrun(&["verify", "--format", "json"]).expect(0).json();
    assert_eq!(check(&json, "many")["outcome"], "passed", "{json}");
}

#[test]
fn the_mathematical_functions_are_for_guests_and_assertions_and_not_for_lsruns_checks() {
    let sandbox = Sandbox::new();
    // What an application calls so is its own.
    let application = rusqlite::Connection::open(sandbox.path("db.sqlite3")).unwrap();
    let flags = rusqlite::functions::FunctionFlags::SQLITE_DETERMINISTIC;
    application.create_scalar_function("ceil", 1, flags, |_| Ok("its own")).unwrap();
    application
        .execute_batch(
            "CREATE TABLE t (x REAL); CREATE INDEX i ON t (ceil(x)); INSERT INTO t VALUES (1.5)",
        )
        .unwrap();
    drop(application);
    let assertion = "{name: round, sql: 'select ceil(max(x)) = 2 and pow(2, 3) = 8 from t'}";
    sandbox.puppets(
        &format!("verify: {{assertions: {{default: [{assertion}]}}}}\n"),
        &[Puppet::new("counts", &["json SELECT floor(1.5), ln(-1), mod(7, 4), pi() > 3"])],
    );
    let report = sandbox.lsrun(&["verify", "--format", "json"]).expect(0).json();
    assert_eq!(check(&report, "assertion:round")["outcome"], "passed");
    assert_eq!(check(&report, "counts/json")["message"], "[[1.0,null,3.0,1]]");
    let integrity = check(&report, "integrity_check")["message"].as_str().unwrap();
    assert!(integrity.contains("ceil"), "{integrity}");
    assert_eq!(check(&report, "integrity_check")["outcome"], "passed");
}
