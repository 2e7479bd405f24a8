//! How figures are written: for people (`20 KiB`, `1.2 s`) and in JSON.

use std::time::Duration;

/// `9 ms`, `1.2 s`, `3 min 5 s`, `24 h`, `3 d 2 h`.
#[must_use]
pub(crate) fn duration(duration: Duration) -> String {
    let two = |large: u64, unit: &str, small: u64, smaller: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {smaller}"),
    };
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..172_800 => two(seconds / 3600, "h", seconds / 60 % 60, "min"),
        _ => two(seconds / 86_400, "d", seconds / 3600 % 24, "h"),
    }
}

/// `512 B`, `20 KiB`, `1.5 GiB`.
#[must_use]
pub(crate) fn bytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let mut value = bytes as f64;
    let mut unit = "B";
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if value < 10.0 && unit != "B" {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// A point in time, as JSON has it.
#[must_use]
pub(crate) fn time(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A duration in milliseconds, as JSON has it.
#[must_use]
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(20480), "20 KiB");
        assert_eq!(bytes(1_610_612_736), "1.5 GiB");
        assert_eq!(duration(Duration::from_millis(9)), "9 ms");
        assert_eq!(duration(Duration::from_millis(1250)), "1.2 s");
        for (seconds, text) in [
            (185, "3 min 5 s"),
            (300, "5 min"),
            (3700, "1 h 1 min"),
            (86_400, "24 h"),
            (180_000, "2 d 2 h"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
    }
}
