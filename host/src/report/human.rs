//! The report for people: what was proved, what was not, what to do next.

use std::fmt::Write;

use super::advice::advice;
use super::palette::Palette;
use super::{Check, DatabaseReport, Outcome, Report};
use crate::figures::{bytes, duration};

/// How a report is written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Style {
    /// With ANSI colours.
    pub color: bool,
    /// Every check, also of many databases.
    pub verbose: bool,
}

/// With more databases than these, those that passed take one line each.
const MANY: usize = 10;

/// The whole report, with line ends.
#[must_use]
pub(crate) fn render(report: &Report, style: Style) -> String {
    let report = &report.shown();
    let palette = Palette::new(style.color);
    let compact = report.databases.len() > MANY && !style.verbose;
    let mut text = String::new();
    for database in bad_first(report) {
        // A check that does not count is included as well.
        let plain = database.checks.iter().all(|check| check.outcome <= Outcome::Passed);
        head(&mut text, report, database, palette);
        if !(compact && plain && database.outcome() <= Outcome::Passed) {
            body(&mut text, database, palette);
        }
    }
    if report.databases.len() > 1 {
        summary(&mut text, report, palette);
    }
    if report.records {
        advice(&mut text, report, palette);
    }
    text
}

/// The databases in their order, those that need attention before the others.
fn bad_first(report: &Report) -> Vec<&DatabaseReport> {
    let mut databases: Vec<&DatabaseReport> = report.databases.iter().collect();
    let rank = |database: &&DatabaseReport| match database.outcome() {
        Outcome::Failed => 0,
        Outcome::Inconclusive => 1,
        Outcome::Passed | Outcome::Skipped => 2,
    };
    databases.sort_by_key(rank);
    databases
}

fn head(text: &mut String, report: &Report, database: &DatabaseReport, palette: Palette) {
    let Palette { bold, dim, reset, .. } = palette;
    let outcome = database.outcome();
    if let (Some(undone), Some(error)) = (&database.undone, &database.error) {
        let (style, mark) = palette.of(Outcome::Failed);
        let word = undone.replace('-', " ");
        let _infallible = writeln!(
            text,
            "{style}{mark} {bold}{}{reset} {style}{word}:{reset} {}  {dim}{}{reset}",
            database.name,
            error.message(),
            database.path,
        );
        return;
    }
    let (style, mark) = palette.of(outcome);
    // A path that ends with the name says nothing new.
    let path = database.target.as_ref().unwrap_or(&database.path);
    let said = path.strip_suffix(&database.name).is_some_and(|it| it.ends_with('/'));
    let path = if said { "" } else { path.as_str() };
    let gap = if path.is_empty() { "" } else { "  " };
    if let (Outcome::Skipped, Some(reason)) = (outcome, &database.skipped) {
        let name = &database.name;
        let _infallible = writeln!(
            text,
            "{style}{mark} {bold}{name}{reset} {style}skipped:{reset} {reason}{dim}{gap}{path}{reset}"
        );
        return;
    }
    let _infallible = writeln!(
        text,
        "{style}{mark} {bold}{}{reset} {style}{}{reset}{} {dim}in {}{gap}{path}{reset}",
        database.name,
        report.word_of(database),
        database.bracketed(),
        duration(database.duration),
    );
    if let Some(reason) = &database.skipped {
        let _infallible = writeln!(text, "    {reason}");
    }
}

fn body(text: &mut String, database: &DatabaseReport, palette: Palette) {
    let Palette { dim, reset, .. } = palette;
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
    if let Some(error) = &database.error {
        if database.undone.is_none() {
            let bad = palette.bad;
            let _infallible = writeln!(text, "    {bad}error:{reset} {}", error.message());
        }
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
    let said = check.text();
    let mut lines = said.lines();
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
        let (style, _) = palette.of(outcome);
        let of_it = || report.databases.iter().filter(|it| it.outcome() == outcome);
        let words: std::collections::BTreeSet<&str> =
            of_it().map(|database| report.word_of(database)).collect();
        for word in words {
            let count = of_it().filter(|it| report.word_of(it) == word).count();
            let word = word.replace('-', " ");
            parts.push(format!("{style}{count} {word}{}", palette.reset));
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

#[cfg(test)]
mod tests {
    use super::super::tests::{check, report};
    use super::super::{CheckKind, Fault, LastGood};
    use super::*;
    use crate::error::Error;

    #[test]
    fn many_good_databases_take_a_line_each_and_the_others_say_everything() {
        let names: Vec<String> = (0..12).map(|index| format!("t{index}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut run = report(&names);
        assert_eq!(render(&run, Style::default()).lines().count(), 13);
        assert!(render(&run, Style { verbose: true, ..Style::default() }).lines().count() > 30);
        assert!(render(&report(&names[..2]), Style::default()).contains("sentinel"));
        run.databases[3].checks.push(check("restore", Outcome::Failed));
        run.databases[7].error = Some(Error::inconclusive("no answer"));
        let text = render(&run, Style::default());
        assert!(text.contains("✗ restore") && text.contains("10 verified"), "{text}");
        let heads: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_once(" t"))
            .map(|(mark, _)| mark)
            .filter(|mark| !mark.starts_with(' '))
            .collect();
        assert_eq!(heads[..3], ["✗", "?", "✓"], "{text}");
        let last: Vec<&str> = text.lines().filter(|line| line.contains(": t")).collect();
        assert!(last[0].ends_with(": t3") && last[1].ends_with(": t7"), "{text}");
        // The path that says the name already is not printed.
        run.databases[0].path = "/srv/t0".into();
        assert!(!render(&run, Style::default()).contains("/srv/t0"));
    }

    #[test]
    fn the_last_lines_say_what_to_do() {
        let mut run = report(&["good", "wrong", "odd data", "lags", "cut", "live", "rules"]);
        let damaged = check("integrity_check", Outcome::Failed);
        run.databases[5].checks.push(Check { fault: Fault::Live, ..damaged });
        let broken = Check { kind: CheckKind::Assertion, ..check("assertion:x", Outcome::Failed) };
        run.databases[6].checks.push(Check { fault: Fault::Live, ..broken });
        run.databases[5].last_good = Some(LastGood {
            started: jiff::Timestamp::UNIX_EPOCH,
            txid: Some("0000000000000007".into()),
        });
        run.databases[1].checks.push(check("restore", Outcome::Failed));
        run.databases[2]
            .checks
            .push(Check { kind: CheckKind::Assertion, ..check("assertion:x", Outcome::Failed) });
        run.databases[3].error = Some(Error::inconclusive("no answer").hint("start the daemon"));
        run.databases[4].error = Some(crate::stop::Stop::error(crate::stop::Signal::Interrupt));
        let text = render(&run, Style::default());
        for line in [
            "✗ the backup restores, but its data fails one of your checks: odd data",
            "✗ the backup does not restore the data: wrong",
            "  next: delete nothing; lsrun points wrong lists older points, and lsrun verify \
             --at TXID wrong shows whether one is good",
            "✗ the live data breaks an assertion of lsrun.yml, and its backup is a faithful \
             copy: rules",
            "  next: correct the data or the assertion, then run lsrun verify rules",
            "✗ the live database itself is damaged or breaks its own rules; its backup is not \
             to blame: live",
            "  next: delete nothing; last proved good: 1970-01-01T00:00:00Z, TXID \
             0000000000000007; try lsrun verify --at 0000000000000007 live",
            "? interrupted before there was a result: cut",
            "? not verified, which says nothing about the backup: lags",
            "  next: start the daemon",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}:\n{text}");
        }
        let good = render(&report(&["good"]), Style::default());
        assert!(!good.contains("next:"), "{good}");
    }
}
