//! `types.instant`.

use jiff::Timestamp;

use crate::litestream::replica::moment;
use crate::plugin::bindings::types::Instant;

/// A moment as guests get it.
pub(super) fn instant(at: Timestamp) -> Instant {
    Instant {
        unix_ms: at.as_millisecond(),
        rfc3339: at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        local: moment::local(at),
    }
}

/// Milliseconds since then. A clock that was set back makes nothing younger than now.
pub(super) fn age(then: jiff::Timestamp) -> u64 {
    let age = jiff::Timestamp::now().duration_since(then);
    crate::figures::milliseconds(age.try_into().unwrap_or_default())
}
