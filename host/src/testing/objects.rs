//! The files of a replica in an object store, for tests that have a store.

use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::environment::Environment;
use crate::error::Error;
use crate::litestream::Session;
use crate::litestream::replica::objects::{Objects, StoreRequests, StoredFile, cause};
use crate::litestream::replica::source::Source;
use crate::notes::{Notes, Progress};
use crate::project::Project;
use crate::stop::Stop;

/// A replica in an object store, with a runtime of its own.
pub struct ObjectReplica {
    objects: Objects,
    /// Dropped last.
    _runtime: Runtime,
}

/// A file that was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedFile(StoredFile);

impl ListedFile {
    /// Level, first and last transaction, and size.
    #[must_use]
    pub fn numbers(&self) -> (u8, u64, u64, u64) {
        (self.0.level, self.0.min.0, self.0.max.0, self.0.size)
    }

    /// What the store calls this content.
    #[must_use]
    pub fn identity(&self) -> Option<&str> {
        self.0.identity.as_deref()
    }

    /// When it was written, in seconds.
    #[must_use]
    pub fn modified(&self) -> i64 {
        self.0.modified.as_second()
    }
}

/// Why something failed: the word of its code, and everything that is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreFailure {
    /// `unreachable`, `timeout`, …
    pub code: &'static str,
    /// Message, causes and hint.
    pub text: String,
}

impl From<Error> for StoreFailure {
    fn from(error: Error) -> Self {
        let hint = error.hint_text().unwrap_or_default();
        Self { code: error.code().as_str(), text: format!("{} | {hint}", error.one_line()) }
    }
}

impl ObjectReplica {
    /// The replica at a URL. Fails with the reason for which litestream has to read it.
    pub fn of_url(
        url: &str,
        environment: &Environment,
        patience: Duration,
    ) -> Result<Self, String> {
        let folder = Path::new("/");
        Self::of(Project::without_file(folder), folder, environment, patience, |_project| {
            Ok(Source::Url(url.to_owned()))
        })
    }

    /// That of a database of the project in a folder.
    pub fn of_database(
        folder: &Path,
        name: &str,
        environment: &Environment,
        patience: Duration,
    ) -> Result<Self, String> {
        let project = Project::load(Some(folder), folder, environment);
        let project = project.map_err(|error| error.one_line())?;
        Self::of(project, folder, environment, patience, |project| {
            Ok(Source::Database(project.database(name)?))
        })
    }

    fn of(
        project: Project,
        folder: &Path,
        environment: &Environment,
        patience: Duration,
        source: impl FnOnce(&Project) -> Result<Source, Error>,
    ) -> Result<Self, String> {
        let source = source(&project).map_err(|error| error.one_line())?;
        let (stop, notes) = (Stop::default(), Arc::new(Quiet));
        let session = Session::new(project, environment.clone(), folder.into(), stop, notes);
        let runtime = Runtime::new().map_err(|error| error.to_string())?;
        let within = runtime.enter();
        let objects =
            Objects::of_source(&session, &source, patience).map_err(|why| why.to_string())?;
        drop(within);
        Ok(Self { objects, _runtime: runtime })
    }

    /// Every file.
    pub fn list(&self) -> Result<Vec<ListedFile>, StoreFailure> {
        Ok(self.objects.list()?.into_iter().map(ListedFile).collect())
    }

    /// A reader of a file.
    pub fn open(&self, file: &ListedFile) -> Result<Box<dyn Read + Send>, StoreFailure> {
        Ok(self.objects.open(&file.0)?)
    }

    /// All of a file.
    pub fn read(&self, file: &ListedFile) -> Result<Vec<u8>, StoreFailure> {
        let mut content = Vec::new();
        self.open(file)?.read_to_end(&mut content).map_err(cause)?;
        Ok(content)
    }

    /// A part of a file.
    pub fn range(&self, file: &ListedFile, range: Range<u64>) -> Result<Vec<u8>, StoreFailure> {
        Ok(self.objects.range(&file.0, range)?)
    }

    /// How many lists, files and other things were asked for, and how many bytes came.
    #[must_use]
    pub fn traffic(&self) -> (u64, u64, u64, u64) {
        let StoreRequests { lists, gets, others } = self.objects.requests();
        (lists, gets, others, self.objects.bytes())
    }
}

/// Nobody listens.
struct Quiet;

impl Progress for Quiet {
    fn note(&self, _text: &str) {}
    fn bytes(&self, _done: u64, _total: Option<u64>) {}
    fn finished(&self) {}
}

impl Notes for Quiet {
    fn note_once(&self, _text: &str) {}
    fn warning(&self, _text: &str) {}
    fn is_watched(&self) -> bool {
        false
    }
}
