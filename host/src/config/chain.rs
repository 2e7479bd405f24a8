//! Where the keys of an object store come from: the configuration, the variables of
//! lsrun, or what the store's own library finds.

use super::Config;
use super::listed::replicas_of;
use super::tree::Map;
use super::variables::{CREDENTIALS, fallback, lookup};
use crate::environment::Environment;

/// The keys of the replicas that have none of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    /// No replica needs any.
    Own,
    /// Those that lsrun adds: `$LITESTREAM_ACCESS_KEY_ID` and its like.
    Variables,
    /// The variables of AWS, with a session token that Litestream has no key for.
    Session,
    /// Nobody set any: the chain of the AWS library is left to find them.
    Chain,
    /// The same for Alibaba's library.
    AlibabaChain,
}

impl Keys {
    /// What the user should know.
    pub(super) fn note(self) -> Option<&'static str> {
        match self {
            Self::Own | Self::Variables | Self::Session => None,
            Self::Chain => Some("no keys set: the AWS credential chain is used"),
            Self::AlibabaChain => Some("no keys set: those of OSS_ACCESS_KEY_ID are used"),
        }
    }
}

impl Config {
    /// What a child with these entries needs.
    pub(super) fn keys_for(&self, entries: &[Map], environment: &Environment) -> Keys {
        let given = CREDENTIALS
            .iter()
            .all(|(key, _)| self.top.get(key).is_some() && !self.added.contains(key));
        if given {
            return Keys::Own;
        }
        let text = self.lookup_text();
        let lacking: Vec<String> = entries
            .iter()
            .flat_map(replicas_of)
            .filter(|replica| CREDENTIALS.iter().any(|(key, _)| replica.get(key).is_none()))
            .map(|replica| self.view(replica, &text).kind())
            .filter(|kind| matches!(kind.as_str(), "s3" | "oss"))
            .collect();
        if lacking.is_empty() {
            return Keys::Own;
        }
        let own = CREDENTIALS.iter().any(|(_, name)| environment.get(name).is_some());
        let of_aws = || CREDENTIALS.iter().filter_map(|(_, name)| fallback(name));
        if !own
            && environment.get("AWS_SESSION_TOKEN").is_some()
            && of_aws().all(|name| environment.get(name).is_some())
        {
            return Keys::Session;
        }
        let set = CREDENTIALS.iter().any(|(_, name)| lookup(environment, name).is_some());
        // One key in the file and the other nowhere is half a pair, not none.
        let half = self.added.len() == 1;
        if set || half {
            return Keys::Variables;
        }
        if lacking.iter().any(|kind| kind == "s3") { Keys::Chain } else { Keys::AlibabaChain }
    }
}
