//! The settings of a replica as litestream gets them, for who speaks to its store without
//! litestream. What a setting means to a store is not known here.

use std::collections::BTreeMap;

use super::Config;
use super::chain::Keys;
use super::keys::{REPLICA, TOP};
use super::listed::replicas_of;
use super::tree::{Map, Node};
use super::url::ReplicaUrl;
use crate::environment::Environment;
use crate::project::Database;

/// Why lsrun itself does not speak to a store: litestream has to. Written to follow
/// "lsrun does not read this replica by itself: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unsupported(pub(crate) String);

impl Unsupported {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// Who names the replica. Litestream reads a URL in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplicaOrigin {
    /// An entry of a configuration, which may have a `url` among its keys.
    Entry,
    /// A URL alone, as on litestream's command line.
    Url,
}

/// The settings of one replica, their references replaced. It has no `Debug`: there are
/// secrets among them.
#[derive(Clone)]
pub(crate) struct ReplicaSettings {
    /// `s3`, `gs`, …
    pub(crate) kind: String,
    pub(crate) origin: ReplicaOrigin,
    pub(crate) url: Option<ReplicaUrl>,
    values: BTreeMap<String, String>,
}

impl ReplicaSettings {
    /// Those of a URL alone.
    pub(crate) fn of_url(url: &str) -> Result<Self, Unsupported> {
        let url = strict(url)?;
        let kind = url.scheme.clone();
        Ok(Self { kind, origin: ReplicaOrigin::Url, url: Some(url), values: BTreeMap::new() })
    }

    /// The text of a key, unless it is empty.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The truth value of a key.
    pub(crate) fn truth(&self, key: &str) -> Result<Option<bool>, Unsupported> {
        // The truth values of YAML 1.1, which litestream's parser follows.
        match self.get(key).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(None),
            Some("true" | "yes" | "on" | "y") => Ok(Some(true)),
            Some("false" | "no" | "off" | "n") => Ok(Some(false)),
            Some(_) => Err(Unsupported::new(format!("`{key}` is neither true nor false"))),
        }
    }

    /// For tests: an entry with these keys.
    #[cfg(test)]
    pub(crate) fn of_keys(keys: &[(&str, &str)]) -> Result<Self, Unsupported> {
        let values: BTreeMap<_, _> =
            keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Self::of_entry(values)
    }

    fn of_entry(values: BTreeMap<String, String>) -> Result<Self, Unsupported> {
        let text = |key: &str| values.get(key).filter(|value| !value.is_empty());
        let url = text("url").map(|url| strict(url)).transpose()?;
        let kind = match (&url, text("type")) {
            (Some(url), Some(kind)) if *kind != url.scheme => {
                return Err(Unsupported::new("its `type` is not that of its `url`"));
            }
            (Some(url), _) => url.scheme.clone(),
            (None, Some(kind)) => kind.clone(),
            (None, None) => "file".to_owned(),
        };
        Ok(Self { kind, origin: ReplicaOrigin::Entry, url, values })
    }
}

impl Config {
    /// The settings of the replica of `database`.
    ///
    /// Fails where they are not known for certain: with a key that lsrun does not know, a
    /// variable that is not set, or more than one replica.
    pub(crate) fn settings(
        &self,
        database: &Database,
        environment: &Environment,
    ) -> Result<ReplicaSettings, Unsupported> {
        let alias = database.alias.as_ref().map(|it| it.as_str());
        let entry = self
            .keys_of(&database.path, alias)
            .map_err(|error| Unsupported::new(error.one_line()))?;
        let mut top = self.top.clone();
        if self.keys_for(std::slice::from_ref(&entry), environment) != Keys::Variables {
            self.added.iter().for_each(|key| top.remove(key));
        }
        let replica = match replicas_of(&entry).as_slice() {
            [one] => (*one).clone(),
            _ => return Err(Unsupported::new("it is not the only replica of its database")),
        };
        let unknown = |map: &Map, known: &dyn Fn(&str) -> bool| {
            map.0.iter().find(|(key, _)| !known(key)).map(|(key, _)| {
                Unsupported::new(format!("lsrun does not know its setting `{key}`"))
            })
        };
        let of_replica = unknown(&replica, &|key| REPLICA.kind(key).is_some());
        let of_top = unknown(&top, &|key| TOP.kind(key).is_some());
        if let Some(unsupported) = of_replica.or(of_top) {
            return Err(unsupported);
        }
        let mut values = BTreeMap::new();
        for key in REPLICA.names() {
            let own = self.value(replica.get(key), environment)?;
            let inherited = match TOP.kind(key) {
                Some(_) => self.value(top.get(key), environment)?,
                None => None,
            };
            // Litestream's own rule: `true` at the top wins over everything.
            let forced = key == "skip-verify" && inherited.as_deref() == Some("true");
            let value = own.filter(|own| !own.is_empty() && !forced).or(inherited);
            values.extend(value.map(|value| (key.to_owned(), value)));
        }
        ReplicaSettings::of_entry(values)
    }

    /// A value as text; none for lists and mappings, which no object store has.
    fn value(
        &self,
        node: Option<&Node>,
        environment: &Environment,
    ) -> Result<Option<String>, Unsupported> {
        Ok(match node {
            None | Some(Node::Null | Node::List(_) | Node::Map(_)) => None,
            Some(Node::Bool(truth)) => Some(truth.to_string()),
            Some(Node::Number(number)) => Some(number.to_string()),
            Some(Node::Text(text)) => {
                let parts = self.parts(text, environment).map_err(|name| {
                    Unsupported::new(format!("the environment variable {name} is not set"))
                })?;
                let whole: Option<String> =
                    parts.into_iter().map(|part| part.map(|(text, _hidden)| text)).collect();
                Some(whole.ok_or_else(|| {
                    Unsupported::new("one of its settings has the process id of litestream in it")
                })?)
            }
        })
    }
}

/// A URL in which nothing can be understood in two ways.
fn strict(text: &str) -> Result<ReplicaUrl, Unsupported> {
    let odd = || Unsupported::new("its URL has characters that can be read in more than one way");
    let url =
        ReplicaUrl::parse(text).ok_or_else(|| Unsupported::new("it is not named by a URL"))?;
    let (before, query) = text.split_once('?').unwrap_or((text, ""));
    let plain = |text: &str, more: &str| {
        text.chars().all(|sign| sign.is_ascii_alphanumeric() || more.contains(sign))
    };
    let names = query.split('&').filter(|pair| !pair.is_empty()).collect::<Vec<_>>();
    let paired = names.iter().all(|pair| pair.contains('='));
    if !plain(before, "-._~:/@") || !plain(query, "-._~:/@%=&,") || !paired {
        return Err(odd());
    }
    let authority = before.split_once("://").map_or("", |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    if authority
        .split_once('@')
        .is_some_and(|(user, host)| user.contains(':') || host.contains('@'))
    {
        return Err(Unsupported::new("its URL has a password"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_can_be_read_in_two_ways_are_left_to_litestream() {
        for fine in [
            "s3://bucket/a/b",
            "s3://bucket/a?endpoint=http%3A%2F%2F127.0.0.1%3A9000&region=x",
            "s3://bucket/a?endpoint=http://127.0.0.1:9000",
            "abs://account@container/a",
        ] {
            assert!(ReplicaSettings::of_url(fine).is_ok(), "{fine}");
        }
        for odd in [
            "/a/b",
            "s3://bucket/a%2Fb",
            "s3://bucket/a#b",
            "s3://bucket/a b",
            "s3://bucket/a?region=a+b",
            "s3://bucket/a?region=a;b",
            "s3://bucket/a?region",
            "abs://account:secret@container/a",
        ] {
            let why = ReplicaSettings::of_url(odd).err().expect(odd).to_string();
            assert!(!why.contains("secret"), "{why}");
        }
    }

    #[test]
    fn a_type_beside_a_url_has_to_be_its_own() {
        let keys = |kind| ReplicaSettings::of_keys(&[("type", kind), ("url", "s3://bucket/a")]);
        assert_eq!(keys("s3").ok().unwrap().kind, "s3");
        assert!(keys("gs").is_err());
    }
}
