//! What the operator should do next.

use std::fmt::Write;

use super::palette::Palette;
use super::{CheckKind, DatabaseReport, Fault, LastGood, Outcome, Report};
use crate::exit::Exit;

/// What the operator should do next, one line for each kind of problem.
pub(super) fn advice(text: &mut String, report: &Report, palette: Palette) {
    let of = |outcome: Outcome, which: &dyn Fn(&DatabaseReport) -> bool| {
        let databases = report.databases.iter();
        let some = databases.filter(|it| it.outcome() == outcome && which(it));
        some.map(|it| it.name.as_str()).collect::<Vec<_>>()
    };
    let mut say = |outcome: Outcome, names: &[&str], what: &str, next: &str| {
        if names.is_empty() {
            return;
        }
        let (style, mark) = palette.of(outcome);
        let reset = palette.reset;
        let _infallible =
            writeln!(text, "{style}{mark} {what}: {}{reset}\n  next: {next}", list(names));
    };
    let command = &report.command;
    let slow = of(Outcome::Failed, &only_limits);
    say(
        Outcome::Failed,
        &slow,
        "the backup is good, and slower than the limits in lsrun.yml",
        "check the load of the daemon, the storage and this machine, or raise the limit",
    );
    let rules = of(Outcome::Failed, &of_rules);
    say(
        Outcome::Failed,
        &rules,
        "the live data breaks an assertion of lsrun.yml, and its backup is a faithful copy",
        &format!(
            "correct the data or the assertion, then run lsrun {command} {}",
            quoted(rules.first().copied().unwrap_or_default())
        ),
    );
    let of_live = |it: &DatabaseReport| it.fault() == Some(Fault::Live);
    let live = |it: &DatabaseReport| of_live(it) && !of_rules(it);
    let broken = report.databases.iter().filter(|it| live(it)).collect::<Vec<_>>();
    say(
        Outcome::Failed,
        &of(Outcome::Failed, &live),
        "the live database itself is damaged or breaks its own rules; its backup is not to blame",
        &older_points(command, &broken),
    );
    let data = of(Outcome::Failed, &|it| only_the_data(it) && !only_limits(it) && !of_live(it));
    say(
        Outcome::Failed,
        &data,
        "the backup restores, but its data fails one of your checks",
        "check the same in the live database: if it is right there, the backup is wrong",
    );
    let bad = |it: &DatabaseReport| !only_the_data(it) && !of_live(it);
    let wrong = report.databases.iter().filter(|it| it.outcome() == Outcome::Failed && bad(it));
    let wrong = wrong.collect::<Vec<_>>();
    say(
        Outcome::Failed,
        &of(Outcome::Failed, &bad),
        "the backup does not restore the data",
        &older_points(command, &wrong),
    );
    let cut = of(Outcome::Inconclusive, &DatabaseReport::interrupted);
    say(
        Outcome::Inconclusive,
        &cut,
        "interrupted before there was a result",
        &format!("run lsrun {command} again for these"),
    );
    let unsure = of(Outcome::Inconclusive, &|it| !it.interrupted());
    let why = report.databases.iter().filter(|it| !it.interrupted()).find_map(hint);
    let several = unsure.len() > 1;
    let why =
        why.map(|hint| if several { format!("{hint} (each has its own above)") } else { hint });
    let next = why.unwrap_or_else(|| {
        let one = unsure.first().copied().unwrap_or_default();
        format!("fix the problem above, then run lsrun {command} {}", quoted(one))
    });
    say(Outcome::Inconclusive, &unsure, "not verified, which says nothing about the backup", &next);
}

/// Whether all that is wrong are assertions that are false in the live database as well.
fn of_rules(database: &DatabaseReport) -> bool {
    database.fault() == Some(Fault::Live)
        && database
            .checks
            .iter()
            .filter(|check| !check.optional && check.fault().is_some())
            .all(|check| check.kind == CheckKind::Assertion)
}

/// The way to an older point that is good, of the first of these databases. Nothing
/// here may cost the last copy that is good.
fn older_points(command: &str, databases: &[&DatabaseReport]) -> String {
    let Some(first) = databases.first() else { return String::new() };
    let name = quoted(&first.name);
    let way = match &first.last_good {
        Some(LastGood { started, txid: Some(txid) }) => {
            let time = crate::figures::time(*started);
            format!("last proved good: {time}, TXID {txid}; try lsrun {command} --at {txid} {name}")
        }
        _ => format!(
            "lsrun points {name} lists older points, and lsrun {command} --at TXID {name} \
             shows whether one is good"
        ),
    };
    let several = if databases.len() > 1 { " (and likewise for each of the others)" } else { "" };
    format!("delete nothing; {way}{several}")
}

/// Whether all that failed are limits of time.
fn only_limits(database: &DatabaseReport) -> bool {
    only_the_data(database) && database.not_passed().all(|check| check.kind == CheckKind::Limit)
}

/// Whether all that failed are assertions, limits and the project's own checks.
fn only_the_data(database: &DatabaseReport) -> bool {
    let by_error = database.error.as_ref().is_some_and(|error| error.exit() == Exit::CheckFailed);
    !by_error
        && database.checks.iter().all(|check| {
            check.optional || check.outcome != Outcome::Failed || check.kind != CheckKind::Backup
        })
}

/// The first hint of what was inconclusive.
fn hint(database: &DatabaseReport) -> Option<String> {
    let of_checks = database
        .not_passed()
        .filter(|check| check.outcome == Outcome::Inconclusive)
        .find_map(|check| check.hint.as_deref());
    let of_error = || database.error.as_ref().and_then(crate::error::Error::hint_text);
    // Others have room for one line.
    of_checks.or_else(of_error).and_then(|hint| hint.lines().next()).map(str::to_owned)
}

/// The first names.
fn list(names: &[&str]) -> String {
    const SHOWN: usize = 20;
    let mut text = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        let _infallible = write!(text, " and {} more", names.len() - SHOWN);
    }
    text
}

/// A name as a shell takes it.
fn quoted(name: &str) -> String {
    let plain = |letter: char| letter.is_alphanumeric() || "-_./".contains(letter);
    if name.chars().all(plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_of_a_shell() {
        assert_eq!(quoted("tenants/a.db"), "tenants/a.db");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
