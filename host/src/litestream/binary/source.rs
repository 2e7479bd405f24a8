//! Where the releases of litestream come from, and how long asking for them may take.

use std::borrow::Cow;
use std::time::Duration;

use crate::litestream::binary::pins::{self, Pin, Platform};

/// Where executables come from and how long that may take. Apart from the tests
/// there is one, [`ReleaseSource::official`].
#[derive(Debug, Clone)]
pub(crate) struct ReleaseSource {
    /// The folder above the releases; `v<version>/<asset>` is appended.
    pub(crate) releases: Cow<'static, str>,
    pub(crate) pins: Vec<Pin>,
    /// `None` if lsrun knows no executable for this machine.
    pub(crate) platform: Option<Platform>,
    /// From the first packet to the end of the TLS handshake.
    pub(crate) connect_timeout: Duration,
    /// Without a single byte.
    pub(crate) idle_timeout: Duration,
    /// For one file, from the first packet to the last: a server that sends a byte now
    /// and then is never idle.
    pub(crate) whole_timeout: Duration,
    /// For one whole run of pip, which has timeouts of its own.
    pub(crate) pip_timeout: Duration,
    /// The most that an archive, or the executable in it, may have.
    pub(crate) most_bytes: u64,
}

impl ReleaseSource {
    pub(crate) fn official() -> Self {
        Self {
            releases: Cow::Borrowed("https://github.com/benbjohnson/litestream/releases/download"),
            pins: pins::official(),
            platform: Platform::current(),
            connect_timeout: Duration::from_secs(3),
            idle_timeout: Duration::from_secs(30),
            whole_timeout: Duration::from_secs(600),
            pip_timeout: Duration::from_secs(600),
            most_bytes: 300_000_000,
        }
    }
}
