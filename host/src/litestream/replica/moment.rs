//! The point in time of a restore, as people write it, and times as they read them.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ZonedDateTime};

use crate::error::{Error, Result};

/// A point in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The point.
    pub at: Timestamp,
    /// How it was understood, if that needs saying.
    pub said_back: Option<String>,
}

/// What can be written.
const FORMS: &str = "write 21:59, \"10 minutes ago\", \"yesterday 3pm\", \"2026-01-31 12:00\" (local time) or 2026-01-31T12:00:00Z";

/// Reads a time: RFC 3339; `now`; `21:59`, `21:59:30` and `3pm`, the last such moment;
/// `10 minutes ago`, also without the `ago` and as `10m`; `yesterday` (a day before
/// now); `yesterday 3pm`, `today 9:00`, `2026-01-31` and `2026-01-31 3pm`. What has no
/// offset is local time. `now` gives the zone.
///
/// Fails with exit 2 for anything else, and for a local time that did not exist
/// or existed twice.
pub(crate) fn parse(text: &str, now: &ZonedDateTime) -> Result<Moment> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Moment { at, said_back: None });
    }
    if let Ok(zoned) = text.parse::<ZonedDateTime>() {
        return Ok(Moment { at: zoned.timestamp(), said_back: Some(both(&zoned)) });
    }
    let lower = text.to_ascii_lowercase();
    let words = lower.split_whitespace().collect::<Vec<_>>().join(" ");
    if words == "now" {
        return Ok(said(now.clone(), ""));
    }
    if let Some(span) = relative(&words) {
        let then = now.checked_add(span).map_err(|error| wrong(text).cause(error))?;
        return Ok(said(then, ""));
    }
    if let Some(time) = clock(&words) {
        let today = zoned(now.date(), time, text, now)?;
        if today.timestamp() <= now.timestamp() {
            return Ok(said(today, ", today"));
        }
        let yesterday = now.date().yesterday().map_err(|error| wrong(text).cause(error))?;
        return Ok(said(zoned(yesterday, time, text, now)?, ", yesterday"));
    }
    // `2026-01-31t12:00`, but not the `t` of `today`.
    let between = if words.starts_with(|first: char| first.is_ascii_digit()) { 't' } else { ' ' };
    let (day, time) = words.split_once([' ', between]).unwrap_or((&words, ""));
    let date = match day {
        "today" if !time.is_empty() => now.date(),
        "yesterday" => now.date().yesterday().map_err(|error| wrong(text).cause(error))?,
        _ => day.parse::<Date>().map_err(|_error| wrong(text))?,
    };
    let time = match time {
        "" => Time::midnight(),
        time => clock(time).ok_or_else(|| wrong(text))?,
    };
    Ok(said(zoned(date, time, text, now)?, ""))
}

fn wrong(text: &str) -> Error {
    Error::usage(format!("cannot read {text:?} as a time")).hint(FORMS)
}

/// The time before now: `10 minutes ago`, `10m`, `yesterday`.
fn relative(words: &str) -> Option<Span> {
    if words == "yesterday" {
        return Some(Span::new().days(-1));
    }
    let amount = words.strip_suffix(" ago").unwrap_or(words);
    // A span may have a sign of its own, and `1:30:00` is one as well.
    let plain = amount.starts_with(|first: char| first.is_ascii_digit());
    if !plain || amount.contains(':') || amount.contains("ago") {
        return None;
    }
    amount.parse::<Span>().ok().map(|span| -span)
}

/// A time of the day: `21:59`, `9:00`, `21:59:30`, `3pm`, `3:15 pm`.
fn clock(text: &str) -> Option<Time> {
    let half = ["am", "pm"].into_iter().find(|half| text.ends_with(half));
    let figures = text.strip_suffix(half.unwrap_or_default())?.trim_end();
    let (figures, nanosecond) = match figures.split_once('.') {
        Some((figures, rest)) if !rest.is_empty() && rest.len() <= 9 => {
            (figures, format!("{rest:0<9}").parse::<i32>().ok()?)
        }
        Some(_) => return None,
        None => (figures, 0),
    };
    let parts: Vec<&str> = figures.split(':').collect();
    let number = |part: &str, digits: std::ops::RangeInclusive<usize>| {
        let plain = part.bytes().all(|byte| byte.is_ascii_digit());
        (plain && digits.contains(&part.len())).then(|| part.parse::<i8>().ok()).flatten()
    };
    let (hour, minute, second) = match (parts.as_slice(), half) {
        ([hour], Some(_)) => (number(hour, 1..=2)?, 0, 0),
        ([hour, minute], _) => (number(hour, 1..=2)?, number(minute, 2..=2)?, 0),
        ([hour, minute, second], _) => {
            (number(hour, 1..=2)?, number(minute, 2..=2)?, number(second, 2..=2)?)
        }
        _ => return None,
    };
    let hour = match half {
        Some(half) if (1..=12).contains(&hour) => hour % 12 + if half == "pm" { 12 } else { 0 },
        Some(_) => return None,
        None => hour,
    };
    Time::new(hour, minute, second, nanosecond).ok()
}

fn zoned(date: Date, time: Time, text: &str, now: &ZonedDateTime) -> Result<ZonedDateTime> {
    let zoned = now.time_zone().to_ambiguous_zoned_datetime(date.to_datetime(time));
    zoned.unambiguous().map_err(|error| {
        Error::usage(format!("{text:?} is not a single moment in this time zone"))
            .cause(error)
            .hint("write it with its offset, such as 2026-10-25T02:30:00+02:00")
    })
}

fn said(local: ZonedDateTime, more: &str) -> Moment {
    Moment { at: local.timestamp(), said_back: Some(format!("{}{more}", both(&local))) }
}

/// A time as people read it: local, and in UTC if that is something else.
#[must_use]
pub(crate) fn shown(at: Timestamp) -> String {
    both(&at.to_zoned_datetime(TimeZone::system()))
}

fn both(local: &ZonedDateTime) -> String {
    let utc = local.timestamp().to_zoned_datetime(TimeZone::UTC);
    if local.offset().seconds() == 0 {
        return utc.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    }
    let utc = match utc.date() == local.date() {
        true => utc.strftime("%H:%M:%S UTC"),
        false => utc.strftime("%Y-%m-%d %H:%M:%S UTC"),
    };
    format!("{} ({utc})", local.strftime("%Y-%m-%d %H:%M:%S %:z"))
}

/// The local time to the millisecond; none if it is UTC.
#[must_use]
pub(crate) fn local(at: Timestamp) -> Option<String> {
    let local = at.to_zoned_datetime(TimeZone::system());
    (local.offset().seconds() != 0).then(|| local.strftime("%Y-%m-%d %H:%M:%S%.3f %:z").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    /// Two in the afternoon, two hours ahead of UTC, without a database of time zones.
    fn now() -> ZonedDateTime {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        "2026-03-02T12:00:00Z".parse::<Timestamp>().unwrap().to_zoned_datetime(zone)
    }

    #[test]
    fn every_way_of_writing_a_time_is_read() {
        for (text, at) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
            ("2026-01-31T12:00:00.25+01:00", "2026-01-31T11:00:00.25Z"),
            ("now", "2026-03-02T12:00:00Z"),
            ("2 hours ago", "2026-03-02T10:00:00Z"),
            ("2 hours", "2026-03-02T10:00:00Z"),
            ("90 minutes ago", "2026-03-02T10:30:00Z"),
            ("10 minutes", "2026-03-02T11:50:00Z"),
            ("10m ago", "2026-03-02T11:50:00Z"),
            ("10m", "2026-03-02T11:50:00Z"),
            ("1 day 2 hours ago", "2026-03-01T10:00:00Z"),
            ("1 month ago", "2026-02-02T12:00:00Z"),
            ("yesterday", "2026-03-01T12:00:00Z"),
            ("yesterday 3pm", "2026-03-01T13:00:00Z"),
            ("Yesterday  15:00", "2026-03-01T13:00:00Z"),
            ("today 9:00", "2026-03-02T07:00:00Z"),
            ("13:59", "2026-03-02T11:59:00Z"),
            ("13:59:30", "2026-03-02T11:59:30Z"),
            ("21:59", "2026-03-01T19:59:00Z"),
            ("3pm", "2026-03-01T13:00:00Z"),
            ("12am", "2026-03-01T22:00:00Z"),
            ("12:30 pm", "2026-03-02T10:30:00Z"),
            ("2026-01-31 12:00", "2026-01-31T10:00:00Z"),
            ("2026-01-31 3pm", "2026-01-31T13:00:00Z"),
            ("2026-01-31 12:00:01.5", "2026-01-31T10:00:01.5Z"),
            ("2026-01-31T12:00:01", "2026-01-31T10:00:01Z"),
            ("2026-01-31", "2026-01-30T22:00:00Z"),
        ] {
            assert_eq!(parse(text, &now()).unwrap().at, at.parse().unwrap(), "{text}");
        }
    }

    #[test]
    fn what_was_not_written_in_full_is_said_back_with_its_zone() {
        let said = |text: &str| parse(text, &now()).unwrap().said_back;
        assert_eq!(said("2026-01-31T12:00:00Z"), None);
        assert_eq!(said("2026-01-31 12:00").unwrap(), "2026-01-31 12:00:00 +02:00 (10:00:00 UTC)");
        assert_eq!(said("13:59").unwrap(), "2026-03-02 13:59:00 +02:00 (11:59:00 UTC), today");
        assert_eq!(said("21:59").unwrap(), "2026-03-01 21:59:00 +02:00 (19:59:00 UTC), yesterday");
        assert_eq!(
            said("2026-01-31").unwrap(),
            "2026-01-31 00:00:00 +02:00 (2026-01-30 22:00:00 UTC)"
        );
    }

    #[test]
    fn what_is_not_a_time_is_a_usage_error() {
        for wrong in [
            "",
            "soon",
            "ago",
            "hours ago",
            "2026-13-01",
            "25:00",
            "21:5",
            "13pm",
            "0am",
            "-PT2H",
            "-2 hours",
            "2 hours ago ago",
            "today",
            "tomorrow 3pm",
            "yesterday soon",
            "12",
            "21:59:60",
        ] {
            let error = parse(wrong, &now()).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage, "{wrong}");
            assert!(error.message().starts_with("cannot read \""), "{error:?}");
        }
    }
}
