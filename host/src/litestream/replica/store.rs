//! Where the files of a replica are, for lsrun's own reader: only where it knows for
//! certain what litestream would read.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use crate::config::Replica;
use crate::litestream::Session;
use crate::litestream::replica::listing::LtxFile;
use crate::litestream::replica::source::Source;
use crate::ltx::{Header, LtxFault};

/// The files of a replica.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    folder: PathBuf,
}

/// A file of a replica, open.
pub(crate) struct StoredFile {
    /// What is in it.
    pub(crate) source: File,
    /// What it is recognized by later.
    pub(crate) identity: String,
}

impl Store {
    /// None where litestream has to be asked.
    pub(crate) fn of(session: &Session, source: &Source) -> Option<Self> {
        let folder = match source {
            Source::Database(database) => session.config().ok()?.replica(database).ok()?.folder,
            Source::Url(url) => Replica::of_url(url, &session.environment).folder,
        }?;
        // A backup of litestream 0.3 may be the newer one.
        (!folder.join("generations").exists()).then_some(Self { folder })
    }

    /// One in a folder.
    pub(crate) fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where it is, for people.
    pub(crate) fn describe(&self) -> String {
        self.folder.display().to_string()
    }

    /// The name of a file, for people.
    pub(crate) fn name(&self, file: &LtxFile) -> String {
        file.path_in(&self.folder).display().to_string()
    }

    pub(crate) fn open(&self, file: &LtxFile) -> Result<StoredFile, LtxFault> {
        // A FIFO would wait for a writer.
        let waits = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let name = file.path_in(&self.folder);
        let source = File::options().read(true).custom_flags(waits).open(name)?;
        let metadata = source.metadata()?;
        if !metadata.is_file() {
            return Err(LtxFault::Unknown("it is no regular file".to_owned()));
        }
        Ok(StoredFile { source, identity: identity(&metadata) })
    }

    /// The header of a file, where that costs nothing.
    pub(crate) fn header(&self, file: &LtxFile) -> Option<Header> {
        let mut bytes = [0; Header::LENGTH];
        self.open(file).ok()?.source.read_exact_at(&mut bytes, 0).ok()?;
        Header::parse(&bytes)
    }

    /// What a file is recognized by; none if it is not there any more.
    pub(crate) fn identity(&self, file: &LtxFile) -> Option<String> {
        std::fs::metadata(file.path_in(&self.folder)).ok().map(|metadata| identity(&metadata))
    }
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
