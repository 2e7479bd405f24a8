//! Standard output, in parts.

use lsrun_plugin::prelude::*;

/// Bytes that go at once.
const PART: usize = 64 << 10;

/// Bytes in hexadecimal digits; without `format!`, which takes most of the time of a long
/// result.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

/// What was not written yet.
#[derive(Default)]
pub(crate) struct Out(String);

impl Out {
    /// Writes a row: what belongs together stays in one part.
    pub(crate) fn row(&mut self, text: &str) {
        self.0.push_str(text);
        if self.0.len() >= PART {
            self.flush();
        }
    }

    /// Writes the rest.
    pub(crate) fn flush(&mut self) {
        report::data(self.0.as_bytes());
        self.0.clear();
    }
}
