//! The point in time of a restore, as people write it.

use jiff::civil::DateTime;
use jiff::{Span, Timestamp, ZonedDateTime};

use crate::error::{Error, Result};

/// A point in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The point.
    pub at: Timestamp,
    /// How it was understood, where that needs saying.
    pub said_back: Option<String>,
}

/// Reads `2026-01-31T12:00:00Z`, `2 hours ago`, `yesterday` (a day before now), or
/// a local time such as `2026-01-31 12:00`. `now` gives the zone.
///
/// Fails with exit 2 for anything else, and for a local time that did not exist
/// or existed twice.
pub fn parse(text: &str, now: &ZonedDateTime) -> Result<Moment> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Moment { at, said_back: None });
    }
    let wrong = || {
        Error::usage(format!("{text} is no time")).hint(
            "write it as 2026-01-31T12:00:00Z, \"2 hours ago\", yesterday, or 2026-01-31 12:00 (local)",
        )
    };
    let relative = match text {
        "yesterday" => Some("1 day ago"),
        _ if text.ends_with(" ago") => Some(text),
        _ => None,
    };
    let local = if let Some(span) = relative {
        let span: Span = span.parse().map_err(|error| wrong().cause(error))?;
        now.checked_add(span).map_err(|error| wrong().cause(error))?
    } else if let Ok(zoned) = text.parse::<ZonedDateTime>() {
        zoned
    } else {
        let local: DateTime = text.parse().map_err(|error| wrong().cause(error))?;
        let zoned = now.time_zone().to_ambiguous_zoned_datetime(local);
        zoned.unambiguous().map_err(|error| {
            Error::usage(format!("{text} is no single moment in this time zone"))
                .cause(error)
                .hint("write it with its offset, such as 2026-10-25T02:30:00+02:00")
        })?
    };
    let zone = local.time_zone().iana_name().unwrap_or_default();
    let shown = local.strftime("%Y-%m-%d %H:%M:%S %:z");
    let said = format!("{shown} {zone}").trim_end().to_owned();
    let at = local.timestamp();
    Ok(Moment { at, said_back: Some(format!("{said} ({})", at.strftime("%Y-%m-%dT%H:%M:%SZ"))) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    fn now() -> ZonedDateTime {
        // Two hours ahead of UTC, without a database of time zones.
        let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(2));
        "2026-03-02T12:00:00Z".parse::<Timestamp>().unwrap().to_zoned_datetime(zone)
    }

    #[test]
    fn every_way_of_writing_a_time_is_read() {
        for (text, at) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
            ("2026-01-31T12:00:00.25+01:00", "2026-01-31T11:00:00.25Z"),
            ("2 hours ago", "2026-03-02T10:00:00Z"),
            ("90 minutes ago", "2026-03-02T10:30:00Z"),
            ("1 day 2 hours ago", "2026-03-01T10:00:00Z"),
            ("1 month ago", "2026-02-02T12:00:00Z"),
            ("yesterday", "2026-03-01T12:00:00Z"),
            ("2026-01-31 12:00", "2026-01-31T10:00:00Z"),
            ("2026-01-31T12:00:01", "2026-01-31T10:00:01Z"),
            ("2026-01-31", "2026-01-30T22:00:00Z"),
        ] {
            assert_eq!(parse(text, &now()).unwrap().at, at.parse().unwrap(), "{text}");
        }
    }

    #[test]
    fn what_was_not_written_in_full_is_said_back_with_its_zone() {
        assert_eq!(parse("2026-01-31T12:00:00Z", &now()).unwrap().said_back, None);
        assert_eq!(
            parse("2026-01-31 12:00", &now()).unwrap().said_back.unwrap(),
            "2026-01-31 12:00:00 +02:00 (2026-01-31T10:00:00Z)"
        );
    }

    #[test]
    fn what_is_no_time_is_a_usage_error() {
        for wrong in ["", "soon", "2 hours", "ago", "hours ago", "2026-13-01", "25:00", "-PT2H"] {
            assert_eq!(parse(wrong, &now()).unwrap_err().exit(), Exit::Usage, "{wrong}");
        }
    }
}
