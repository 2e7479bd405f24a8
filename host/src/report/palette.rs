//! Styles by meaning.

use super::Outcome;

/// Styles by meaning; all empty without colour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Palette {
    pub(super) good: &'static str,
    pub(super) bad: &'static str,
    pub(super) unsure: &'static str,
    pub(super) dim: &'static str,
    pub(super) bold: &'static str,
    pub(super) reset: &'static str,
}

impl Palette {
    /// With or without ANSI colours.
    #[must_use]
    pub(super) fn new(color: bool) -> Self {
        if color {
            Self {
                good: "\x1b[32m",
                bad: "\x1b[31m",
                unsure: "\x1b[33m",
                dim: "\x1b[2m",
                bold: "\x1b[1m",
                reset: "\x1b[0m",
            }
        } else {
            Self { good: "", bad: "", unsure: "", dim: "", bold: "", reset: "" }
        }
    }

    pub(super) fn of(self, outcome: Outcome) -> (&'static str, &'static str) {
        match outcome {
            Outcome::Passed => (self.good, "✓"),
            Outcome::Failed => (self.bad, "✗"),
            Outcome::Inconclusive => (self.unsure, "?"),
            Outcome::Skipped => (self.dim, "-"),
        }
    }
}
