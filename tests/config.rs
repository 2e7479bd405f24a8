//! `lsrun config`.

use crate::support::s3::refusing;
use crate::support::{PROJECT, Run, Sandbox};

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

/// Runs `config --check` for people, then as JSON, and gives the JSON.
#[track_caller]
fn check(sandbox: &Sandbox, code: i32, words: &[&str]) -> serde_json::Value {
    let human = sandbox.lsrun(&["config", "--check"]).expect(code);
    let json = sandbox.lsrun(&["config", "-check", "--format", "json"]).expect(code).json();
    assert_eq!((&json["schema_version"], &json["command"]), (&1.into(), &"config".into()));
    let told: String =
        json["problems"].as_array().unwrap().iter().map(|it| format!("{it}")).collect();
    for word in words {
        assert!(human.stdout.contains(word), "{word:?} is not said:\n{}", human.stdout);
        assert!(told.contains(word), "{word:?} is not in {told}");
    }
    json
}

#[test]
fn check_of_a_good_project() {
    let sandbox = Sandbox::new();
    let run = sandbox.lsrun(&["config", "--check"]).expect(0);
    assert_eq!(run.stdout, "the configuration is good; 1 replica answers\n");
    let json = check(&sandbox, 0, &[]);
    assert_eq!((&json["outcome"], &json["problems"]), (&"passed".into(), &serde_json::json!([])));
    assert_eq!(json["notes"], serde_json::json!(["1 replica answers"]));
    assert_eq!(sandbox.names(""), ["db.sqlite3", "lsrun.yml", "tmp"]);
}

#[test]
fn check_shows_warnings_and_passes() {
    let sandbox = Sandbox::new();
    let text = PROJECT.replace("litestream:", "litestream:\n  sync-intervall: 1s");
    sandbox.write("lsrun.yml", &text);
    let json = check(&sandbox, 0, &["sync-intervall", "sync-interval"]);
    assert_eq!(json["outcome"], "passed");
    assert_eq!(json["problems"][0]["severity"], "warning");
    let run = sandbox.lsrun(&["config", "--check"]);
    assert_eq!(run.stderr, "", "each is told once");
}

#[test]
fn check_tells_everything_at_once() {
    let sandbox = Sandbox::empty();
    let endpoint = refusing();
    sandbox.write(
        "lsrun.yml",
        &format!(
            "databases: {{one: 1.db, two: 2.db, three: 3.db}}
litestream:
  nonsense: 1
  access-key-id: $NOT_SET_ANYWHERE
  dbs:
  - {{path: one, replica: {{type: file, path: same}}}}
  - {{path: two, replica: {{type: file, path: same/}}}}
  - {{path: thre}}
  - {{path: three, replica: {{type: s3, bucket: b, path: p, endpoint: '{endpoint}'}}}}
"
        ),
    );
    let host = endpoint.trim_start_matches("http://");
    let words = [
        "the same location",
        "thre",
        "three",
        "nonsense",
        "does not answer",
        host,
        "NOT_SET_ANYWHERE",
    ];
    let json = check(&sandbox, 20, &words);
    assert_eq!(json["outcome"], "failed");
    let problems = json["problems"].as_array().unwrap();
    let severities: Vec<_> = problems.iter().map(|it| it["severity"].as_str().unwrap()).collect();
    assert!(severities.is_sorted(), "errors come first: {severities:?}");
    assert!(problems.iter().any(|it| it["code"] == "unreachable"));
    assert!(problems.iter().any(|it| it["hint"].is_string()));
}

#[test]
fn check_names_every_variable_that_is_not_set() {
    let sandbox = Sandbox::empty();
    sandbox.write("lsrun.yml", "databases: {default: db.sqlite3}\n");
    let named = "litestream: {access-key-id: $MY_KEY, secret-access-key: $MY_SECRET}\n";
    sandbox.write("lsrun.yml", &format!("databases: {{default: db.sqlite3}}\n{named}"));
    check(&sandbox, 20, &["LITESTREAM_REPLICA_BUCKET", "MY_KEY", "MY_SECRET"]);
}

#[test]
fn check_of_a_replica_that_alone_does_not_answer() {
    let sandbox = Sandbox::empty();
    let endpoint = refusing();
    sandbox.write(
        "lsrun.yml",
        &format!(
            "databases: {{default: db.sqlite3}}
litestream:
  dbs:
  - {{path: default, replica: {{type: s3, bucket: b, path: p, endpoint: '{endpoint}', access-key-id: a, secret-access-key: 'hush: \"'}}}}
"
        ),
    );
    let json = check(&sandbox, 11, &["default", "does not answer"]);
    assert_eq!(json["outcome"], "inconclusive");
    assert!(!json.to_string().contains("hush"));
    // Litestream would go through the proxy, and so the address itself says nothing.
    let named = endpoint.replace("127.0.0.1", "storage.invalid");
    let text = std::fs::read_to_string(sandbox.path("lsrun.yml")).unwrap();
    sandbox.write("lsrun.yml", &text.replace(&endpoint, &named));
    check(&sandbox, 11, &["storage.invalid"]);
    let run: Run = sandbox
        .command(&["config", "--check"])
        .env("HTTP_PROXY", &endpoint)
        .output()
        .unwrap()
        .into();
    run.expect(0);
}

#[test]
fn a_configuration_that_is_refused_is_not_printed() {
    let sandbox = Sandbox::empty();
    sandbox.write(
        "lsrun.yml",
        "databases: {one: 1.db, two: 2.db}
litestream:
  dbs:
  - {path: one, replica: {type: file, path: same}}
  - {path: two, replica: {type: file, path: same}}
",
    );
    let run = sandbox.lsrun(&["config"]).expect(20).says(&["the same location"]);
    assert_eq!(run.stdout, "");
}

#[test]
fn check_examines_the_files_and_says_what_it_did_not_try() {
    let sandbox = Sandbox::empty();
    sandbox.write(
        "lsrun.yml",
        "databases: {gone: gone.db, text: text.db, empty: empty.db, good: good.db}
litestream:
  dbs:
  - {path: gone, replica: {type: file, path: r/gone}}
  - {path: text, replica: {type: file, path: lsrun.yml/r}}
  - {path: empty, replica: {type: s3, bucket: shop-backups, path: p}}
  - {path: good, replica: {type: file, path: r/good}}
  - {dir: tenants, pattern: '*.db', replica: {type: file, path: r/tenants}}
",
    );
    sandbox.write("text.db", "this is no database at all");
    sandbox.write("empty.db", "");
    sandbox.write("tenants/bad.db", "this is not one either, and litestream skips it");
    sandbox.sql("good.db", "CREATE TABLE t (x)");
    sandbox.sql("tenants/good.db", "CREATE TABLE t (x)");
    let words = [
        "gone (",
        "the file does not exist",
        "the files are not SQLite databases",
        "tenants/bad.db",
        "the file is empty",
        "the backup of text cannot be written to",
        "no keys set: the AWS credential chain is used",
        "not tried: s3 shop-backups/p",
        "not tried: whether the keys are right",
    ];
    let human = sandbox.lsrun(&["config", "--check"]).expect(20).says(&words);
    human.says_not("is good");
    let json = sandbox.lsrun(&["config", "--check", "--format", "json"]).expect(20).json();
    assert_eq!(json["problems"].as_array().unwrap().len(), 4, "{json}");
    assert!(json["notes"].to_string().contains("3 replicas answer, 1 was not tried"), "{json}");
    assert_eq!(sandbox.names("r"), [""; 0], "nothing is written");
}

/// What the real litestream makes of what is printed.
#[test]
fn what_is_printed_is_litestreams_own_language() {
    let sandbox = Sandbox::new();
    let text = "databases: {default: '${DATA:-.}/db.sqlite3', odd: 'a$ 1.db'}
litestream:
  dbs:
  - {path: default, replica: {type: file, path: '${NO:-ROOT/x}/y'}}
  - {path: odd, replica: {type: file, path: 'r/$ 1'}}
";
    let root = sandbox.path("").display().to_string();
    sandbox.write("lsrun.yml", &text.replace("ROOT", root.trim_end_matches('/')));
    sandbox.sql("a$ 1.db", "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    for format in ["yaml", "json"] {
        let words: &[&str] =
            if format == "json" { &["config", "--format", "json"] } else { &["config"] };
        let printed = sandbox.lsrun(words).expect(0).stdout;
        sandbox.write("printed.yml", &printed);
        let litestream = |words: &[&str]| -> Run {
            let mut command = std::process::Command::new(crate::support::litestream());
            // From another folder: nothing is relative to where it is read.
            command.args(words).arg("-config").arg(sandbox.path("printed.yml"));
            command.current_dir("/").output().unwrap().into()
        };
        let listed = litestream(&["databases", "-json"]).expect(0);
        let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
        let paths: Vec<&str> =
            listed.as_array().unwrap().iter().map(|it| it["path"].as_str().unwrap()).collect();
        let own = ["db.sqlite3", "a$ 1.db"].map(|name| sandbox.path(name).display().to_string());
        assert_eq!(paths, own, "{printed}");
        litestream(&["replicate", "-once"]).expect(0);
        for folder in ["x/y", "r/$ 1"] {
            assert!(sandbox.path(folder).join("ltx").is_dir(), "{folder}:\n{printed}");
            std::fs::remove_dir_all(sandbox.path(folder)).unwrap();
        }
        for state in [".db.sqlite3-litestream", ".a$ 1.db-litestream"] {
            std::fs::remove_dir_all(sandbox.path(state)).unwrap();
        }
    }
}

#[test]
fn check_examines_the_plugins() {
    let sandbox = Sandbox::new();
    sandbox.write("plugins/broken.wasm", "this is no component");
    let text = format!("{PROJECT}plugins: {{settings: {{absent: {{config: {{a: 1}}}}}}}}\n");
    sandbox.write("lsrun.yml", &text);
    let run = sandbox.lsrun(&["config", "--check"]).expect(20).says(&["broken", "absent"]);
    run.says_not("is good");
}
