//! An entry of `dbs`: what it replicates, and its keys.

use std::path::Path;

use super::tree::{Map, Node, Text, TextRole};
use super::variables::BUCKET;
use crate::project::Entry;
use crate::reference::Piece;

/// An entry of `dbs`: what it replicates, and its keys.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) entry: Entry,
    pub(super) keys: Map,
}

impl Listed {
    /// How messages call it.
    pub(super) fn name(&self) -> String {
        match &self.entry {
            Entry::Database { database, .. } => database.name(),
            Entry::Directory { path, .. } => path.display().to_string(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        match &self.entry {
            Entry::Database { database, .. } => &database.path,
            Entry::Directory { path, .. } => path,
        }
    }

    pub(super) fn replicas(&self) -> Vec<&Map> {
        replicas_of(&self.keys)
    }

    /// Gives an entry without a replica the automatic one; returns whether it did.
    pub(super) fn add_replica(&mut self, prefix: &Option<Text>) -> bool {
        let given = self.keys.get("replica").is_some();
        let listed = match self.keys.get("replicas") {
            Some(Node::List(items)) => !items.is_empty(),
            _ => false,
        };
        if !listed {
            self.keys.remove("replicas");
        }
        if given || listed {
            return false;
        }
        let name = self.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut path = Text::literal("", TextRole::Plain);
        path.pieces = prefix.iter().flat_map(|prefix| prefix.pieces.clone()).collect();
        path.pieces.push(Piece::Literal(name));
        let keys = [
            ("type", Node::Text(Text::literal("s3", TextRole::Plain))),
            ("bucket", Node::Text(Text::reference(BUCKET, TextRole::Plain))),
            ("path", Node::Text(path)),
        ];
        let keys = keys.map(|(key, node)| (key.to_owned(), node));
        self.keys.set("replica", Node::Map(Map(keys.into())));
        true
    }

    /// Marks the `path` of file replicas as one of the local disk.
    pub(super) fn settle_replicas(&mut self) {
        let settle = |node: &mut Node| {
            let Node::Map(replica) = node else { return };
            let kind = replica.text("type").map(Text::as_written).unwrap_or_default();
            if replica.get("url").is_none()
                && matches!(kind.as_str(), "" | "file")
                && let Some(path) = replica.text_mut("path")
            {
                path.role = TextRole::Path;
            }
        };
        if let Some(replica) = self.keys.get_mut("replica") {
            settle(replica);
        }
        if let Some(Node::List(items)) = self.keys.get_mut("replicas") {
            items.iter_mut().for_each(settle);
        }
    }

    /// The entry that Litestream makes up for a database in the folder of a `dir:`
    /// entry.
    pub(super) fn member(&self, path: &Path, relative: &Path) -> Map {
        let mut keys = self.keys.clone();
        for key in ["dir", "pattern", "recursive", "watch"] {
            keys.remove(key);
        }
        let text = Text::literal(path.display().to_string(), TextRole::Path);
        keys.0.insert(0, ("path".to_owned(), Node::Text(text)));
        let name = relative.file_name().unwrap_or_default().to_string_lossy();
        let state = relative.with_file_name(format!(".{name}-litestream"));
        if let Some(Node::Text(mut base)) = keys.get("meta-dir").cloned() {
            keys.remove("meta-dir");
            base.join(&state.display().to_string());
            keys.set("meta-path", Node::Text(base));
        } else if let Some(base) = keys.text_mut("meta-path") {
            base.join(&state.display().to_string());
        }
        let relative = relative.display().to_string();
        let extend = |node: &mut Node| {
            let Node::Map(replica) = node else { return };
            let key = if replica.get("url").is_some() { "url" } else { "path" };
            match replica.text_mut(key) {
                Some(base) => base.join(&relative),
                None => {
                    replica.set(key, Node::Text(Text::literal(relative.as_str(), TextRole::Plain)))
                }
            }
        };
        if let Some(replica) = keys.get_mut("replica") {
            extend(replica);
        }
        if let Some(Node::List(items)) = keys.get_mut("replicas") {
            items.iter_mut().for_each(extend);
        }
        keys
    }
}

/// The replicas of an entry, under either key.
pub(super) fn replicas_of(keys: &Map) -> Vec<&Map> {
    let one = keys.get("replica").and_then(Node::map);
    let list = match keys.get("replicas") {
        Some(Node::List(items)) => items.as_slice(),
        _ => &[],
    };
    one.into_iter().chain(list.iter().filter_map(Node::map)).collect()
}
