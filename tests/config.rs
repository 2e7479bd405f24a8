//! `lsrun config`.

use crate::support::Sandbox;

#[test]
fn config_prints_yaml_or_json_without_binary_or_credentials() {
    let sandbox = Sandbox::empty();
    sandbox.write("lsrun.yml", "databases: {default: db.sqlite3}\n");
    let run = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        // No litestream, no network, no cache.
        command.env("LSRUN_LITESTREAM", "/nowhere/litestream").env("LSRUN_CACHE_DIR", "/proc/none");
        crate::support::Run::from(command.output().unwrap())
    };
    let yaml = run(&["config"]).expect(0);
    let parsed: serde_yaml::Value = serde_yaml::from_str(&yaml.stdout).unwrap();
    assert_eq!(parsed["dbs"][0]["path"], sandbox.path("db.sqlite3").to_str().unwrap());
    assert_eq!(parsed["dbs"][0]["replica"]["bucket"], "$LITESTREAM_REPLICA_BUCKET");
    assert_eq!(yaml.stderr, "");
    for arguments in [&["--format", "json", "config"][..], &["config", "--format=json"]] {
        let json = run(arguments).expect(0).json();
        assert_eq!(json["dbs"][0]["replica"]["path"], "db.sqlite3");
    }
    assert!(!sandbox.path("db.sqlite3").exists());
}

#[test]
fn secrets_of_the_file_are_printed_as_they_stand_there() {
    let sandbox = Sandbox::empty();
    sandbox.write(
        "lsrun.yml",
        "databases: {default: db.sqlite3}\nlitestream: {secret-access-key: 'a: #b'}\n",
    );
    let run = sandbox.lsrun(&["config"]).expect(0);
    let parsed: serde_yaml::Value = serde_yaml::from_str(&run.stdout).unwrap();
    assert_eq!(parsed["secret-access-key"], "a: #b");
}
