//! A replica as it is written: what its texts resolve to, as far as that is known.

use std::path::{Path, PathBuf};

use super::tree::{Map, Text};
use super::url::ReplicaUrl;
use crate::environment::Environment;
use crate::path::{absolute, expand_home};

/// What the texts of a replica resolve to, as far as that is known.
pub(super) struct View<'a> {
    pub(super) replica: &'a Map,
    /// The top of the configuration, which holds defaults.
    pub(super) top: &'a Map,
    pub(super) root: &'a Path,
    pub(super) environment: &'a Environment,
    /// The text of a value, its references replaced where they can be.
    pub(super) text: &'a dyn Fn(&Text) -> String,
}

impl View<'_> {
    /// The text of a key of its own; none if it is empty.
    pub(super) fn own(&self, key: &str) -> Option<String> {
        self.replica.text(key).map(self.text).filter(|text| !text.is_empty())
    }

    /// The same, or the default of the whole configuration.
    pub(super) fn inherited(&self, key: &str) -> Option<String> {
        self.own(key).or_else(|| self.top.text(key).map(self.text))
    }

    /// Its `url`.
    pub(super) fn url(&self) -> Option<ReplicaUrl> {
        ReplicaUrl::parse(&self.own("url")?)
    }

    /// The type: a URL's scheme wins over `type`, and `file` is the default.
    pub(super) fn kind(&self) -> String {
        let scheme = self.url().map(|url| url.scheme);
        match scheme.or_else(|| self.own("type")).as_deref() {
            Some("webdavs") => "webdav".to_owned(),
            Some(kind) => kind.to_owned(),
            None => "file".to_owned(),
        }
    }

    /// The folder of a file replica, absolute.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        if self.kind() != "file" {
            return None;
        }
        let path = match self.url() {
            // `file://a/b` is `/a/b` to Litestream.
            Some(url) => format!("/{}{}", url.host, url.path),
            None => self.own("path")?,
        };
        Some(absolute(self.root, &expand_home(&path, self.environment)))
    }
}
