//! The report for people: what was proved, what was not, what to do next.

use std::fmt::Write;
use std::time::Duration;

use super::{Check, DatabaseReport, Outcome, Report};

/// Styles by meaning; all empty without colour.
#[derive(Debug, Clone, Copy)]
pub struct Palette {
    good: &'static str,
    bad: &'static str,
    unsure: &'static str,
    dim: &'static str,
    bold: &'static str,
    reset: &'static str,
}

impl Palette {
    /// With or without ANSI colours.
    #[must_use]
    pub fn new(color: bool) -> Self {
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

    fn of(self, outcome: Outcome) -> (&'static str, &'static str) {
        match outcome {
            Outcome::Passed => (self.good, "✓"),
            Outcome::Failed => (self.bad, "✗"),
            Outcome::Inconclusive => (self.unsure, "?"),
            Outcome::Skipped => (self.dim, "-"),
        }
    }
}

/// The whole report, with line ends.
#[must_use]
pub fn render(report: &Report, color: bool) -> String {
    let palette = Palette::new(color);
    let mut text = String::new();
    for database in &report.databases {
        of_database(&mut text, report, database, palette);
    }
    if report.databases.len() > 1 {
        summary(&mut text, report, palette);
    }
    text
}

fn of_database(
    text: &mut String,
    report: &Report,
    database: &DatabaseReport,
    Palette { bold, dim, reset, .. }: Palette,
) {
    let palette = Palette::new(!reset.is_empty());
    let outcome = database.outcome();
    let (style, mark) = palette.of(outcome);
    let _infallible = writeln!(
        text,
        "{style}{mark} {bold}{}{reset} {style}{}{reset} {dim}in {}  {}{reset}",
        database.name,
        report.word(outcome),
        duration(database.duration),
        database.path,
    );
    let width = database.checks.iter().map(|check| check.id.chars().count()).max().unwrap_or(0);
    for check in &database.checks {
        of_check(text, check, width, palette);
    }
    let mut facts = Vec::new();
    if let Some(replication) = &database.replication {
        let way = match replication.method.as_str() {
            "socket" => "replicated by the daemon",
            "once" => "replicated once, no daemon runs",
            "polling" => "replicated by the daemon (no control socket)",
            other => other,
        };
        facts.push(format!("{way}, {}", duration(replication.lag)));
    }
    if let Some(restore) = &database.restore {
        facts.push(format!("restored {} in {}", bytes(restore.bytes), duration(restore.duration)));
    }
    if let Some(txid) = &database.txid {
        facts.push(format!("TXID {txid}"));
    }
    if !facts.is_empty() {
        let _infallible = writeln!(text, "    {dim}{}{reset}", facts.join(" · "));
    }
    if let Some(reason) = &database.skipped {
        let _infallible = writeln!(text, "    {reason}");
    }
    if let Some(error) = &database.error {
        let _infallible = writeln!(text, "    {}error:{reset} {}", palette.bad, error.message());
        for cause in error.causes() {
            let _infallible = writeln!(text, "      {cause}");
        }
        if let Some(hint) = error.hint_text() {
            let _infallible = writeln!(text, "    hint: {hint}");
        }
    }
}

fn of_check(text: &mut String, check: &Check, width: usize, palette: Palette) {
    let (style, mark) = palette.of(check.outcome);
    let reset = palette.reset;
    let _infallible = write!(text, "    {style}{mark}{reset} {:width$}", check.id);
    if check.outcome == Outcome::Passed {
        let _infallible = write!(text, "  {}{:>7}{reset}", palette.dim, duration(check.duration));
    } else {
        let _infallible = write!(text, "  {style}{}{reset}", check.outcome.word());
    }
    if check.optional && check.outcome != Outcome::Passed {
        text.push_str(" (optional)");
    }
    let mut lines = check.message.lines();
    if let Some(first) = lines.next() {
        let _infallible = write!(text, "  {first}");
    }
    text.push('\n');
    for line in lines {
        let _infallible = writeln!(text, "      {:width$}  {line}", "");
    }
}

fn summary(text: &mut String, report: &Report, palette: Palette) {
    let mut parts = Vec::new();
    for outcome in [Outcome::Passed, Outcome::Inconclusive, Outcome::Failed, Outcome::Skipped] {
        let count = report.databases.iter().filter(|one| one.outcome() == outcome).count();
        if count > 0 {
            let (style, _) = palette.of(outcome);
            parts.push(format!("{style}{count} {}{}", report.word(outcome), palette.reset));
        }
    }
    let _infallible = writeln!(
        text,
        "{} databases: {} in {}",
        report.databases.len(),
        parts.join(", "),
        duration(report.duration)
    );
}

/// `9 ms`, `1.2 s`, `3 min 5 s`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    match milliseconds {
        0..1000 => format!("{milliseconds} ms"),
        1000..60_000 => format!("{:.1} s", duration.as_secs_f64()),
        _ => format!("{} min {} s", duration.as_secs() / 60, duration.as_secs() % 60),
    }
}

/// `512 B`, `20 KiB`, `1.5 GiB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
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
        assert_eq!(duration(Duration::from_secs(185)), "3 min 5 s");
    }
}
