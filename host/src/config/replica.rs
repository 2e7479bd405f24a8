//! Where the backup of a database goes.

use std::path::{Path, PathBuf};

use super::listed::replicas_of;
use super::tree::{Map, Node, Text, TextRole};
use super::view::View;
use super::{Config, not_replicated};
use crate::environment::Environment;
use crate::error::Result;
use crate::project::Database;

/// Where the backup of a database goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replica {
    /// `file`, `s3`, `gs`, `abs`, `sftp`, `webdav`, `nats`, `oss`.
    pub kind: String,
    /// One line without secrets: `file /srv/replica`, `s3 bucket/path`.
    pub description: String,
    /// The folder of a file replica, absolute.
    pub folder: Option<PathBuf>,
    /// The server that holds it, if it is known.
    pub endpoint: Option<(String, u16)>,
}

impl Replica {
    /// What a replica URL alone says, as Litestream reads it.
    #[must_use]
    pub(crate) fn of_url(url: &str, environment: &Environment) -> Self {
        let keys = Map(vec![("url".into(), Node::Text(Text::literal(url, TextRole::Plain)))]);
        let (top, root, text) = (Map::default(), Path::new("/"), Text::as_written);
        View { replica: &keys, top: &top, root, environment, text: &text }.described()
    }
}

impl View<'_> {
    /// The replica as the rest of lsrun sees it.
    pub(super) fn described(&self) -> Replica {
        let folder = self.folder();
        let description = match &folder {
            Some(folder) => format!("file {}", folder.display()),
            None => self.destination().describe(),
        };
        Replica { kind: self.kind(), description, folder, endpoint: self.endpoint() }
    }
}

impl Config {
    /// Where the backup of `database` goes.
    ///
    /// Fails (exit 20) when no entry replicates it.
    pub(crate) fn replica(&self, database: &Database) -> Result<Replica> {
        let keys = self.keys_of(&database.path, database.alias.as_ref().map(|it| it.as_str()))?;
        let Some(replica) = replicas_of(&keys).into_iter().next() else {
            return Err(not_replicated(&database.name()));
        };
        Ok(self.described(replica))
    }

    pub(super) fn described(&self, replica: &Map) -> Replica {
        self.view(replica, &self.lookup_text()).described()
    }
}
