//! Figures and reasons as people read them.

use crate::host::types::Error;

/// `39 ms`, `84 s`, `3 min`, `5 h`, `12 days`; rounded down.
#[must_use]
pub fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds} ms"),
        1..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `886 bytes`, `28 KiB`, `5.9 MiB`, `117 MiB`, `12 GiB`; rounded down.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..10_240 => return format!("{bytes} bytes"),
        10_240..1_048_576 => (1 << 10, "KiB"),
        1_048_576..1_073_741_824 => (1 << 20, "MiB"),
        _ => (1_u64 << 30, "GiB"),
    };
    match (bytes / unit, bytes % unit * 10 / unit) {
        (whole @ ..10, tenths) => format!("{whole}.{tenths} {name}"),
        (whole, _) => format!("{whole} {name}"),
    }
}

/// `1 row`, `3 rows`.
#[must_use]
pub fn count(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// Why something did not happen: the message of an error and its causes, on one line.
#[must_use]
pub fn reasons(error: &Error) -> String {
    let texts = std::iter::once(&error.message).chain(&error.causes);
    texts.map(String::as_str).collect::<Vec<_>>().join(": ")
}

/// One word of a shell: quoted if it has to be.
#[must_use]
pub fn shell(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:@%+,=".contains(letter);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// `60,799`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
