//! S3 with the real litestream, against a server that checks signatures: every
//! source of credentials, and every way in which the storage can fail.

use std::time::{Duration, Instant};

use crate::support::daemon::Daemon;
use crate::support::s3::{BUCKET, KEY, S3, Silent, refusing};
use crate::support::{Run, Sandbox, wait_until};

pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// What YAML, a shell or Litestream's own `$` expansion would change.
const NASTY: &str = r##"a: #b *c & 'd' "e" $HOME ${PATH} $$ %41 \n{x}[y]!|>"##;
const USERS: &str = "SELECT count(*) FROM users";

/// `lsrun.yml` for one database in a bucket at `endpoint`.
pub(crate) fn project(endpoint: &str, bucket: &str, top: &str) -> String {
    format!(
        "databases: {{default: db.sqlite3}}
litestream:
  {top}
  dbs:
  - path: default
    monitor-interval: 100ms
    replica: {{type: s3, bucket: {bucket}, path: shop, endpoint: '{endpoint}', sync-interval: 100ms}}
"
    )
}

pub(crate) fn with_keys(sandbox: &Sandbox, prefix: &str, secret: &str, arguments: &[&str]) -> Run {
    sandbox
        .command(arguments)
        .env(format!("{prefix}_ACCESS_KEY_ID"), KEY)
        .env(format!("{prefix}_SECRET_ACCESS_KEY"), secret)
        .output()
        .unwrap()
        .into()
}

/// The database is verified, restored from the bucket, and nothing is left.
fn works(sandbox: &Sandbox, server: &S3, run: impl Fn(&[&str]) -> Run) {
    let json = run(&["verify", "--format", "json"]).expect(0).json();
    assert_eq!(json["databases"][0]["replication"]["method"], "once");
    assert!(server.objects().join("shop").is_dir(), "nothing is in the bucket");
    run(&["restore", "-o", "copy.sqlite3", "default"]).expect(0);
    assert_eq!(sandbox.integer("copy.sqlite3", USERS), 3);
    sandbox.assert_clean();
}

/// One kind of character after another, and all of them together.
fn secrets() -> impl Iterator<Item = String> {
    let signs = [": ", " #", "*", "'", "\"", "$HOME", "\\", "&", "%41"];
    signs.into_iter().map(|sign| format!("{sign}se{sign}cret{sign}")).chain([NASTY.to_owned()])
}

#[test]
fn keys_of_litestreams_variables() {
    let (sandbox, server) = (Sandbox::new(), S3::start(SECRET));
    sandbox.write("lsrun.yml", &project(&server.endpoint(), BUCKET, "addr: ''"));
    works(&sandbox, &server, |words| with_keys(&sandbox, "LITESTREAM", SECRET, words));
}

#[test]
fn keys_of_the_aws_variables() {
    let (sandbox, server) = (Sandbox::new(), S3::start(SECRET));
    sandbox.write("lsrun.yml", &project(&server.endpoint(), BUCKET, "addr: ''"));
    works(&sandbox, &server, |words| with_keys(&sandbox, "AWS", SECRET, words));
    // A backup is asked without a project as well.
    std::fs::remove_file(sandbox.path("lsrun.yml")).unwrap();
    let url = format!("s3://{BUCKET}/shop?endpoint={}&region=us-east-1", server.endpoint());
    let words = ["query", "--csv", &url, USERS];
    let answer = with_keys(&sandbox, "AWS", SECRET, &words).expect(0);
    assert_eq!(answer.stdout, "count(*)\r\n3\r\n");
}

/// Nobody set any: the library of the storage looks for them itself.
#[test]
fn keys_of_the_credential_chain() {
    let (sandbox, server) = (Sandbox::new(), S3::start(SECRET));
    let endpoint = server.endpoint();
    let text = format!(
        "databases: {{default: db.sqlite3}}\nlitestream: {{path_prefix: shop, endpoint: '{endpoint}'}}\n"
    );
    sandbox.write("lsrun.yml", &text);
    let keys = format!("aws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n");
    sandbox.write("home/.aws/credentials", &format!("[default]\n{keys}"));
    let run = |words: &[&str]| -> Run {
        let mut command = sandbox.command(words);
        command.env("AWS_BUCKET", BUCKET).env("HOME", sandbox.path("home"));
        // Not those of the machine that runs this.
        command.env("AWS_EC2_METADATA_DISABLED", "true").output().unwrap().into()
    };
    let note = "no keys set: the AWS credential chain is used";
    let verified = run(&["verify"]).expect(0);
    assert_eq!(verified.stderr.matches(note).count(), 1, "{}", verified.stderr);
    run(&["config", "--check"]).expect(0).says(&[note, "whether the keys are right"]);
    works(&sandbox, &server, run);
    // A variable that is named is needed.
    sandbox.write("lsrun.yml", &text.replace("{path", "{access-key-id: $MINE, path"));
    run(&["verify"]).expect(20).says(&["MINE is not set"]);
    // And if the chain finds none, that is reported.
    sandbox.write("lsrun.yml", &text);
    std::fs::remove_file(sandbox.path("home/.aws/credentials")).unwrap();
    run(&["verify"]).expect(11).says(&[note, "credentials"]);
}

#[test]
fn keys_that_stand_in_the_file() {
    let (sandbox, server) = (Sandbox::new(), S3::start(SECRET));
    let keys = format!("{{access-key-id: {KEY}, secret-access-key: {SECRET}, ");
    let text =
        project(&server.endpoint(), BUCKET, "addr: ''").replace("{type", &format!("{keys}type"));
    sandbox.write("lsrun.yml", &text);
    works(&sandbox, &server, |words| sandbox.lsrun(words));
}

#[test]
fn an_entry_without_a_replica_goes_to_the_bucket_of_the_environment() {
    let (sandbox, server) = (Sandbox::new(), S3::start(SECRET));
    let endpoint = server.endpoint();
    sandbox.write(
        "lsrun.yml",
        &format!("databases: {{default: db.sqlite3}}\nlitestream: {{path_prefix: my/project/, endpoint: '{endpoint}'}}\n"),
    );
    let run: Run = sandbox
        .command(&["verify"])
        .env("LITESTREAM_REPLICA_BUCKET", BUCKET)
        .env("LITESTREAM_ACCESS_KEY_ID", KEY)
        .env("LITESTREAM_SECRET_ACCESS_KEY", SECRET)
        .output()
        .unwrap()
        .into();
    run.expect(0);
    assert!(server.objects().join("my/project/db.sqlite3").is_dir());
}

#[test]
fn secrets_of_any_characters_from_the_environment() {
    for secret in secrets() {
        let (sandbox, server) = (Sandbox::new(), S3::start(&secret));
        let keys = "access-key-id: $LITESTREAM_ACCESS_KEY_ID\n  secret-access-key: $LITESTREAM_SECRET_ACCESS_KEY";
        sandbox.write("lsrun.yml", &project(&server.endpoint(), BUCKET, keys));
        with_keys(&sandbox, "LITESTREAM", &secret, &["verify"]).expect(0);
    }
}

#[test]
fn secrets_of_any_characters_in_the_file() {
    for secret in secrets() {
        // A `$` that starts no name; `$HOME` in the file means the variable.
        let secret = secret.replace("$HOME", "$-").replace("${PATH}", "$(");
        let (sandbox, server) = (Sandbox::new(), S3::start(&secret));
        // JSON is YAML, and quotes everything.
        let quoted = serde_json::to_string(&secret).unwrap();
        let keys = format!("access-key-id: {KEY}\n  secret-access-key: {quoted}");
        sandbox.write("lsrun.yml", &project(&server.endpoint(), BUCKET, &keys));
        sandbox.lsrun(&["verify"]).expect(0);
    }
}

#[test]
fn the_childs_file_holds_no_secret() {
    let sandbox = Sandbox::new();
    // A recorder in place of litestream, for its file only.
    sandbox.write(
        "litestream",
        "#!/bin/sh
if [ \"$1\" = version ]; then echo 0.5.17; exit 0; fi
while [ $# -gt 0 ]; do if [ \"$1\" = -config ]; then stat -c %a \"$2\" >>modes; cat \"$2\" >>seen; fi; shift; done
exit 1
",
    );
    let path = sandbox.path("litestream");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let server = S3::start(SECRET);
    let literal = "hidden-in-the-file";
    let environment = "access-key-id: $LITESTREAM_ACCESS_KEY_ID\n  secret-access-key: $LITESTREAM_SECRET_ACCESS_KEY";
    let file = format!("access-key-id: {KEY}\n  secret-access-key: {literal}");
    for keys in [environment, &file] {
        sandbox.write("lsrun.yml", &project(&server.endpoint(), BUCKET, keys));
        for words in [&["verify"][..], &["restore", "-o", "copy.sqlite3", "default"]] {
            let run: Run = sandbox
                .command(words)
                .env("LSRUN_LITESTREAM", &path)
                .env("LSRUN_ENGINE", "litestream")
                .env("LITESTREAM_ACCESS_KEY_ID", KEY)
                .env("LITESTREAM_SECRET_ACCESS_KEY", SECRET)
                .output()
                .unwrap()
                .into();
            assert!(!format!("{}{}", run.stdout, run.stderr).contains(literal));
        }
    }
    let seen = std::fs::read_to_string(sandbox.path("seen")).unwrap();
    assert!(seen.contains("secret-access-key"), "{seen}");
    assert!(!seen.contains(SECRET) && !seen.contains(literal), "{seen}");
    let modes = std::fs::read_to_string(sandbox.path("modes")).unwrap();
    assert!(modes.lines().count() >= 4 && modes.lines().all(|mode| mode == "600"), "{modes}");
    sandbox.assert_clean();
}

/// A daemon that replicates into the bucket.
fn daemon(sandbox: &Sandbox, server: &S3, more: &str) -> Daemon {
    let config = daemons(sandbox, &server.endpoint(), more);
    Daemon::run(sandbox, &config, || server.objects().join("shop").is_dir())
}

/// Its configuration.
fn daemons(sandbox: &Sandbox, endpoint: &str, more: &str) -> String {
    format!(
        "{more}
access-key-id: {KEY}
secret-access-key: {SECRET}
dbs:
- path: {}
  monitor-interval: 100ms
  replica: {{type: s3, bucket: {BUCKET}, path: shop, endpoint: '{endpoint}', sync-interval: 100ms}}
",
        sandbox.path("db.sqlite3").display()
    )
}

#[test]
fn a_daemon_with_a_socket_is_asked() {
    let (sandbox, server) = (Sandbox::new(), S3::start(SECRET));
    let (socket, lines) = Daemon::socket(&sandbox);
    let _daemon = daemon(&sandbox, &server, &lines);
    wait_until("the socket is there", || socket.exists());
    sandbox.write("lsrun.yml", &project(&server.endpoint(), BUCKET, &lines));
    let json =
        with_keys(&sandbox, "LITESTREAM", SECRET, &["verify", "--format", "json"]).expect(0).json();
    assert_eq!(json["databases"][0]["replication"]["method"], "socket");
    sandbox.assert_clean();
}

#[cfg(target_os = "linux")]
#[test]
fn a_daemon_without_a_socket_is_watched() {
    let (sandbox, server) = (Sandbox::new(), S3::start(SECRET));
    let _daemon = daemon(&sandbox, &server, "");
    sandbox.write("lsrun.yml", &project(&server.endpoint(), BUCKET, "addr: ''"));
    let json =
        with_keys(&sandbox, "LITESTREAM", SECRET, &["verify", "--format", "json"]).expect(0).json();
    assert_eq!(json["databases"][0]["replication"]["method"], "polling");
    sandbox.assert_clean();
}

#[test]
fn a_certificate_bundle_in_the_environment_breaks_nothing() {
    let (sandbox, server) = (Sandbox::new(), S3::start(SECRET));
    sandbox.write("lsrun.yml", &project(&server.endpoint(), BUCKET, "addr: ''"));
    sandbox.write("bundle.pem", "");
    let run: Run = sandbox
        .command(&["verify"])
        .env("AWS_CA_BUNDLE", sandbox.path("bundle.pem"))
        .env("AWS_ACCESS_KEY_ID", KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .output()
        .unwrap()
        .into();
    run.expect(0);
}

#[test]
fn wrong_keys_are_told() {
    let (sandbox, server) = (Sandbox::new(), S3::start(SECRET));
    sandbox.write("lsrun.yml", &project(&server.endpoint(), BUCKET, "addr: ''"));
    let restore = ["restore", "-o", "copy.sqlite3", "default"];
    for words in
        [&["verify"][..], &restore, &["restore", "-if-replica-exists", "-o", "c", "default"]]
    {
        with_keys(&sandbox, "LITESTREAM", "wrong", words)
            .expect(11)
            .says(&["SignatureDoesNotMatch", "credentials"]);
        // A key that the server does not know.
        let unknown: Run = sandbox
            .command(words)
            .env("LITESTREAM_ACCESS_KEY_ID", "nobody")
            .env("LITESTREAM_SECRET_ACCESS_KEY", SECRET)
            .output()
            .unwrap()
            .into();
        unknown.expect(11).says(&["credentials"]);
    }
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 3);
    assert!(!sandbox.path("copy.sqlite3").exists() && !sandbox.path("c").exists());
    sandbox.assert_clean();
}

#[test]
fn missing_keys_are_told() {
    let (sandbox, server) = (Sandbox::new(), S3::start(SECRET));
    sandbox.write("lsrun.yml", &project(&server.endpoint(), BUCKET, "addr: ''"));
    let run: Run = sandbox
        .command(&["verify"])
        // No metadata service, no file.
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("HOME", sandbox.path("tmp"))
        .output()
        .unwrap()
        .into();
    run.expect(11).says(&["no credentials", "LITESTREAM_ACCESS_KEY_ID"]);
}

#[test]
fn a_missing_bucket_is_told() {
    let (sandbox, server) = (Sandbox::new(), S3::start(SECRET));
    sandbox.write("lsrun.yml", &project(&server.endpoint(), "nowhere", "addr: ''"));
    for words in [&["verify"][..], &["restore", "-o", "copy.sqlite3", "default"]] {
        with_keys(&sandbox, "LITESTREAM", SECRET, words)
            .expect(11)
            .says(&["NoSuchBucket", "the bucket does not exist"]);
    }
    assert!(!sandbox.path("copy.sqlite3").exists());
    sandbox.assert_clean();
}

#[test]
fn an_endpoint_that_refuses_is_told_at_once() {
    let sandbox = Sandbox::new();
    let endpoint = refusing();
    sandbox.write("lsrun.yml", &project(&endpoint, BUCKET, "addr: ''"));
    let url = format!("s3://{BUCKET}/shop?endpoint={endpoint}&region=us-east-1");
    for words in [
        &["verify"][..],
        &["restore", "-o", "copy.sqlite3", "default"],
        &["restore", "-o", "copy.sqlite3", &url],
    ] {
        let started = Instant::now();
        with_keys(&sandbox, "LITESTREAM", SECRET, words)
            .expect(11)
            .says(&["does not answer", "127.0.0.1"]);
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{words:?} took {:?}",
            started.elapsed()
        );
    }
    sandbox.assert_clean();
}

/// lsrun gives up in time, and takes litestream and every file with it.
fn gives_up(words: &[&str]) {
    let (sandbox, silent) = (Sandbox::new(), Silent::start());
    sandbox.write("lsrun.yml", &project(&silent.endpoint(), BUCKET, "addr: ''"));
    let started = Instant::now();
    with_keys(&sandbox, "LITESTREAM", SECRET, words).expect(11).says(&["in time", "--timeout"]);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(20), "{words:?} took {took:?}");
    assert!(!sandbox.path("copy.sqlite3").exists());
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 3);
    sandbox.assert_clean();
    #[cfg(target_os = "linux")]
    assert_eq!(children_in(&sandbox), Vec::<String>::new());
}

/// The processes that work in the sandbox.
#[cfg(target_os = "linux")]
fn children_in(sandbox: &Sandbox) -> Vec<String> {
    let folder = std::fs::canonicalize(sandbox.path("")).unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|process| {
            std::fs::read_link(process.path().join("cwd")).is_ok_and(|it| it == folder)
        })
        .map(|process| std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default())
        .collect()
}

#[test]
fn verify_gives_up_on_an_endpoint_that_never_answers() {
    gives_up(&["verify", "--timeout", "3s"]);
}

#[test]
fn restore_gives_up_on_an_endpoint_that_never_answers() {
    gives_up(&["restore", "--timeout", "3s", "-o", "copy.sqlite3", "default"]);
}

#[test]
fn a_dry_run_gives_up_on_an_endpoint_that_never_answers() {
    gives_up(&["restore", "-dry-run", "--timeout", "3s", "-o", "copy.sqlite3", "default"]);
}

#[test]
fn restore_of_a_url_gives_up_on_an_endpoint_that_never_answers() {
    let (sandbox, silent) = (Sandbox::new(), Silent::start());
    let url = format!("s3://{BUCKET}/shop?endpoint={}&region=us-east-1", silent.endpoint());
    let words = ["restore", "--timeout", "3s", "-o", "copy.sqlite3", &url];
    with_keys(&sandbox, "LITESTREAM", SECRET, &words).expect(11).says(&["in time"]);
    assert!(!sandbox.path("copy.sqlite3").exists());
    sandbox.assert_clean();
}

#[test]
fn a_url_is_restored_without_a_project() {
    let (sandbox, server) = (Sandbox::new(), S3::start(SECRET));
    sandbox.write("lsrun.yml", &project(&server.endpoint(), BUCKET, "addr: ''"));
    with_keys(&sandbox, "LITESTREAM", SECRET, &["verify"]).expect(0);
    std::fs::remove_file(sandbox.path("lsrun.yml")).unwrap();
    let url = format!("s3://{BUCKET}/shop?endpoint={}&region=us-east-1", server.endpoint());
    let words = ["restore", "-o", "copy.sqlite3", &url];
    with_keys(&sandbox, "LITESTREAM", SECRET, &words).expect(0);
    assert_eq!(sandbox.integer("copy.sqlite3", USERS), 3);
}

/// `asked_first`: by lsrun, before it has checked the database itself.
fn is_given_up(asked_first: bool, words: &[&str]) {
    let (sandbox, silent) = (Sandbox::new(), Silent::start());
    let (socket, lines) = Daemon::socket(&sandbox);
    sandbox.write("lsrun.yml", &project(&silent.endpoint(), BUCKET, &lines));
    let mut config = daemons(&sandbox, &silent.endpoint(), &lines);
    if asked_first {
        config = config.replace("monitor-interval: 100ms", "monitor-interval: 1h");
    }
    let _daemon = Daemon::run(&sandbox, &config, || socket.exists());
    if !asked_first {
        wait_until("the daemon says nothing any more", || {
            with_keys(&sandbox, "LITESTREAM", SECRET, &["list", "-timeout", "1"]).code != 0
        });
    }
    let started = Instant::now();
    with_keys(&sandbox, "LITESTREAM", SECRET, &["verify", "--timeout", "3s"])
        .expect(11)
        .says(words)
        .says(&["check the daemon's log; its replica may not answer"]);
    assert!(started.elapsed() < Duration::from_secs(20), "it took {:?}", started.elapsed());
    assert!(socket.exists(), "the daemon keeps its socket");
    sandbox.assert_clean();
}

#[test]
fn a_daemon_whose_storage_never_answers_is_given_up() {
    // It is given no deadline of its own, which would cost it its read lock.
    is_given_up(true, &["the litestream daemon does not answer in time"]);
}

#[test]
fn a_daemon_that_waits_for_its_storage_is_given_up() {
    is_given_up(false, &["the litestream daemon does not answer in time"]);
}

#[cfg(target_os = "linux")]
#[test]
fn interrupted_while_the_storage_never_answers() {
    use std::process::Stdio;

    let (sandbox, silent) = (Sandbox::new(), Silent::start());
    sandbox.write("lsrun.yml", &project(&silent.endpoint(), BUCKET, "addr: ''"));
    let child = sandbox
        .command(&["verify"])
        .env("LITESTREAM_ACCESS_KEY_ID", KEY)
        .env("LITESTREAM_SECRET_ACCESS_KEY", SECRET)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The first is lsrun's own.
    wait_until("litestream waits for the storage", || silent.connections() > 1);
    assert!(children_in(&sandbox).iter().any(|words| words.contains("-once")));
    let started = Instant::now();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    Run::from(child.wait_with_output().unwrap()).expect(130);
    assert!(started.elapsed() < Duration::from_secs(20), "it took {:?}", started.elapsed());
    wait_until("litestream has gone", || children_in(&sandbox).is_empty());
    sandbox.assert_clean();
}
