//! The files of replicas in object stores, read by lsrun itself: what the real litestream
//! wrote, on a server that checks signatures, and every way in which a store can fail.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use lsrun::testing::Environment;
use lsrun::testing::objects::{ListedFile, ObjectReplica, StoreFailure};

use crate::s3::{SECRET, project, with_keys};
use crate::support::s3::{BUCKET, Fault, KEY, S3, Silent, refusing};
use crate::support::server::Server;
use crate::support::{Sandbox, litestream, tls};

const PATIENCE: Duration = Duration::from_secs(20);
const KEYS: [(&str, &str); 3] = [
    ("LITESTREAM_ACCESS_KEY_ID", KEY),
    ("LITESTREAM_SECRET_ACCESS_KEY", SECRET),
    ("HOME", "/nowhere"),
];

fn environment(pairs: &[(&str, &str)]) -> Environment {
    pairs.iter().copied().collect()
}

/// The replica of the sandbox's database.
fn of_project(sandbox: &Sandbox, pairs: &[(&str, &str)]) -> Result<ObjectReplica, String> {
    ObjectReplica::of_database(&sandbox.path(""), "default", &environment(pairs), PATIENCE)
}

/// A path of the server by URL.
fn of_url(server: &S3, path: &str, patience: Duration) -> ObjectReplica {
    let url = format!("s3://{BUCKET}/{path}?endpoint={}&region=us-east-1", server.endpoint());
    ObjectReplica::of_url(&url, &environment(&KEYS), patience).unwrap()
}

fn name(min: u64, max: u64) -> String {
    format!("{min:016x}-{max:016x}.ltx")
}

/// Content that does not repeat.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A server with one file of this content, and its replica.
fn with_file(content: &[u8], patience: Duration) -> (S3, ObjectReplica, ListedFile) {
    let server = S3::start(SECRET);
    server.put(&format!("shop/0000/{}", name(1, 1)), content);
    let store = of_url(&server, "shop", patience);
    let [file] = <[ListedFile; 1]>::try_from(store.list().unwrap()).unwrap();
    (server, store, file)
}

fn failure<T>(result: Result<T, StoreFailure>) -> StoreFailure {
    result.err().expect("it must fail")
}

/// Every file below a folder of a bucket, by its level and name.
fn on_disk(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for level in std::fs::read_dir(folder).unwrap().flatten() {
        for file in std::fs::read_dir(level.path()).unwrap().flatten() {
            let name = file.file_name().into_string().unwrap();
            if name.ends_with(".ltx") {
                let level = level.file_name().into_string().unwrap();
                let content = std::fs::read(file.path()).unwrap();
                files.insert(format!("{level}/{name}"), content);
            }
        }
    }
    files
}

/// The replica holds what litestream wrote into this folder, and one request gets each.
fn is_whole(store: &ObjectReplica, folder: &Path) {
    let disk = on_disk(folder);
    assert!(disk.len() > 1, "litestream wrote {} files", disk.len());
    let listed = store.list().unwrap();
    let mut read = BTreeMap::new();
    for file in &listed {
        let (level, min, max, size) = file.numbers();
        let content = store.read(file).unwrap();
        assert_eq!(content.len() as u64, size);
        assert!(file.identity().is_some());
        assert!(file.modified() > 1_700_000_000);
        let middle = size / 3..size / 2;
        let part = content[middle.start as usize..middle.end as usize].to_vec();
        assert_eq!(store.range(file, middle).unwrap(), part);
        read.insert(format!("{level:04x}/{}", name(min, max)), content);
    }
    assert_eq!(read.keys().collect::<Vec<_>>(), disk.keys().collect::<Vec<_>>());
    assert!(read == disk, "the content differs");
    let (lists, gets, others, bytes) = store.traffic();
    assert_eq!((lists, gets, others), (1, 2 * listed.len() as u64, 0));
    assert!(bytes > disk.values().map(|content| content.len() as u64).sum());
}

/// Two levels: transactions, and the snapshot that a second daemon's start makes.
fn replicate(sandbox: &Sandbox) {
    for row in ["dan", "fay"] {
        sandbox.sql("db.sqlite3", &format!("INSERT INTO users (name) VALUES ('{row}')"));
        with_keys(sandbox, "LITESTREAM", SECRET, &["verify"]).expect(0);
    }
}

#[test]
fn what_litestream_wrote_is_listed_and_read() {
    let (sandbox, server) = (Sandbox::new(), S3::start(SECRET));
    sandbox.write("lsrun.yml", &project(&server.endpoint(), BUCKET, "addr: ''"));
    replicate(&sandbox);
    let folder = server.objects().join("shop");
    is_whole(&of_project(&sandbox, &KEYS).unwrap(), &folder);
    is_whole(&of_url(&server, "shop", PATIENCE), &folder);
    // With keys in the file, and those of AWS with a token.
    let given = format!("{{access-key-id: {KEY}, secret-access-key: {SECRET}, type");
    let text = project(&server.endpoint(), BUCKET, "addr: ''").replace("{type", &given);
    sandbox.write("lsrun.yml", &text);
    is_whole(&of_project(&sandbox, &[("HOME", "/nowhere")]).unwrap(), &folder);
    sandbox.write("lsrun.yml", &project(&server.endpoint(), BUCKET, "addr: ''"));
    let aws = [("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET)];
    let token = ("AWS_SESSION_TOKEN", "token");
    is_whole(&of_project(&sandbox, &[aws[0], aws[1], KEYS[2]]).unwrap(), &folder);
    is_whole(&of_project(&sandbox, &[aws[0], aws[1], token, KEYS[2]]).unwrap(), &folder);
}

#[test]
fn paths_with_characters_of_every_kind() {
    let (sandbox, server) = (Sandbox::new(), S3::start(SECRET));
    let path = "a b/ü+&%41=(c)'!,@~";
    let quoted = format!("path: {}", serde_json::to_string(path).unwrap());
    let text = project(&server.endpoint(), BUCKET, "addr: ''").replace("path: shop", &quoted);
    sandbox.write("lsrun.yml", &text);
    replicate(&sandbox);
    let store = of_project(&sandbox, &KEYS).unwrap();
    is_whole(&store, &server.objects().join(path));
}

#[test]
fn keys_of_a_profile_and_of_the_roles_of_a_machine_and_a_container() {
    let (sandbox, server) = (Sandbox::new(), S3::start(SECRET));
    sandbox.write("lsrun.yml", &project(&server.endpoint(), BUCKET, "addr: ''"));
    replicate(&sandbox);
    let folder = server.objects().join("shop");
    let counted = |store: &ObjectReplica| {
        assert_eq!(store.list().unwrap().len(), on_disk(&folder).len());
        store.traffic().2
    };
    let profile = format!("[x]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n");
    sandbox.write("home/.aws/credentials", &profile);
    let home = sandbox.path("home");
    let of_profile = [("HOME", home.to_str().unwrap()), ("AWS_PROFILE", "x")];
    assert_eq!(counted(&of_project(&sandbox, &of_profile).unwrap()), 0);
    // A file of credentials as a machine and a container give it.
    let keys = format!(
        r#"{{"Code":"Success","AccessKeyId":"{KEY}","SecretAccessKey":"{SECRET}","Token":"t","Expiration":"2099-01-01T00:00:00Z"}}"#
    );
    let machine = Server::of_paths(move |path| {
        let content = match path {
            "/latest/api/token" => "token".to_owned(),
            "/latest/meta-data/iam/security-credentials/" => "role".to_owned(),
            "/latest/meta-data/iam/security-credentials/role" | "/container" => keys.clone(),
            _ => return ("404 Not Found", "text/plain", Vec::new()),
        };
        ("200 OK", "application/json", content.into())
    });
    let at = format!("http://127.0.0.1:{}", machine.port);
    let of_machine = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", at.as_str()), KEYS[2]];
    assert!(of_project(&sandbox, &of_machine).is_ok_and(|store| counted(&store) > 0));
    assert!(machine.asked().iter().any(|asked| asked.contains("/role ")));
    sandbox.write("token", "secret-token");
    let token = sandbox.path("token");
    let url = format!("{at}/container");
    let of_container = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().unwrap()),
        KEYS[2],
    ];
    assert!(of_project(&sandbox, &of_container).is_ok_and(|store| counted(&store) == 0));
    assert!(machine.asked().iter().any(|asked| asked.contains("authorization: secret-token")));
    // One that has no role.
    let none = Server::of_paths(|_path| ("404 Not Found", "text/plain", Vec::new()));
    let at = format!("http://127.0.0.1:{}", none.port);
    let without = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", at.as_str()), KEYS[2]];
    let failed = failure(of_project(&sandbox, &without).unwrap().list());
    assert_eq!(failed.code, "unreachable");
    assert!(failed.text.contains("no credentials"), "{failed:?}");
}

#[test]
fn what_is_not_known_is_left_to_litestream() {
    let sandbox = Sandbox::new();
    let entry = |replica: &str, top: &str| {
        sandbox.write(
            "lsrun.yml",
            &format!("databases: {{default: db.sqlite3}}\nlitestream:\n  {top}\n  dbs:\n  - {{path: default, replica: {replica}}}\n"),
        );
        of_project(&sandbox, &KEYS).err()
    };
    let s3 = "type: s3, bucket: b, path: p, endpoint: 'http://127.0.0.1:1'";
    assert_eq!(entry(&format!("{{{s3}}}"), "addr: ''"), None);
    // What the top says is inherited.
    assert_eq!(entry("{type: s3, path: p}", "bucket: b\n  endpoint: 'http://127.0.0.1:1'"), None);
    for (replica, top, why) in [
        (format!("{{{s3}, some-day: 1}}"), "addr: ''", "some-day"),
        (format!("{{{s3}}}"), "some-day: 1", "some-day"),
        (format!("{{{s3}, region: $NOWHERE}}"), "addr: ''", "NOWHERE is not set"),
        (format!("{{{s3}, force-path-style: $LITESTREAM_ACCESS_KEY_ID}}"), "addr: ''", "neither"),
        ("{type: s3, bucket: b}".into(), "addr: ''", "path"),
        ("{type: s3, bucket: b, path: /p}".into(), "addr: ''", "path"),
        ("{type: file, path: p}".into(), "addr: ''", "folder"),
        ("{type: sftp, host: h, user: u, path: p}".into(), "addr: ''", "sftp"),
        ("{type: webdav, webdav-url: 'http://h', path: p}".into(), "addr: ''", "webdav"),
        ("{type: nats, url: 'nats://h/b'}".into(), "addr: ''", "nats"),
        ("{type: oss, bucket: b, path: p}".into(), "addr: ''", "oss"),
    ] {
        let said = entry(&replica, top).expect(&replica);
        assert!(said.contains(why), "{replica}: {said}");
    }
}

#[test]
fn files_are_listed_by_the_thousand() {
    let server = S3::start(SECRET);
    for txid in 1..=2500 {
        server.put(&format!("shop/0000/{}", name(txid, txid)), "x");
    }
    server.put(&format!("shop/0009/{}", name(1, 2500)), "snapshot");
    // What is not of this replica: another database, an old format, something else.
    server.put(&format!("shop/other/0000/{}", name(1, 1)), "x");
    server.put(&format!("shop-2/0000/{}", name(1, 1)), "x");
    server.put("shop/generations/x/snapshots/00000000.snapshot.lz4", "x");
    server.put("shop/0000/README", "x");
    let store = of_url(&server, "shop", PATIENCE);
    let files = store.list().unwrap();
    assert_eq!(files.len(), 2501);
    let numbers: Vec<_> = files.iter().map(ListedFile::numbers).collect();
    assert_eq!(numbers[2499], (0, 2500, 2500, 1));
    assert_eq!(numbers[2500], (9, 1, 2500, 8));
    assert!(numbers.is_sorted());
    let (lists, gets, ..) = store.traffic();
    assert_eq!((lists, gets), (3, 0));
    assert_eq!(server.asked().len(), 3);
    for file in &files[2490..2501] {
        store.read(file).unwrap();
    }
    assert_eq!(store.traffic().1, 11);
    assert_eq!(server.asked().len(), 14);
}

#[test]
fn keys_that_are_refused_and_buckets_that_do_not_exist() {
    let server = S3::start(SECRET);
    let of = |url: &str, pairs: &[(&str, &str)]| {
        let url = format!("{url}?endpoint={}", server.endpoint());
        failure(ObjectReplica::of_url(&url, &environment(pairs), PATIENCE).unwrap().list())
    };
    let url = format!("s3://{BUCKET}/shop");
    let wrong = of(&url, &[KEYS[0], ("LITESTREAM_SECRET_ACCESS_KEY", "wrong-secret"), KEYS[2]]);
    assert_eq!(wrong.code, "unreachable");
    for word in ["403 SignatureDoesNotMatch", "refuses the credentials: check the keys"] {
        assert!(wrong.text.contains(word), "{wrong:?}");
    }
    assert!(!wrong.text.contains("wrong-secret"));
    let unknown = of(&url, &[("LITESTREAM_ACCESS_KEY_ID", "nobody"), KEYS[1], KEYS[2]]);
    assert_eq!(unknown.code, "unreachable");
    assert!(unknown.text.contains("refuses the credentials"), "{unknown:?}");
    let missing = of("s3://nowhere/shop", &KEYS);
    assert_eq!(missing.code, "unreachable");
    assert!(missing.text.contains("NoSuchBucket"), "{missing:?}");
    assert!(missing.text.contains("the bucket does not exist"), "{missing:?}");
    // A bucket without a backup is no failure.
    assert_eq!(of_url(&server, "empty", PATIENCE).list(), Ok(Vec::new()));
}

#[test]
fn a_customers_key_is_sent_with_every_file() {
    let (sandbox, server) = (Sandbox::new(), S3::start(SECRET));
    let key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
    let text = project(&server.endpoint(), BUCKET, "addr: ''");
    let encrypted = text.replace("{type: s3", &format!("{{sse-customer-key: '{key}', type: s3"));
    sandbox.write("lsrun.yml", &encrypted);
    replicate(&sandbox);
    is_whole(&of_project(&sandbox, &KEYS).unwrap(), &server.objects().join("shop"));
    sandbox.write("lsrun.yml", &text);
    let store = of_project(&sandbox, &KEYS).unwrap();
    let files = store.list().unwrap();
    let failed = failure(store.read(&files[0]));
    assert_eq!(failed.code, "unreachable");
    assert!(failed.text.contains("400 InvalidRequest"), "{failed:?}");
}

#[test]
fn a_connection_that_ends_in_the_middle_is_taken_up_again() {
    let content = noise(3_000_000);
    let (server, store, file) = with_file(&content, PATIENCE);
    server.breaks(&[Fault::Cut(1_000_000), Fault::Busy, Fault::Cut(500_000)]);
    assert!(store.read(&file).unwrap() == content);
    assert_eq!(store.traffic().1, 4);
    // But not for ever.
    server.breaks(&[Fault::Cut(10_000); 20]);
    let failed = failure(store.read(&file));
    assert_eq!(failed.code, "unreachable");
    assert_eq!(store.traffic().1, 4 + 7);
}

#[test]
fn a_server_that_stalls_is_given_up() {
    let content = noise(3_000_000);
    let patience = Duration::from_secs(1);
    let (server, store, file) = with_file(&content, patience);
    server.breaks(&[Fault::Stall(1_000_000)]);
    let started = Instant::now();
    let mut reader = store.open(&file).unwrap();
    let mut came = Vec::new();
    let error = reader.read_to_end(&mut came).unwrap_err();
    assert!(error.to_string().contains("nothing arrived for 1 s"), "{error}");
    assert!(started.elapsed() >= patience && started.elapsed() < PATIENCE);
    assert!(came.len() <= 1_000_000 && content.starts_with(&came));
    drop(reader);
    assert!(store.read(&file).unwrap() == content, "it is read when the server goes on");
    server.breaks(&[Fault::Stall(0)]);
    let failed = failure(store.range(&file, 5..10));
    assert_eq!(failed.code, "timeout");
    assert!(failed.text.contains("--timeout"), "{failed:?}");
    // And one that says nothing from the beginning.
    let silent = Silent::start();
    let url = format!("s3://{BUCKET}/shop?endpoint={}", silent.endpoint());
    let store = ObjectReplica::of_url(&url, &environment(&KEYS), patience).unwrap();
    assert_eq!(failure(store.list()).code, "timeout");
}

#[test]
fn a_server_that_is_busy_is_asked_again_and_then_named() {
    let (server, store, file) = with_file(b"content", Duration::from_secs(2));
    server.breaks(&[Fault::Busy, Fault::Busy]);
    assert_eq!(store.read(&file).unwrap(), b"content");
    server.breaks(&[Fault::Busy; 100]);
    let failed = failure(store.read(&file));
    assert!(failed.text.contains("503 SlowDown"), "{failed:?}");
}

#[test]
fn an_endpoint_that_refuses_is_given_up() {
    let url = format!("s3://{BUCKET}/shop?endpoint={}", refusing());
    let started = Instant::now();
    let store = ObjectReplica::of_url(&url, &environment(&KEYS), PATIENCE).unwrap();
    let failed = failure(store.list());
    assert_eq!(failed.code, "unreachable");
    assert!(failed.text.contains("the replica does not answer"), "{failed:?}");
    assert!(started.elapsed() < PATIENCE);
}

#[test]
fn a_file_that_is_another_one_or_gone_is_not_read() {
    let (server, store, file) = with_file(b"content", PATIENCE);
    let key = format!("shop/0000/{}", name(1, 1));
    for other in ["CONTENT", "contents"] {
        server.put(&key, other);
        let failed = failure(store.read(&file));
        assert_eq!(failed.code, "inconclusive");
        assert!(failed.text.contains("has changed since"), "{failed:?}");
        assert_eq!(failure(store.range(&file, 0..2)).code, "inconclusive");
    }
    server.put(&key, "content");
    assert_eq!(store.range(&file, 1..3).unwrap(), b"on");
    for (start, end) in [(0, 8), (3, 3), (7, 9)] {
        assert_eq!(failure(store.range(&file, start..end)).code, "inconclusive");
    }
    std::fs::remove_file(server.objects().join(&key)).unwrap();
    assert_eq!(failure(store.read(&file)).code, "not-found");
}

/// What was read of one file is not put together with the rest of another.
#[test]
fn a_file_that_changes_while_it_is_read_is_not_read() {
    let content = noise(40_000_000);
    let (server, store, file) = with_file(&content, PATIENCE);
    server.breaks(&[Fault::Cut(30_000_000)]);
    let mut reader = store.open(&file).unwrap();
    let mut some = vec![0; 1000];
    reader.read_exact(&mut some).unwrap();
    assert!(content.starts_with(&some));
    // A few chunks are on their way, and no more.
    let (.., bytes) = store.traffic();
    assert!(bytes < 20_000_000, "{bytes} bytes came for a thousand");
    let mut other = content;
    other.reverse();
    server.put(&format!("shop/0000/{}", name(1, 1)), other);
    let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("cannot read shop/0000"), "{error}");
}

#[test]
fn certificates_are_checked_unless_the_user_says_otherwise() {
    let list = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ";
    let answer = format!("{head}{}\r\n\r\n{list}", list.len());
    let port = tls::serve(answer.leak());
    let certificate = tls::certificate();
    let bundle = ("AWS_CA_BUNDLE", certificate.to_str().unwrap());
    let list = |more: &str, variables: &[(&str, &str)]| {
        let url = format!("s3://{BUCKET}/shop?endpoint=https://localhost:{port}{more}");
        let environment = KEYS.iter().chain(variables).copied().collect();
        ObjectReplica::of_url(&url, &environment, PATIENCE).unwrap().list()
    };
    let refused = failure(list("", &[]));
    assert_eq!(refused.code, "unreachable");
    assert!(refused.text.contains("certificate"), "{refused:?}");
    assert_eq!(list("&skipVerify=true", &[]), Ok(Vec::new()));
    assert_eq!(list("", &[bundle]), Ok(Vec::new()));
}

#[test]
fn proxies_are_used_as_litestream_uses_them() {
    let (server, _store, _file) = with_file(b"content", PATIENCE);
    let (proxy, dead) = (server.endpoint(), refusing());
    let list = |endpoint: &str, more: &[(&str, &str)]| {
        let url = format!("s3://{BUCKET}/shop?endpoint={endpoint}");
        let environment = KEYS.iter().chain(more).copied().collect();
        let store = ObjectReplica::of_url(&url, &environment, Duration::from_secs(5)).unwrap();
        store.list().map(|files| files.len())
    };
    // A host that only the proxy knows.
    let far = "http://store.invalid";
    assert_eq!(list(far, &[("HTTP_PROXY", &proxy)]), Ok(1));
    assert!(server.asked().last().unwrap().contains("store.invalid"));
    assert!(list(far, &[("HTTP_PROXY", &proxy), ("NO_PROXY", "store.invalid")]).is_err());
    assert!(list(far, &[("HTTPS_PROXY", &proxy)]).is_err());
    assert!(list(far, &[("ALL_PROXY", &proxy)]).is_err());
    // This machine is asked without one.
    assert_eq!(list(&server.endpoint(), &[("HTTP_PROXY", &dead)]), Ok(1));
}

/// The same question to litestream itself, as `lsrun ltx` asks it.
#[test]
fn litestream_lists_the_same_files() {
    let (sandbox, server) = (Sandbox::new(), S3::start(SECRET));
    sandbox.write("lsrun.yml", &project(&server.endpoint(), BUCKET, "addr: ''"));
    replicate(&sandbox);
    let url = format!("s3://{BUCKET}/shop?endpoint={}&region=us-east-1", server.endpoint());
    let mut command = std::process::Command::new(litestream());
    command.args(["ltx", "-json", "-level", "all", &url]).envs(KEYS);
    // It breaks every S3 replica of litestream 0.5.
    command.env_remove("AWS_CA_BUNDLE");
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let start = text.find('[').unwrap_or_else(|| panic!("{text}\n{said}"));
    let theirs: serde_json::Value = serde_json::from_str(&text[start..]).unwrap();
    let theirs = theirs.as_array().unwrap();
    let ours = of_url(&server, "shop", PATIENCE).list().unwrap();
    assert_eq!(ours.len(), theirs.len(), "{text}");
    for file in &ours {
        let (level, min, max, size) = file.numbers();
        let same = |it: &serde_json::Value| {
            it["level"] == level
                && it["min_txid"] == format!("{min:016x}")
                && it["max_txid"] == format!("{max:016x}")
                && it["size"] == size
        };
        assert!(theirs.iter().any(same), "{file:?} in {text}");
    }
}
