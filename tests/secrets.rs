//! Canaries: a different secret in every place where one can be, and none of them
//! in anything that is printed, written or sent. And names with control characters and
//! commands in them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use crate::support::{PROJECT, Run, Sandbox};

/// A server that keeps the requests as they came.
struct Server {
    url: String,
    requests: Receiver<String>,
}

impl Server {
    /// `answer` is the status line and headers for a request.
    fn start(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let (mut head, mut length) = (String::new(), 0);
                loop {
                    let before = head.len();
                    if reader.read_line(&mut head).unwrap_or(0) == 0 {
                        break;
                    }
                    let line = head[before..].trim().to_ascii_lowercase();
                    if let Some(value) = line.strip_prefix("content-length: ") {
                        length = value.parse().unwrap();
                    }
                    if line.is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let text = format!("{head}{}", String::from_utf8(body).unwrap());
                let end = "content-length: 0\r\nconnection: close\r\n\r\n";
                let answer = format!("HTTP/1.1 {}\r\n{end}", answer(&text));
                let _gone = reader.get_mut().write_all(answer.as_bytes());
                if sender.send(text).is_err() {
                    return;
                }
            }
        });
        Self { url, requests }
    }

    fn fine() -> Self {
        Self::start(|_| "200 OK".to_owned())
    }

    fn all(&self) -> Vec<String> {
        self.requests.try_iter().collect()
    }
}

/// In the environment, by name.
const VARIABLES: [(&str, &str); 6] = [
    ("AWS_SECRET_ACCESS_KEY", "canaryAwsSecret+one/9"),
    ("LITESTREAM_SECRET_ACCESS_KEY", "canaryLitestream+two/9"),
    ("MY_API_TOKEN", "canary-token \"three\" & 9"),
    ("UNREMARKABLE", "canaryReferenced4x9"),
    ("DATABASE_URL", "postgres://app:canaryUrlFive9@db/app"),
    ("PING_ID", "canaryPingSix9"),
];

/// What must be nowhere, in the forms that it may take.
fn canaries() -> Vec<&'static str> {
    vec![
        "canaryAwsSecret",
        "canaryLitestream",
        "canary-token",
        "canaryReferenced4x9",
        "canaryUrlFive9",
        "canaryPingSix9",
        "canaryKeySeven9",
        "canary/pass@eight9",
        "canary%2Fpass%40eight9",
        "canaryQueryNine9",
        "canaryHookTen9",
        "canaryPluginEleven9",
        "canaryBlockTwelve9",
        "canaryArgument13x9",
    ]
}

#[track_caller]
fn clean(what: &str, text: &str) {
    for canary in canaries() {
        assert!(!text.contains(canary), "{canary} in {what}:\n{text}");
    }
}

fn lsrun(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let mut command = sandbox.command(arguments);
    command.envs(VARIABLES).env("NO_PROXY", "127.0.0.1");
    command.output().unwrap().into()
}

/// A project with secrets everywhere. `replicas` is the replica of the second.
fn project(server: &str, more: &str) -> String {
    format!(
        "{PROJECT}  - path: other.sqlite3
    replica: {{type: s3, bucket: b, path: p, endpoint: 'http://127.0.0.1:9', access-key-id: $UNREMARKABLE, secret-access-key: canaryKeySeven9}}
  - path: third.sqlite3
    replica: {{url: 'sftp://me:canary/pass@eight9@127.0.0.1:9/x'}}
  - path: fourth.sqlite3
    replica: {{url: 's3://b/q?endpoint=127.0.0.1:9&access-key-id=x&secret-access-key=canaryQueryNine9'}}
verify:
  timeout: 5s
  ping: {server}/ping/${{PING_ID}}
  webhook: {server}/hook?key=canaryHookTen9
plugins:
  settings:
    row-count: {{config: {{table: users, api-token: canaryPluginEleven9, password: 'a canaryBlockTwelve9'}}}}
{more}"
    )
}

#[test]
fn no_canary_is_printed_written_or_sent() {
    let server = Server::fine();
    let sandbox = Sandbox::new();
    for name in ["other", "third", "fourth"] {
        sandbox.sql(&format!("{name}.sqlite3"), "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    }
    sandbox.plugin("row-count");
    // An assertion that shows a secret: what is in the text of the project is known.
    sandbox.write("lsrun.yml", &project(&server.url, ""));
    let summary = sandbox.path("summary.md");
    let mut all = Vec::new();
    for format in ["human", "json", "ndjson"] {
        let mut command = sandbox.command(&["--format", format, "verify"]);
        command
            .args(["--junit", "junit.xml", "--prometheus", "metrics.prom"])
            .envs(VARIABLES)
            .env("NO_PROXY", "127.0.0.1")
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_STEP_SUMMARY", &summary);
        let run: Run = command.output().unwrap().into();
        assert_ne!(run.code, 0, "{run:?}");
        clean(&format!("verify, {format}"), &format!("{}{}", run.stdout, run.stderr));
        all.push(run);
    }
    for file in ["junit.xml", "metrics.prom", "summary.md"] {
        clean(file, &std::fs::read_to_string(sandbox.path(file)).unwrap());
    }
    for folder in std::fs::read_dir(sandbox.state()).unwrap().flatten() {
        let bytes = std::fs::read(folder.path().join("history.sqlite3")).unwrap();
        clean("the history", &String::from_utf8_lossy(&bytes));
    }
    let requests = server.all();
    assert!(requests.len() >= 9, "{requests:?}");
    for request in requests {
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        clean("a body", body);
        assert!(!head.to_ascii_lowercase().contains("referer"), "{head}");
    }
    let commands: &[&[&str]] = &[
        &["config", "--check"],
        &["--format", "json", "config", "--check"],
        &["history"],
        &["points", "third.sqlite3"],
        &["points", "fourth.sqlite3"],
        &["points", "s3://b/q?endpoint=127.0.0.1:9&secret-access-key=canaryArgument13x9"],
        &["points", "sftp://me:canaryArgument13x9@127.0.0.1:9/x"],
        &["restore", "-o", "out.db", "third.sqlite3"],
        &["restore", "-o", "out.db", "sftp://me:canaryArgument13x9@127.0.0.1:9/x"],
        &["restore", "-dry-run", "-o", "out.db", "other.sqlite3"],
        &["--format", "json", "restore", "-o", "out.db", "fourth.sqlite3"],
        &["verify", "--ping", "ftp://x/canaryArgument13x9", "default"],
        &["verify", "sftp://me:canaryArgument13x9@h/x"],
        &["sync", "other.sqlite3"],
        &["version"],
        &["vrify"],
        &["verify", "--webhook", "http://127.0.0.1:9/canaryArgument13x9", "default"],
    ];
    for words in commands {
        let run = lsrun(&sandbox, words);
        clean(&words.join(" "), &format!("{}{}", run.stdout, run.stderr));
    }
    // And the file that lsrun prints on purpose has them.
    let shown = lsrun(&sandbox, &["config"]).expect(0);
    assert!(shown.stdout.contains("canaryKeySeven9"), "{}", shown.stdout);
}

#[test]
fn no_canary_is_in_the_message_about_a_broken_file() {
    let sandbox = Sandbox::new();
    let cases = [
        "litestream:\n  secret-access-key: canaryKeySeven9\n  dbs: [\n",
        "litestream:\n  secret-access-key: 'canaryKeySeven9\n  dbs: []\n",
        "litestream: {secret-access-key: canaryKeySeven9]\n",
        "litestream:\n  password: |\n   canaryBlockTwelve9\n  canaryBlockTwelve9\n x: [\n",
        "litestream:\n  token:\n    - \"canaryKeySeven9\n    - x\n",
        "litestream:\n  token: canaryKeySeven9\n  token: canaryKeySeven9\n",
        "litestream:\n  dbs:\n  - url: s3://b/p?secret-access-key=canaryQueryNine9 [\n   x\n",
        "litestream:\n  dbs:\n  - {path: x, replica: {url: 'sftp://me:canary/pass@eight9@h/x'}, {\n",
        "litestream:\n  dbs: {token: canaryKeySeven9}\n",
        "verify: {timeout: 5, ping: 'http://h/canaryPingSix9'}\n",
        "verify: {pong: 'http://h/x?token=canaryPingSix9', webhook: [http://h/canaryHookTen9]}\n",
        "verify: {webhook: \"http://h/canaryHookTen9\\q\"}\n",
        "plugins: {settings: {x: {config: {token: canaryPluginEleven9}, tokens: canaryPluginEleven9}}}\n",
        "databases: {default: {path: x, password: canaryKeySeven9}}\n",
        "canaryKey: 1\nlitestream: {api-token: *canaryKeySeven9}\n",
    ];
    for text in cases {
        sandbox.write("lsrun.yml", text);
        for words in [&["verify"][..], &["--format", "json", "config", "--check"], &["config"]] {
            let run = lsrun(&sandbox, words);
            assert_ne!(run.code, 0, "{text}\n{run:?}");
            clean(text, &format!("{}{}", run.stdout, run.stderr));
            run.says(&["error"]);
        }
    }
}

#[test]
fn a_message_is_not_sent_to_another_host() {
    let other = Server::fine();
    let to = other.url.clone();
    let first = Server::start(move |_| format!("307 Temporary Redirect\r\nlocation: {to}/taken"));
    let sandbox = Sandbox::new();
    let url = format!("{}/canaryPingSix9", first.url);
    let run = lsrun(&sandbox, &["verify", "--ping", &url, "--webhook", &url]).expect(0);
    run.says(&["warning: ping:", "307", "warning: webhook:"]);
    assert_eq!(other.all(), Vec::<String>::new());
    // On the same host it is followed, and reveals to nobody where it comes from.
    let same = Server::start(|request| {
        if request.starts_with("POST /moved") {
            "200 OK".to_owned()
        } else {
            "307 Temporary Redirect\r\nlocation: /moved".to_owned()
        }
    });
    let url = format!("{}/canaryHookTen9", same.url);
    lsrun(&sandbox, &["verify", "--webhook", &url]).expect(0).says_not("warning:");
    let requests = same.all();
    assert!(requests.iter().any(|request| request.starts_with("POST /moved")), "{requests:?}");
    for request in requests.iter().filter(|request| request.starts_with("POST /moved")) {
        clean("the request that was redirected", request);
    }
}

/// Names with line ends, escapes, marks of the direction of writing and commands to a
/// pipeline, wherever a name can come from.
#[test]
fn no_name_is_more_than_a_name() {
    let evil = "x\n::error::forged\n##[error]forged\u{1b}[2J\u{202e}\u{9b}y";
    let sandbox = Sandbox::new();
    // JSON leaves characters as they are that YAML does not take.
    let yaml: String = evil
        .chars()
        .map(|letter| match letter {
            ' '..='~' => letter.to_string(),
            _ => format!("\\u{:04x}", u32::from(letter)),
        })
        .collect();
    let yaml = format!("\"{yaml}\"");
    std::fs::copy(sandbox.path("db.sqlite3"), sandbox.path("e.sqlite3")).unwrap();
    let folder = sandbox.path("tenants");
    std::fs::create_dir(&folder).unwrap();
    let tenant = folder.join("t\n::warning::forged\u{1b}[2J\u{202e}.db");
    rusqlite::Connection::open(&tenant).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    sandbox.write(
        "lsrun.yml",
        &format!(
            "databases: {{default: db.sqlite3, {yaml}: e.sqlite3}}
litestream:
  dbs:
  - {{path: default, replica: {{type: file, path: replica}}}}
  - {{path: e.sqlite3, replica: {{type: file, path: replica2}}}}
  - {{dir: tenants, pattern: '*.db', replica: {{type: file, path: replica3}}}}
verify:
  assertions:
    default:
    - {{name: {yaml}, sql: select 0}}
"
        ),
    );
    let summary = sandbox.path("summary.md");
    for words in [
        &["verify", "--prometheus", "m.prom", "--junit", "j.xml"][..],
        &["history"],
        &["config", "--check"],
        &["restore", "-o", "out/", "--all"],
        &["restore", "nothing\n::error::forged\u{1b}[2J"],
        &["points", "nothing\n::error::forged\u{1b}[2J"],
    ] {
        let mut command = sandbox.command(words);
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary);
        let run: Run = command.output().unwrap().into();
        let all = format!("{}\n{}", run.stdout, run.stderr);
        let shown = words[0] == "config" || all.contains("forged");
        assert!(shown, "{words:?}: the name is not even shown:\n{all}");
        assert!(!all.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{words:?}:\n{all}");
        assert!(!all.contains("##["), "{words:?}:\n{all}");
        for line in all.lines().map(str::trim_start) {
            assert!(!line.starts_with("::error::"), "{words:?}:\n{all}");
            assert!(!line.starts_with("::warning::"), "{words:?}:\n{all}");
        }
    }
    for file in ["summary.md", "m.prom"] {
        let text = std::fs::read_to_string(sandbox.path(file)).unwrap();
        assert!(text.contains("forged"), "{file}");
        assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{file}:\n{text}");
        assert!(!text.lines().any(|line| line.starts_with("::") || line.starts_with("##[")));
    }
    let metrics = std::fs::read_to_string(sandbox.path("m.prom")).unwrap();
    for line in metrics.lines() {
        assert!(line.starts_with("lsrun_verify_") || line.starts_with('#'), "{line}");
    }
}
