//! The LTX files of a replica: listed by litestream, or read from a folder.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::config::{Purpose, Replica};
use crate::error::Result;
use crate::litestream::Session;
use crate::litestream::process::child;
use crate::litestream::process::limit::Limit;
use crate::litestream::process::said::explain;
use crate::litestream::replica::reach;
use crate::litestream::replica::source::{Source, redact};
use crate::litestream::replica::txid::Txid;
use crate::ltx::NextFile;

/// The level of snapshots, which need nothing before them.
pub(crate) const SNAPSHOT: u8 = 9;

/// An LTX file of a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LtxFile {
    /// 0 to 9.
    pub level: u8,
    /// Its first transaction.
    pub min: Txid,
    /// Its last transaction.
    pub max: Txid,
    /// When litestream says that it was made.
    pub created: Timestamp,
    /// In bytes.
    pub size: u64,
}

impl LtxFile {
    /// Where it is in the folder of a file replica.
    pub(crate) fn path_in(&self, replica: &Path) -> PathBuf {
        let name = format!("{}-{}.ltx", self.min, self.max);
        replica.join("ltx").join(self.level.to_string()).join(name)
    }

    /// For [`Assembly::add`](crate::ltx::Assembly::add).
    pub(crate) fn next<R>(&self, source: R) -> NextFile<R> {
        NextFile { min_txid: self.min.0, max_txid: self.max.0, source }
    }
}

/// The files of a replica.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listing {
    /// In any order.
    pub files: Vec<LtxFile>,
    /// By how much a time may be later than [`LtxFile::created`] says: `ltx -json`
    /// leaves out the fraction of a second.
    pub blur: SignedDuration,
}

/// Lists the files of a replica.
pub(crate) async fn list(
    session: &Session,
    source: &Source,
    patience: Duration,
) -> Result<Listing> {
    let folder = match source {
        Source::Database(database) => session.config()?.replica(database)?.folder,
        Source::Url(url) => Replica::of_url(url, &session.environment).folder,
    };
    if let Some(folder) = folder {
        return Ok(read(&folder));
    }
    let probe = patience.min(Duration::from_secs(5));
    let (what, config) = match source {
        Source::Database(database) => {
            reach::reach(session, database, probe).await?;
            let purpose = Purpose::Read { database: Some(database.path.clone()) };
            let config = session.config()?.for_child(&purpose, &session.environment)?;
            (database.path.clone().into_os_string(), Some(config))
        }
        Source::Url(url) => {
            reach::reach_url(session, url, probe).await?;
            (url.into(), None)
        }
    };
    let arguments = ["ltx", "-json", "-level", "all"].map(OsStr::new);
    let arguments: Vec<&OsStr> = arguments.into_iter().chain([what.as_os_str()]).collect();
    let deadline = Limit::At(std::time::Instant::now() + patience);
    let output = child::capture(session, &arguments, config, deadline).await?;
    if output.code != Some(0) {
        let name = match source {
            Source::Database(database) => database.name(),
            Source::Url(url) => redact(url),
        };
        return Err(explain(&output, &format!("list the replica of {name}")));
    }
    let json = output.json().unwrap_or_default();
    let files = json.as_array().map(Vec::as_slice).unwrap_or_default();
    let file = |file: &serde_json::Value| {
        Some(LtxFile {
            level: u8::try_from(file["level"].as_u64()?).ok()?,
            min: file["min_txid"].as_str()?.parse().ok()?,
            max: file["max_txid"].as_str()?.parse().ok()?,
            created: file["timestamp"].as_str()?.parse().ok()?,
            size: file["size"].as_u64().unwrap_or_default(),
        })
    };
    Ok(Listing {
        files: files.iter().filter_map(file).collect(),
        blur: SignedDuration::from_secs(1),
    })
}

/// The files of a replica in a folder; litestream, too, takes their times from the
/// file system.
pub(crate) fn read(replica: &Path) -> Listing {
    let mut files = Vec::new();
    for level in 0..=SNAPSHOT {
        let Ok(entries) = std::fs::read_dir(replica.join("ltx").join(level.to_string())) else {
            continue;
        };
        files.extend(entries.flatten().filter_map(|entry| {
            let name = entry.file_name();
            let (min, max) = name.to_str()?.strip_suffix(".ltx")?.split_once('-')?;
            let metadata = entry.metadata().ok()?;
            let modified = metadata.modified().ok()?;
            Some(LtxFile {
                level,
                min: min.parse().ok()?,
                max: max.parse().ok()?,
                created: Timestamp::try_from(modified).ok()?,
                size: metadata.len(),
            })
        }));
    }
    Listing { files, blur: SignedDuration::ZERO }
}
