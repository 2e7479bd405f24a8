//! Standard output, in parts.

use lsrun_plugin::prelude::*;

/// Bytes that go at once.
const PART: usize = 64 << 10;

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
