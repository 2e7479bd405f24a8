//! Where the files of a replica are, for lsrun's own reader: only where it knows for
//! certain what litestream would read.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use crate::code::Code;
use crate::config::Replica;
use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::litestream::replica::chain::Until;
use crate::litestream::replica::listing::{self, Listing, LtxFile};
use crate::litestream::replica::objects::{self, Objects};
use crate::litestream::replica::source::Source;
use crate::litestream::replica::txid::Txid;
use crate::ltx::{Header, LtxFault};

/// The files of a replica. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    place: StorePlace,
    /// What an object store has listed.
    listed: Arc<HashMap<(u8, Txid, Txid), objects::StoredFile>>,
}

#[derive(Clone)]
enum StorePlace {
    Folder(PathBuf),
    Objects(Arc<Objects>),
}

/// A file of a replica, open.
pub(crate) struct OpenFile {
    /// What is in it.
    pub(crate) source: Box<dyn Read + Send>,
    /// What it is recognized by later.
    pub(crate) identity: String,
}

/// Why lsrun's own reader gives nothing.
#[derive(Debug)]
pub(crate) enum Declined {
    /// Litestream has to say what it makes of it.
    Unknown,
    /// A file is not as it should be.
    Faulty(String),
    /// It cannot be done by anybody.
    Failed(Error),
}

impl Store {
    /// What an error of this store means for the reader. A server that refuses lsrun may
    /// still answer litestream, which has its own client, certificates and proxies.
    pub(crate) fn declined(&self, error: Error) -> Declined {
        match self.place {
            StorePlace::Objects(_) if error.code() == Code::Unreachable => Declined::Unknown,
            _ => Declined::Failed(error),
        }
    }

    /// None where litestream has to be asked.
    pub(crate) fn of(session: &Session, source: &Source, patience: Duration) -> Option<Self> {
        let folder = match source {
            Source::Database(database) => session.config().ok()?.replica(database).ok()?.folder,
            Source::Url(url) => Replica::of_url(url, &session.environment).folder,
        };
        let place = match folder {
            Some(folder) => StorePlace::Folder(folder),
            None => {
                let objects = Objects::of_source(session, source, patience).ok()?;
                StorePlace::Objects(Arc::new(objects))
            }
        };
        Some(Self { place, listed: Arc::default() })
    }

    /// One in a folder.
    pub(crate) fn in_folder(folder: PathBuf) -> Self {
        Self { place: StorePlace::Folder(folder), listed: Arc::default() }
    }

    /// What is there now, and the store that can open it.
    pub(crate) async fn list(
        &self,
        session: &Session,
        source: &Source,
        until: Until,
        patience: Duration,
    ) -> Result<(Self, Listing)> {
        let objects = match &self.place {
            StorePlace::Folder(_) => {
                return Ok((self.clone(), listing::list(session, source, patience).await?));
            }
            StorePlace::Objects(objects) => Arc::clone(objects),
        };
        let list = tokio::task::spawn_blocking({
            let objects = Arc::clone(&objects);
            move || objects.list()
        });
        let files =
            list.await.map_err(|error| Error::inconclusive("the listing ended").cause(error))??;
        let listing = match until {
            // The time of a transaction is not that of its object.
            Until::Before(_) => listing::list(session, source, patience).await?,
            Until::Newest | Until::Txid(_) => {
                let file = |file: &objects::StoredFile| LtxFile {
                    level: file.level,
                    min: file.min,
                    max: file.max,
                    created: file.modified,
                    size: file.size,
                };
                Listing { files: files.iter().map(file).collect(), blur: SignedDuration::ZERO }
            }
        };
        let listed = files.into_iter().map(|file| ((file.level, file.min, file.max), file));
        let listed = Arc::new(listed.collect());
        Ok((Self { place: StorePlace::Objects(objects), listed }, listing))
    }

    /// Whether there is a backup of litestream 0.3 as well, which may be the newer one.
    pub(crate) fn has_generations(&self) -> Result<bool> {
        match &self.place {
            StorePlace::Folder(folder) => Ok(folder.join("generations").exists()),
            StorePlace::Objects(objects) => objects.has_generations(),
        }
    }

    /// Where it is, for people.
    pub(crate) fn describe(&self) -> String {
        match &self.place {
            StorePlace::Folder(folder) => folder.display().to_string(),
            StorePlace::Objects(_) => "the object store".to_owned(),
        }
    }

    /// The name of a file, for people.
    pub(crate) fn name(&self, file: &LtxFile) -> String {
        match (&self.place, self.object(file)) {
            (StorePlace::Folder(folder), _) => file.path_in(folder).display().to_string(),
            (StorePlace::Objects(_), Some(object)) => object.name().to_owned(),
            (StorePlace::Objects(_), None) => format!("{}-{}.ltx", file.min, file.max),
        }
    }

    fn object(&self, file: &LtxFile) -> Option<&objects::StoredFile> {
        self.listed.get(&(file.level, file.min, file.max))
    }

    pub(crate) fn open(&self, file: &LtxFile) -> Result<OpenFile, LtxFault> {
        let missing = || LtxFault::Unreadable(std::io::ErrorKind::NotFound.into());
        match &self.place {
            StorePlace::Folder(folder) => {
                let (source, identity) = open_in(folder, file)?;
                Ok(OpenFile { source: Box::new(source), identity })
            }
            StorePlace::Objects(objects) => {
                let object = self.object(file).ok_or_else(missing)?;
                let source = objects.open(object).map_err(std::io::Error::other)?;
                let identity = identity_of_object(object).unwrap_or_default();
                Ok(OpenFile { source, identity })
            }
        }
    }

    /// The header of a file, where that costs nothing.
    pub(crate) fn header(&self, file: &LtxFile) -> Option<Header> {
        let StorePlace::Folder(folder) = &self.place else { return None };
        let mut bytes = [0; Header::LENGTH];
        open_in(folder, file).ok()?.0.read_exact_at(&mut bytes, 0).ok()?;
        Header::parse(&bytes)
    }

    /// What a file is recognized by; none if it is not there any more, or if its store says
    /// nothing by which it could be.
    pub(crate) fn identity(&self, file: &LtxFile) -> Option<String> {
        match &self.place {
            StorePlace::Folder(folder) => {
                let metadata = std::fs::metadata(file.path_in(folder)).ok()?;
                Some(identity(&metadata))
            }
            StorePlace::Objects(_) => identity_of_object(self.object(file)?),
        }
    }
}

/// Opens a file, with what it is recognized by later.
fn open_in(folder: &Path, file: &LtxFile) -> Result<(File, String), LtxFault> {
    // A FIFO would wait for a writer.
    let waits = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let source = File::options().read(true).custom_flags(waits).open(file.path_in(folder))?;
    let metadata = source.metadata()?;
    if !metadata.is_file() {
        return Err(LtxFault::Unknown("it is not a regular file".to_owned()));
    }
    Ok((source, identity(&metadata)))
}

/// The time of a change of its inode, which nobody can set, and the inode: litestream sets
/// the time of a change of the content to that of the transaction.
fn identity(file: &std::fs::Metadata) -> String {
    format!(
        "{}:{}:{}:{}.{:09}",
        file.dev(),
        file.ino(),
        file.size(),
        file.ctime(),
        file.ctime_nsec()
    )
}

/// The store's word for its content, and when it was written.
fn identity_of_object(file: &objects::StoredFile) -> Option<String> {
    Some(format!("{}:{}:{}", file.identity.as_ref()?, file.size, file.modified))
}
