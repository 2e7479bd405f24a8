//! The rules of the configuration, one by one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::{ChildConfig, Config, Problem, Purpose, Severity, examine};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::path::ASKED;
use crate::project::Project;

struct Case {
    folder: tempfile::TempDir,
    environment: Environment,
}

impl Case {
    fn new(text: &str) -> Self {
        Self::with(text, &[])
    }

    fn with(text: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("lsrun.yml"), text).unwrap();
        Self { folder, environment: variables.iter().copied().collect() }
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    fn project(&self) -> Project {
        Project::load(None, self.folder.path(), &self.environment).unwrap()
    }

    fn config(&self) -> Config {
        Config::of(&self.project(), &self.environment).unwrap()
    }

    fn refused(&self) -> Error {
        let error = Config::of(&self.project(), &self.environment).unwrap_err();
        assert_eq!(error.exit(), Exit::Project);
        error
    }

    fn child(&self, purpose: &Purpose) -> Result<ChildConfig> {
        self.config().for_child(purpose, &self.environment)
    }

    fn daemon(&self) -> Value {
        received(&self.child(&Purpose::Replicate { socket: None }).unwrap())
    }
}

fn problems(project: &Project, environment: &Environment) -> Vec<Problem> {
    examine(project, environment).problems
}

/// What Litestream makes of a child's file: Go's textual expansion, then YAML.
fn received(child: &ChildConfig) -> Value {
    let variables: BTreeMap<&str, &str> =
        child.variables.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    let mut text = String::new();
    let mut rest = child.yaml.as_str();
    while let Some((before, after)) = rest.split_once('$') {
        text.push_str(before);
        let (name, after) = after.strip_prefix('{').unwrap().split_once('}').unwrap();
        text.push_str(if name == "PID" { "4711" } else { variables[name] });
        rest = after;
    }
    text.push_str(rest);
    serde_yaml::from_str(&text).unwrap()
}

#[track_caller]
fn assert_shows(error: &Error, wanted: &[&str]) {
    let text = format!("{} | {}", error.one_line(), error.hint_text().unwrap_or_default());
    for part in wanted {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

fn yaml(config: &Config, reveal: bool) -> Value {
    let value: Value = serde_yaml::from_str(&config.to_yaml(reveal)).unwrap();
    assert_eq!(value, serde_json::from_str::<Value>(&config.to_json(reveal)).unwrap());
    value
}

/// Characters that break YAML, shells or Go's expansion.
const NASTY: &str = "a: b #c *d 'e' \"f\" $g ${h} $$ \\n\nline\ttab é😀 [x] {y} %z @ ` |>!";

#[test]
fn without_dbs_every_sqlite_database_is_replicated() {
    let case = Case::new("databases: {a: a.db, p: {engine: postgresql}, b: sub/b.db}\n");
    let value = yaml(&case.config(), true);
    let paths: Vec<_> = value["dbs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        paths,
        [case.path("a.db").to_str().unwrap(), case.path("sub/b.db").to_str().unwrap()]
    );
    assert_eq!(value["dbs"][1]["replica"]["path"], "b.db");
    assert_shows(&Case::new("").refused(), &["no databases in"]);
}

#[test]
fn every_key_is_kept_in_order_and_lsruns_own_are_left_out() {
    let case = Case::new(
        "databases: {a: a.db}\nlitestream:\n  version: 0.5.17\n  config_file: x\n  addr: ':9090'\n  \
         dbs:\n    - path: a\n      busy-timeout: 5s\n      replicas:\n        - {type: file, path: /b, sync-interval: 2s}\n    \
         - {dir: tenants, pattern: '*.db', recursive: yes, replica: {type: file, path: /t}}\n  \
         socket: {enabled: true, path: run/ls.sock, permissions: 0600}\n  l0-retention: 10m\n",
    );
    let text = case.config().to_yaml(true);
    let keys: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(keys, ["addr", "dbs", "socket", "l0-retention"]);
    assert!(text.contains("permissions: 0600\n"), "{text}");
    let value = yaml_of(&text);
    assert_eq!(value["dbs"][0]["replicas"][0]["sync-interval"], "2s");
    assert_eq!(value["dbs"][1]["dir"], case.path("tenants").to_str().unwrap());
    assert_eq!(value["dbs"][1]["recursive"], true);
    // Litestream would take it from the folder that it is called in.
    assert_eq!(value["socket"]["path"], case.path("run/ls.sock").to_str().unwrap());
    assert_eq!(case.config().socket(), Some(case.path("run/ls.sock")));
    assert_eq!(case.daemon()["socket"]["path"], case.path("run/ls.sock").to_str().unwrap());
}

fn yaml_of(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap()
}

#[test]
fn what_loses_data_is_refused() {
    let two = |a: &str, b: &str| {
        format!(
            "databases: {{a: x/db.sqlite3, b: y/db.sqlite3}}\nlitestream:\n  dbs:\n    - {{path: a{a}}}\n    - {{path: b{b}}}\n"
        )
    };
    let file = ", replica: {type: file, path: backup}";
    for (text, parts) in [
        (two("", ""), vec!["backups of a and b would be stored in the same location", "s3 $LITESTREAM"]),
        (two(file, ", replica: {url: 'file://ROOT/backup'}"), vec!["same location", "file "]),
        (two(file, ", replicas: [{path: ./backup/}]"), vec!["same location", "file "]),
        (
            two(", replica: {type: s3, bucket: k, path: /p/q/, region: eu-west-1}", ", replica: {url: 's3://k/p/q?region=x'}"),
            vec!["same location: s3 k/p/q"],
        ),
        (
            two(", replica: {type: s3, bucket: k, path: p, endpoint: 'http://h:9000'}", ", replica: {url: 's3://k/p?endpoint=h:9000'}"),
            vec!["same location: s3 h:9000/k/p"],
        ),
        (
            two(", replica: {type: abs, account-name: ac, bucket: k, path: p}", ", replica: {url: 'abs://ac@k/p'}"),
            vec!["same location: abs ac/k/p"],
        ),
        (
            two(", replica: {type: gs, bucket: k, path: p}", ", replica: {url: 'gs://k/p/'}"),
            vec!["same location: gs k/p"],
        ),
        (
            two(", replica: {url: 'sftp://u:1@h:22/p'}", ", replica: {type: sftp, host: h, user: u, path: p}"),
            vec!["same location: sftp u@h/p"],
        ),
        (
            two(", replica: {type: webdav, webdav-url: 'https://h/dav', path: p}", ", replica: {url: 'webdavs://h/dav/p'}"),
            vec!["same location: webdav h/dav/p"],
        ),
        (
            two(", replica: {type: nats, url: 'nats://h:4222/k'}", ", replica: {url: 'nats://h/k/'}"),
            vec!["same location: nats h/k"],
        ),
        (
            two(", replica: {type: oss, bucket: k, path: p}", ", replica: {url: 'oss://k/p'}"),
            vec!["same location: oss k/p"],
        ),
        (
            "databases: {a: a.db}\nlitestream: {dbs: [{path: a}, {path: ./a.db, replica: {path: /q}}]}\n".into(),
            vec!["two entries of `dbs` replicate"],
        ),
        ("databases: {a: a.db}\nlitestream: {dbs: [{path: b}]}\n".into(), vec!["`b`, which is not an alias", "did you mean `a`"]),
        (two(", replica: {type: file, path: x}", ""), vec!["the folder of the database itself"]),
        (two(", replica: {type: file, path: x/db.sqlite3}", ""), vec!["the file of the database"]),
        (two(", replica: {type: file, path: y}", ""), vec!["the folder of the database itself b"]),
        (two(", replica: {type: file, path: x/.db.sqlite3-litestream}", ""), vec!["Litestream's own state"]),
        (two(", replica: {path: /q, age: {identities: []}}", ""), vec!["replica.age", "encryption"]),
        (two(", replicas: [{path: /q}, {path: /r}]", ""), vec!["a has 2 replicas"]),
        (two(", replica: {path: /q}, replicas: [{path: /r}]", ""), vec!["both `replica` and `replicas`"]),
        (two(", dir: q", ""), vec!["both `path` and `dir`"]),
        (two(", replica: {path: /q, url: 's3://k/p'}", ""), vec!["both `url` and `path`"]),
        (two(", replica: {path: 's3://k/p'}", ""), vec!["is a URL", "name it `url`"]),
        ("litestream: {dbs: [{dir: q}]}\n".into(), vec!["no `pattern`"]),
        ("litestream: {dbs: [default]}\n".into(), vec!["dbs[0] must be a mapping", "- path: default"]),
        ("databases: {a: a.db}\nlitestream: {dbs: {}}\n".into(), vec!["must be a list"]),
        ("databases: {a: a.db}\nlitestream: {l0-retention: 1d}\n".into(), vec!["l0-retention is `1d`", "`24h`"]),
        ("databases: {a: a.db}\nlitestream: {exec: [a, b]}\n".into(), vec!["exec must be a text, not a list"]),
        ("databases: {a: a.db}\nlitestream: {mcp-addr: x, mcp_addr: y}\n".into(), vec!["appears twice, as `mcp-addr`"]),
    ] {
        let case = Case::new("");
        let text = text.replace("ROOT", case.folder.path().to_str().unwrap());
        std::fs::write(case.path("lsrun.yml"), &text).unwrap();
        assert_shows(&case.refused(), &parts);
    }
}

#[test]
fn variables_are_seen_through_when_destinations_are_compared() {
    let text = "databases: {a: a.db, b: b/a.db}\nlitestream:\n  dbs:\n    - {path: a}\n    \
                - {path: b, replica: {url: 's3://real/a.db'}}\n";
    drop(Case::new(text).config());
    let error = Case::with(text, &[("AWS_BUCKET", "real")]).refused();
    assert_shows(&error, &["same location: s3 real/a.db"]);
}

#[test]
fn all_problems_come_at_once() {
    let case = Case::new(
        "databases: {a: a.db}\nlitestream:\n  snapshot: {interval: 1d}\n  dbs:\n    - {path: b}\n    \
         - {path: a, replicas: [{path: /q}, {path: /r}]}\n",
    );
    assert_shows(&case.refused(), &["3 things", "`24h`", "not an alias", "2 replicas"]);
    let found = problems(&case.project(), &case.environment);
    assert_eq!(found.iter().filter(|it| it.severity == Severity::Error).count(), 3);
}

#[test]
fn odd_keys_and_units_are_warned_about() {
    let case = Case::new(
        "databases: {a: a.db}\nlitestream:\n  mcp_addr: ':1'\n  snapshots: {interval: 1h}\n  \
         sync-interval: 10\n  logging: {levl: debug}\n  dbs:\n    \
         - {path: a, replica: {type: file, path: /q, retention: 24h, sync_interval: 1s}}\n",
    );
    let config = case.config();
    let all = config.warnings.join("\n");
    for part in [
        "lsrun.yml:3:3: litestream.mcp_addr is written `mcp-addr`",
        "litestream.snapshots is not a key of Litestream's configuration",
        "did you mean `snapshot`?",
        "sync-interval is 10 without a unit",
        "litestream.logging.levl is not a key of `logging`: Litestream ignores it; did you mean `level`?",
        "replica.retention is not a key of a replica",
        "sync_interval is written `sync-interval`",
    ] {
        assert!(all.contains(part), "`{part}` is not in: {all}");
    }
    assert_eq!(config.warnings.len(), 6);
    let value = yaml(&config, true);
    assert_eq!(value["mcp-addr"], ":1");
    assert_eq!(value["snapshots"]["interval"], "1h");
    assert_eq!(value["sync-interval"], 10);
    let replica = json!({"type": "file", "path": "/q", "retention": "24h", "sync-interval": "1s"});
    assert_eq!(value["dbs"][0]["replica"], replica);
    let found = problems(&case.project(), &case.environment);
    assert!(found.iter().all(|it| it.severity == Severity::Warning) && found.len() == 6);
    let close = Case::new("databases: {default: a.db}\nlitestream: {dbs: [{path: defaul.t}]}\n");
    assert!(close.config().warnings[0].contains("did you mean the alias `default`?"));
}

#[test]
fn secrets_are_shown_only_when_asked_for() {
    let case = Case::new(
        "databases: {a: a.db}\nlitestream:\n  secret-access-key: hush\n  access-key-id: $KEY\n  dbs:\n    \
         - {path: a, replica: {url: 'sftp://me:hush@h/p', password: hush, my-token: hush}}\n",
    );
    let config = case.config();
    assert_eq!(yaml(&config, true)["secret-access-key"], "hush");
    let hidden = config.to_yaml(false);
    assert!(!hidden.contains("hush"), "{hidden}");
    assert!(!config.to_json(false).contains("hush"));
    assert_eq!(yaml(&config, false)["access-key-id"], "$KEY");
    assert!(
        !config
            .replica(&case.project().database("a").unwrap())
            .unwrap()
            .description
            .contains("hush")
    );
    let case = Case::with(
        &std::fs::read_to_string(case.path("lsrun.yml")).unwrap(),
        &[("KEY", "hushkey")],
    );
    let child = case.child(&Purpose::Replicate { socket: None }).unwrap();
    assert!(!child.yaml.contains("hush"), "{}", child.yaml);
    assert!(!format!("{child:?}").contains("hush"));
}

#[test]
fn every_character_reaches_litestream() {
    let text = serde_json::to_string(&json!({
        "databases": {"a": format!("{} .db", NASTY.replace(['/', '{'], "_").replace('$', "$ "))},
        "litestream": {
            "access-key-id": "$KEY",
            "secret-access-key": format!("{NASTY}$"),
            "heartbeat-url": "echo ${GREETING:-hi} $KEY $ $1 ${PID}x",
            "dbs": [{"path": "a", "replica": {"type": "s3", "bucket": "yes", "path": "1:30", "region": "0x1", "endpoint": "${E}/x"}}],
        },
    }))
    .unwrap();
    let case = Case::with(&text, &[("KEY", NASTY), ("E", "http://h")]);
    let child = case.child(&Purpose::Replicate { socket: None }).unwrap();
    let value = received(&child);
    assert_eq!(value["access-key-id"], NASTY);
    assert_eq!(value["secret-access-key"], format!("{NASTY}$"));
    assert_eq!(value["heartbeat-url"], format!("echo hi {NASTY} $ $1 4711x"));
    let database = case.project().database("a").unwrap().path.clone();
    assert_eq!(value["dbs"][0]["path"], database.to_str().unwrap());
    let replica = json!({"type": "s3", "bucket": "yes", "path": "1:30", "region": "0x1", "endpoint": "http://h/x"});
    assert_eq!(value["dbs"][0]["replica"], replica);
    assert!(child.yaml.contains("bucket: \"yes\"") && child.yaml.contains("path: \"1:30\""));
    for (name, _) in &child.variables {
        assert!(name.starts_with("LSRUN_V_") && child.yaml.contains(&format!("${{{name}}}")));
    }
}

#[test]
fn numbers_and_truth_values_stay_what_they_are() {
    let case = Case::with(
        "databases: {a: a.db}\nlitestream:\n  verify-compaction: ${V}\n  concurrency: $N\n  \
         access-key-id: 1e5\n  secret-access-key: 007\n  socket: {enabled: on, permissions: 0o600}\n  \
         dbs: [{path: a, min-checkpoint-page-count: 5, replica: {path: /q, part-size: 5}}]\n",
        &[("V", "true"), ("N", "3")],
    );
    let value = case.daemon();
    assert_eq!(value["verify-compaction"], true);
    assert_eq!(value["concurrency"], 3);
    assert_eq!(
        (&value["access-key-id"], &value["secret-access-key"]),
        (&json!("1e5"), &json!("007"))
    );
    assert_eq!(value["socket"], json!({"enabled": true, "permissions": 384}));
    assert_eq!(value["dbs"][0]["min-checkpoint-page-count"], 5);
    assert_eq!(value["dbs"][0]["replica"]["part-size"], "5");
}

#[test]
fn without_expansion_a_dollar_is_a_dollar() {
    let case = Case::new(
        "databases: {a: a.db}\nlitestream: {heartbeat-url: 'echo $HOME', dbs: [{path: a, replica: {path: /b/$X}}]}\n",
    );
    let config = Config::of(&case.project().without_expansion(), &case.environment).unwrap();
    let child = config.for_child(&Purpose::Replicate { socket: None }, &case.environment).unwrap();
    assert_eq!(received(&child)["heartbeat-url"], "echo $HOME");
    assert_eq!(received(&child)["dbs"][0]["replica"]["path"], "/b/$X");
}

#[test]
fn what_is_named_and_set_nowhere_is_an_error() {
    let replicate = Purpose::Replicate { socket: None };
    let automatic = "databases: {a: a.db}\n";
    let error = Case::new(automatic).child(&replicate).unwrap_err();
    let bucket = "LITESTREAM_REPLICA_BUCKET is not set, and neither is AWS_BUCKET";
    assert_shows(&error, &[bucket]);
    assert_eq!(error.exit(), Exit::Project);
    assert_eq!(problems(&Case::new(automatic).project(), &Environment::default()).len(), 1);

    let named = "databases: {a: a.db}\nlitestream: {access-key-id: $LITESTREAM_ACCESS_KEY_ID, \
                 secret-access-key: $MINE, dbs: [{path: a, replica: {url: 's3://b/p'}}]}\n";
    let error = Case::new(named).child(&replicate).unwrap_err();
    assert_shows(&error, &["2 things", "neither is AWS_ACCESS_KEY_ID", "MINE is not set"]);
    let half = [("AWS_BUCKET", "b"), ("AWS_ACCESS_KEY_ID", "k")];
    assert_shows(
        &Case::with(automatic, &half).child(&replicate).unwrap_err(),
        &["LITESTREAM_SECRET_ACCESS_KEY is not set"],
    );
    let half = "databases: {a: a.db}\nlitestream: {access-key-id: k}\n";
    assert_shows(
        &Case::with(half, &[("AWS_BUCKET", "b")]).child(&replicate).unwrap_err(),
        &["LITESTREAM_SECRET_ACCESS_KEY is not set"],
    );
}

#[test]
fn keys_that_nobody_set_are_left_to_the_chain_of_the_storage() {
    let replicate = Purpose::Replicate { socket: None };
    let automatic = "databases: {a: a.db}\n";
    let note = |case: &Case| case.child(&replicate).unwrap().note;
    let keys = |case: &Case| {
        let value = case.daemon();
        (value.get("access-key-id").cloned(), value.get("secret-access-key").cloned())
    };

    let none = Case::with(automatic, &[("AWS_BUCKET", "b"), ("HOME", "/root")]);
    assert_eq!(keys(&none), (None, None));
    assert_eq!(note(&none), Some("no keys set: the AWS credential chain is used"));
    assert_eq!(examine(&none.project(), &none.environment).note, note(&none));
    // What is printed is as it was.
    assert_eq!(yaml(&none.config(), true)["access-key-id"], "$LITESTREAM_ACCESS_KEY_ID");

    let aws = [("AWS_BUCKET", "b"), ("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s")];
    let both = Case::with(automatic, &aws);
    assert_eq!(keys(&both), (Some(json!("k")), Some(json!("s"))));
    assert_eq!(both.daemon()["dbs"][0]["replica"]["bucket"], "b");
    assert_eq!(note(&both), None);
    // Litestream has no key for the token: with the other two alone S3 refuses.
    let session: Vec<_> = aws.into_iter().chain([("AWS_SESSION_TOKEN", "t")]).collect();
    let session = Case::with(automatic, &session);
    assert_eq!((keys(&session), note(&session)), ((None, None), None));

    let written = "databases: {a: a.db, b: b.db}\nlitestream: {dbs: [{path: a, replica: {url: 's3://b/p', \
                   access-key-id: k, secret-access-key: s}}, {path: b, replica: {path: /q}}]}\n";
    assert_eq!(note(&Case::new(written)), None);
    let oss = "databases: {a: a.db}\nlitestream: {dbs: [{path: a, replica: {url: 'oss://b/p'}}]}\n";
    assert!(note(&Case::new(oss)).unwrap().contains("OSS_ACCESS_KEY_ID"));
}

#[test]
fn a_file_replica_needs_no_credentials_of_another_entry() {
    let case = Case::new(
        "databases: {a: a.db, b: b.db}\nlitestream: {dbs: [{path: a, replica: {type: file, path: backup/a}}, {path: b}]}\n",
    );
    let child = case.child(&Purpose::Once { database: case.path("a.db") }).unwrap();
    let value = received(&child);
    assert_eq!(
        value,
        json!({
            "shutdown-sync-timeout": "1s",
            "logging": {"stderr": true},
            "dbs": [{
                "path": case.path("a.db").to_str().unwrap(),
                "replica": {"type": "file", "path": case.path("backup/a").to_str().unwrap()},
            }],
        })
    );
    assert!(child.variables.is_empty());
    assert!(case.child(&Purpose::Once { database: case.path("b.db") }).is_err());
    assert!(case.child(&Purpose::Read { database: Some(case.path("c.db")) }).is_err());
}

#[test]
fn only_a_daemon_gets_what_belongs_to_a_daemon() {
    let case = Case::new(
        "databases: {a: a.db}\nlitestream:\n  addr: ':1'\n  mcp-addr: ':2'\n  heartbeat-url: $NOT_SET\n  \
         heartbeat-interval: 5m\n  socket: {enabled: false}\n  \
         logging: {level: debug, stderr: false}\n  dbs: [{path: a, replica: {path: /q}}]\n",
    );
    let value = received(&case.child(&Purpose::Read { database: None }).unwrap());
    let keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["logging", "dbs"]);
    assert_eq!(value["logging"], json!({"level": "debug", "stderr": true}));
    assert!(case.child(&Purpose::Replicate { socket: None }).is_err());

    let replicate = Purpose::Replicate { socket: Some("/run/x/$y.sock".into()) };
    let case =
        Case::new("databases: {a: a.db}\nlitestream: {dbs: [{path: a, replica: {path: /q}}]}\n");
    let socket = json!({"enabled": true, "path": "/run/x/$y.sock", "permissions": 384});
    assert_eq!(received(&case.child(&replicate).unwrap())["socket"], socket);
    assert_eq!(case.config().socket(), None);
    let own = Case::new(
        "databases: {a: a.db}\nlitestream: {socket: {enabled: true}, dbs: [{path: a, replica: {path: /q}}]}\n",
    );
    assert_eq!(received(&own.child(&replicate).unwrap())["socket"], json!({"enabled": true}));
    assert_eq!(own.config().socket(), Some("/var/run/litestream.sock".into()));
}

#[test]
fn a_replica_tells_where_it_is() {
    for (replica, description, endpoint) in [
        ("{type: s3, bucket: k, path: p}", "s3 k/p", None),
        (
            "{url: 's3://k/p?endpoint=http://127.0.0.1:9000'}",
            "s3 127.0.0.1:9000/k/p",
            Some(("127.0.0.1", 9000)),
        ),
        ("{type: s3, bucket: k, path: p, endpoint: $E}", "s3 h:7/k/p", Some(("h", 7))),
        ("{url: 'sftp://u:p@h/p'}", "sftp u@h/p", Some(("h", 22))),
        ("{type: nats, url: 'nats://h:4222/k'}", "nats h/k", Some(("h", 4222))),
        ("{type: webdav, webdav-url: 'https://h/d', path: p}", "webdav h/d/p", Some(("h", 443))),
    ] {
        let text = format!(
            "databases: {{a: a.db}}\nlitestream: {{dbs: [{{path: a, replica: {replica}}}]}}\n"
        );
        let case = Case::with(&text, &[("E", "https://h:7")]);
        let found = case.config().replica(&case.project().database("a").unwrap()).unwrap();
        assert_eq!(found.description, description);
        assert_eq!(found.endpoint, endpoint.map(|(host, port)| (host.to_owned(), port)));
        assert_eq!(found.folder, None);
    }
    let case = Case::with(
        "databases: {a: a.db, b: b.db}\nlitestream: {dbs: [{path: a, replica: {path: '~/x/${N:-n}'}}]}\n",
        &[("HOME", "/home/me")],
    );
    let project = case.project();
    let found = case.config().replica(&project.database("a").unwrap()).unwrap();
    assert_eq!((found.kind.as_str(), found.folder), ("file", Some("/home/me/x/n".into())));
    assert_eq!(case.daemon()["dbs"][0]["replica"]["path"], "/home/me/x/n");
    let error = case.config().replica(&project.database("b").unwrap()).unwrap_err();
    assert_shows(&error, &["b is not replicated", "litestream.dbs"]);
}

#[test]
fn a_database_of_a_folder_gets_an_entry_of_its_own() {
    let case = Case::new(
        "litestream:\n  dbs:\n    - {dir: tenants, pattern: '*.db', recursive: true, monitor-interval: 3s, replica: {type: file, path: backup/}}\n",
    );
    std::fs::create_dir_all(case.path("tenants/x")).unwrap();
    std::fs::write(case.path("tenants/x/t.db"), "").unwrap();
    let database = case.project().database("tenants/x/t.db").unwrap();
    let config = case.config();
    let folder = config.replica(&database).unwrap().folder;
    assert_eq!(folder, Some(case.path("backup/x/t.db")));
    assert_eq!(config.monitor_interval(&database), Duration::from_secs(3));
    let value = received(&case.child(&Purpose::Once { database: database.path.clone() }).unwrap());
    assert_eq!(
        value["dbs"],
        json!([{
            "path": database.path.to_str().unwrap(),
            "monitor-interval": "3s",
            "replica": {"type": "file", "path": case.path("backup/x/t.db").to_str().unwrap()},
        }])
    );
}

#[test]
fn intervals_and_state_have_litestreams_defaults() {
    let case = Case::new(
        "databases: {a: a.db, b: b.db}\nlitestream:\n  dbs:\n    \
         - {path: a, meta-path: state/a, monitor-interval: 100ms, replica: {path: /q}}\n    \
         - {path: b, replica: {path: /r}}\n",
    );
    let (project, config) = (case.project(), case.config());
    let (a, b) = (project.database("a").unwrap(), project.database("b").unwrap());
    assert_eq!(config.monitor_interval(&a), Duration::from_millis(100));
    assert_eq!(config.monitor_interval(&b), Duration::from_secs(1));
    assert_eq!(config.meta_path(&a), case.path("state/a"));
    assert_eq!(config.meta_path(&b), case.path(".b.db-litestream"));
}

#[test]
fn a_path_that_litestream_would_misread_is_warned_about() {
    for (path, letter) in [("x#y.db", "`#`"), ("x?y.db", "`?`"), ("x%20y.db", "`%`")] {
        let case = Case::new(&format!("databases: {{a: '{path}'}}\n"));
        assert!(case.config().warnings[0].contains(letter));
    }
    assert!(Case::new("databases: {a: '100%/a$ b.db'}\n").config().warnings.is_empty());
}

/// What Litestream makes of a printed file, with these variables: Go's `os.Expand`,
/// then YAML.
fn read_by_litestream(text: &str, environment: &Environment) -> Value {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, after) = match after.strip_prefix('{') {
            Some(braced) => braced.split_once('}').unwrap(),
            None => {
                let end = after.find(|it: char| !it.is_ascii_alphanumeric() && it != '_');
                after.split_at(end.unwrap_or(after.len()).max(1))
            }
        };
        out.push_str(if name == "PID" { "4711" } else { environment.get(name).unwrap_or("") });
        rest = after;
    }
    out.push_str(rest);
    serde_yaml::from_str(&out).unwrap()
}

#[test]
fn what_is_printed_means_the_same_to_litestream() {
    let text = serde_json::to_string(&json!({
        "databases": {"a": "${D:-data}/a$ 1.db"},
        "litestream": {
            "access-key-id": "$KEY",
            "secret-access-key": "pa$$w$ord",
            "exec": "app $1 ${PID} $SAY ${NO:-${SAY}s}",
            "heartbeat-url": "${NO:-http://h/$TOKEN}x",
            "socket": {"path": "run/x.sock", "permissions": "0600"},
            "logging": {"level": "${LEVEL:-info}"},
            "verify-compaction": "${YES:-true}",
            "dbs": [{"path": "a", "replica": {"type": "file", "path": "${BK:-/x}/y"}}],
            "odd $key": "$WORD",
        },
    }))
    .unwrap();
    let variables = [
        ("KEY", "a: b #c"),
        ("SAY", "say \"hi\""),
        ("TOKEN", "t"),
        ("WORD", "null"),
        ("HOME", "/home/me"),
    ];
    let case = Case::with(&text, &variables);
    let (config, environment) = (case.config(), &case.environment);
    let daemon = case.daemon();
    for printed in [config.to_yaml(true), config.to_json(true)] {
        let got = read_by_litestream(&printed, environment);
        assert_eq!(got["dbs"][0]["path"], case.path("data/a$ 1.db").to_str().unwrap());
        assert_eq!(got["dbs"][0]["replica"]["path"], "/x/y");
        assert_eq!(got["secret-access-key"], "pa$$w$ord");
        assert_eq!(got["exec"], "app $1 4711 say \"hi\" say \"hi\"s");
        assert_eq!(got["socket"]["path"], case.path("run/x.sock").to_str().unwrap());
        for key in ["access-key-id", "heartbeat-url", "verify-compaction", "odd $key"] {
            assert_eq!(got[key].to_string(), daemon[key].to_string(), "{key}: {printed}");
        }
    }
    // A variable that has a value stays one, and so does one that is not set.
    let yaml = config.to_yaml(true);
    assert!(yaml.contains("access-key-id: \"$KEY\"") && yaml.contains("level: info"), "{yaml}");
    let aws = Case::with("databases: {a: a.db}\n", &[("AWS_BUCKET", "b")]);
    assert_eq!(self::yaml(&aws.config(), true)["dbs"][0]["replica"]["bucket"], "$AWS_BUCKET");
    let hidden = "databases: {a: a.db}\nlitestream: {secret-access-key: '${S:-hush}'}\n";
    assert!(!Case::new(hidden).config().to_yaml(false).contains("hush"));
}

#[test]
fn a_litestream_configuration_is_taken_as_it_is() {
    let case = Case::new("");
    let write = |text: &str| std::fs::write(case.path("litestream.yml"), text).unwrap();
    let open = || {
        let named = Some(std::path::Path::new("litestream.yml"));
        let project = Project::load(named, case.folder.path(), &case.environment).unwrap();
        let config = Config::of(&project, &case.environment);
        (project, config)
    };
    write(
        "dbs:\n- path: data/a.db\n  replica: {path: rep/a}\n- {path: 'sqlite:///srv/b.db', replica: {path: /q}}\n",
    );
    let (project, config) = open();
    let config = config.unwrap();
    assert_eq!(project.aliases().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(project.database("b").unwrap().path, PathBuf::from("/srv/b.db"));
    let folder = config.replica(&project.database("a").unwrap()).unwrap().folder;
    assert_eq!(folder, Some(case.path("rep/a")));
    // Nothing is made up, and places are those of the file.
    write("dbs:\n- path: a.db\n- {path: b.db, replica: {type: file, path: /q, retention: 1h}}\n");
    let (_, config) = open();
    assert_shows(&config.unwrap_err(), &["a has no `replica`"]);
    write("dbs:\n- {path: b.db, replica: {type: file, path: /q, retention: 1h}}\n");
    let warning = &open().1.unwrap().warnings[0];
    assert!(warning.contains("litestream.yml:2:48: dbs[0].replica.retention"), "{warning}");
}

#[test]
fn many_entries_cost_in_proportion() {
    let project = |count: usize| {
        let mut text = String::from("databases:\n");
        for index in 0..count {
            text.push_str(&format!("  t{index}: tenants/t{index}.db\n"));
        }
        text.push_str("litestream:\n  dbs:\n");
        for index in 0..count {
            let replica = format!("{{type: file, path: backup/t{index}, part-size: 7}}");
            text.push_str(&format!("  - {{path: t{index}, replica: {replica}}}\n"));
        }
        text.push_str("  - {dir: more, pattern: '*.db', replica: {type: file, path: other}}\n");
        Case::new(&text)
    };
    let asked = |case: &Case| {
        let before = ASKED.with(std::cell::Cell::get);
        let (project, config) = (case.project(), case.config());
        for database in project.databases().unwrap() {
            let found = project.database(&database.name()).unwrap();
            assert_eq!(found.entry, database.entry);
            assert!(config.replica(&found).is_ok());
            assert!(config.meta_path(&found).starts_with(case.folder.path()));
        }
        ASKED.with(std::cell::Cell::get) - before
    };
    let (few, many) = (project(100), project(5000));
    let few = asked(&few);
    let start = std::time::Instant::now();
    let many = asked(&many);
    // A quadratic loader takes minutes for these.
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    assert!(many <= few + 50, "paths were resolved {many} times for 5000, {few} for 100");
}

#[test]
fn a_socket_whose_path_no_system_takes_is_an_error_at_once() {
    let of = |name: &str| {
        Case::new(&format!(
            "databases: {{a: a.db}}\nlitestream:\n  socket: {{enabled: true, path: /run/{name}}}\n  dbs: [{{path: a, replica: {{path: /q}}}}]\n"
        ))
    };
    let error = of(&"x".repeat(120)).refused();
    assert_shows(&error, &["litestream.socket is too long", "has 125 bytes", "shorter path"]);
    assert!(of(&"x".repeat(90)).config().socket().is_some());
}
