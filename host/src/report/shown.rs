//! A report for people and for formats without escapes: every text in it passed the
//! [filter](crate::shown), so that no name or message adds a line, moves the
//! cursor or hides a part of itself. JSON keeps the text, escaped.

use super::{DatabaseReport, Report};
use crate::shown::{indented, line, lines};

impl Report {
    /// The same report without anything that is obeyed instead of shown.
    #[must_use]
    pub(crate) fn shown(&self) -> Self {
        Self {
            command: line(&self.command).into_owned(),
            metrics: self.metrics.clone(),
            success: line(&self.success).into_owned(),
            databases: self.databases.iter().map(DatabaseReport::shown).collect(),
            ..*self
        }
    }
}

impl DatabaseReport {
    fn shown(&self) -> Self {
        let mut shown = self.clone();
        let more = [&mut shown.txid, &mut shown.target, &mut shown.undone, &mut shown.remark];
        let names = [&mut shown.name, &mut shown.path].into_iter();
        for name in names.chain(more.into_iter().flatten()) {
            *name = line(name).into_owned();
        }
        if let Some(replication) = &mut shown.replication {
            replication.method = line(&replication.method).into_owned();
        }
        for check in &mut shown.checks {
            check.id = line(&check.id).into_owned();
            check.plugin = line(&check.plugin).into_owned();
            check.message = lines(&check.message).into_owned();
            check.hint = check.hint.take().map(|hint| lines(&hint).into_owned());
        }
        shown.skipped = shown.skipped.map(|reason| indented(&reason).into_owned());
        shown.error = shown.error.map(|error| error.map_texts(|text| indented(text).into_owned()));
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, report};
    use super::super::{Outcome, human};
    use crate::error::Error;

    #[test]
    fn names_and_messages_make_no_lines_of_their_own() {
        let evil = "x\n✓ other verified in 1 ms\u{1b}[2J\u{202e}";
        let mut run = report(&[evil]);
        run.success = evil.to_owned();
        run.databases[0].path = evil.to_owned();
        run.databases[0].checks.push(check(evil, Outcome::Failed));
        run.databases[0].checks[0].message = evil.to_owned();
        run.databases[0].error = Some(Error::inconclusive(evil).cause(evil).hint(evil));
        let text = human::render(&run, human::Style::default());
        assert!(!text.lines().any(|line| line.starts_with("✓ other")), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    }
}
