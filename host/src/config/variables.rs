//! The variables of automatic replicas, and the fallbacks when they are not set.

use crate::environment::Environment;

/// The variable of the bucket of an automatic replica.
pub(super) const BUCKET: &str = "LITESTREAM_REPLICA_BUCKET";

/// The keys that go with automatic replicas, and their variables.
pub(super) const CREDENTIALS: [(&str, &str); 2] = [
    ("access-key-id", "LITESTREAM_ACCESS_KEY_ID"),
    ("secret-access-key", "LITESTREAM_SECRET_ACCESS_KEY"),
];

/// The fallback when a variable of Litestream's is not set.
pub(super) const FALLBACKS: [(&str, &str); 3] = [
    (BUCKET, "AWS_BUCKET"),
    ("LITESTREAM_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"),
    ("LITESTREAM_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"),
];

/// A variable, or the one that is used in its place.
pub(super) fn lookup<'e>(environment: &'e Environment, name: &str) -> Option<&'e str> {
    environment.get(name).or_else(|| environment.get(fallback(name)?))
}

pub(super) fn fallback(name: &str) -> Option<&'static str> {
    FALLBACKS.iter().find(|(from, _)| *from == name).map(|(_, to)| *to)
}
