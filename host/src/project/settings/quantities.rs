//! Durations and sizes, as the project file has them.

use std::time::Duration;

use crate::error::Result;
use crate::quantity::{parse_duration, parse_size};
use crate::yaml::Cursor;

/// `30s`, `5m`, `1h30m`, `500ms`, `1d`: more than zero, never without a unit.
pub(super) fn duration(place: &Cursor<'_>) -> Result<Duration> {
    let text = place.text("a duration such as 30s")?;
    match parse_duration(&text) {
        Some(duration) if !duration.is_zero() => Ok(duration),
        _ if text.parse::<f64>().is_ok() => Err(place
            .wrong(format!("is `{text}`, a duration without a unit"))
            .hint(format!("write `{text}s` for seconds"))),
        _ => Err(place
            .wrong(format!("is `{text}`, which is not a duration"))
            .hint("write it like `30s`, `5m`, `1h30m`, `500ms` or `1d`")),
    }
}

/// Bytes: `1048576`, `64MB` (decimal), `64MiB` (binary).
pub(super) fn size(place: &Cursor<'_>) -> Result<u64> {
    let text = place.text("a size such as 64MiB")?;
    parse_size(&text).ok_or_else(|| {
        place
            .wrong(format!("is `{text}`, which is not a size"))
            .hint("write it like `64MiB`, `10MB` or a number of bytes")
    })
}
