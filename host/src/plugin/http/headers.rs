//! Headers of requests: which of them are the host's, and what they take.

use reqwest::header::{self, HeaderMap, HeaderName};

/// Whether a guest may not set it: it says how the message is delivered, or to whom.
pub(in crate::plugin) fn is_forbidden(name: &HeaderName) -> bool {
    [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::EXPECT,
        header::HOST,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ]
    .contains(name)
        || matches!(name.as_str(), "keep-alive" | "http2-settings")
        || name.as_str().starts_with("proxy-")
}

/// What headers take, in bytes.
pub(in crate::plugin) fn size_of(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}
