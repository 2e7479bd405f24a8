//! What GitHub Actions shows: annotations at the run, and the summary of the step.

use std::fmt::Write;

use crate::figures::{bytes, duration};
use crate::report::{DatabaseReport, Fault, Outcome, Report};

/// Workflow commands, a line each: an error for each database that was not proved,
/// a warning for each optional check that did not pass.
pub(super) fn annotations(report: &Report) -> String {
    let report = &report.shown();
    let mut text = String::new();
    for database in &report.databases {
        let title = match database.outcome() {
            Outcome::Failed if database.fault() == Some(Fault::Live) => {
                format!("the live database {} is damaged or breaks its rules", database.name)
            }
            Outcome::Failed => format!("the backup of {} is wrong", database.name),
            Outcome::Inconclusive => format!("the backup of {} is not verified", database.name),
            Outcome::Passed | Outcome::Skipped => String::new(),
        };
        if !title.is_empty() {
            command(&mut text, "error", &title, &reasons(database).join("\n"));
        }
        for check in database.checks.iter().filter(|check| check.optional) {
            if matches!(check.outcome, Outcome::Failed | Outcome::Inconclusive) {
                let title = format!("{}: {} (optional)", database.name, check.id);
                command(&mut text, "warning", &title, &check.text());
            }
        }
    }
    text
}

/// Why a database was not proved, one entry for each reason.
fn reasons(database: &DatabaseReport) -> Vec<String> {
    let checks = database.not_passed().map(|check| {
        let word = check.outcome.word();
        if check.message.is_empty() {
            format!("{}: {word}", check.id)
        } else {
            format!("{}: {word}: {}", check.id, check.text())
        }
    });
    checks.chain(database.error.iter().map(crate::error::Error::one_line)).collect()
}

fn command(text: &mut String, level: &str, title: &str, message: &str) {
    let title = escape(title).replace(':', "%3A").replace(',', "%2C");
    let _infallible = writeln!(text, "::{level} title={title}::{}", escape(message));
}

fn escape(text: &str) -> String {
    // `##[…]` is a command as well, wherever it is in a line.
    text.replace("##", "# #").replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Markdown: one table for all databases, the reasons below it.
pub(super) fn summary(report: &Report) -> String {
    let report = &report.shown();
    let mut text = format!("### lsrun {}: {}\n\n", report.command, report.word());
    text.push_str("| database | outcome | lag | restore | size | TXID | took |\n");
    text.push_str("|---|---|---|---|---|---|---|\n");
    let mut below = String::new();
    for database in &report.databases {
        let outcome = database.outcome();
        let mark = match outcome {
            Outcome::Passed => "✅",
            Outcome::Failed => "❌",
            Outcome::Inconclusive => "❓",
            Outcome::Skipped => "⏭️",
        };
        let restore = database.restore.as_ref();
        let _infallible = writeln!(
            text,
            "| {} | {mark} {} | {} | {} | {} | {} | {} |",
            cell(&database.name),
            cell(&outcome_of(report, database)),
            database.replication.as_ref().map(|it| duration(it.lag)).unwrap_or_default(),
            restore.map(|it| duration(it.duration)).unwrap_or_default(),
            restore.map(|it| bytes(it.bytes)).unwrap_or_default(),
            database.txid.as_deref().unwrap_or_default(),
            duration(database.duration),
        );
        let why = match (outcome, &database.skipped) {
            (Outcome::Skipped, Some(reason)) => vec![reason.clone()],
            _ => reasons(database),
        };
        for reason in why {
            let _infallible = writeln!(below, "- **{}** {}", cell(&database.name), cell(&reason));
        }
    }
    text.push('\n');
    if !below.is_empty() {
        text.push_str(&below);
        text.push('\n');
    }
    text
}

/// The word, and whose fault it is if that is not the backup's.
fn outcome_of(report: &Report, database: &DatabaseReport) -> String {
    let word = report.word_of(database);
    match database.fault() {
        Some(Fault::Live) => format!("{word} (the live database itself)"),
        _ => word.to_owned(),
    }
}

/// Text that neither ends a cell nor is read as markup.
fn cell(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('|', "\\|")
        .replace('*', "\\*")
        .replace('`', "\\`")
        .replace('\n', "<br>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Check;
    use crate::report::tests::{check, report};

    #[test]
    fn what_was_not_proved_is_annotated_on_one_line() {
        let mut run = report(&["good", "a,b:c"]);
        let message = "100% wrong\nsee ::error".to_owned();
        run.databases[1].checks.push(Check { message, ..check("rows", Outcome::Failed) });
        assert_eq!(
            annotations(&run),
            "::error title=the backup of a%2Cb%3Ac is wrong::rows: failed: 100%25 wrong%0Asee ::error\n"
        );
        let mut live = report(&["default"]);
        let damaged = Check { fault: Fault::Live, ..check("integrity_check", Outcome::Failed) };
        live.databases[0].checks.push(damaged);
        let text = annotations(&live);
        assert!(text.contains("title=the live database default is damaged"), "{text}");
        assert!(super::summary(&live).contains("❌ failed (the live database itself)"));
        let summary = summary(&run);
        assert!(summary.contains("| good | ✅ verified | 9 ms | 61 ms | 20 KiB |"), "{summary}");
        assert!(summary.contains("- **a,b:c** rows: failed: 100% wrong<br>see"), "{summary}");
    }
}
