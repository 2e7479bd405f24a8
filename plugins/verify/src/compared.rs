//! The restored copy compared with the live database: page by page if that is possible,
//! which is the proof, else by its schema and its rows.

use lsrun_plugin::host::report::Check;
use lsrun_plugin::host::sqlite::{PageComparison, TableContent};
use lsrun_plugin::integrity::lines;
use lsrun_plugin::prelude::*;
use lsrun_plugin::{is_damage, tables, words};

use crate::checks::damaged;
use crate::live::{self, Live};
use crate::options::{Id, Options};
use crate::whose_fault::{Failures, Question};
use crate::{told, wanted};

/// What replaces `pages`, in the order of the report.
const ROWS: [Id; 3] = [Id::Schema, Id::Rows, Id::Content];

/// How the copy is compared.
pub(crate) enum Compared {
    /// It is the live database, page by page.
    Same,
    /// Its rows are being read.
    Rows(Comparison),
    /// Nothing is read any more.
    Held(Live),
    Nothing,
}

/// What is known of the live database.
pub(crate) enum Known {
    /// The copy is the live database, page by page.
    Same,
    /// The state that is held.
    Held(Live),
    Nothing,
}

/// Compares the pages, and starts to compare the rows if that is needed. `missing`
/// says why there is no live database, if there is none.
pub(crate) fn start(
    copy: &RestoredCopy,
    live: Option<Live>,
    missing: &str,
    options: &Options,
    failures: &mut Failures<'_>,
) -> Compared {
    if !options.compares() {
        return Compared::Nothing;
    }
    let proved =
        wanted(options, Id::Pages) && pages(copy, live.as_ref(), missing, options, failures);
    if proved && options.rows_stand_in() {
        // What is held here keeps the log from being restarted.
        return Compared::Same;
    }
    let Some(mut live) = live else {
        rows_inconclusive(options, missing);
        return Compared::Nothing;
    };
    if !live.is_exact() {
        rows_inconclusive(options, "the database was too busy: its rows were not compared");
        return if proved { Compared::Same } else { Compared::Held(live) };
    }
    live.read(options);
    Compared::Rows(Comparison::start(copy, live, options))
}

impl Compared {
    /// Ends the checks, or puts them to those that failed.
    pub(crate) fn finish(self, failures: &mut Failures<'_>) -> Known {
        match self {
            Self::Same => Known::Same,
            Self::Rows(rows) => Known::Held(rows.finish(failures)),
            Self::Held(live) => Known::Held(live),
            Self::Nothing => Known::Nothing,
        }
    }
}

fn rows_inconclusive(options: &Options, why: &str) {
    for id in ROWS.into_iter().filter(|id| wanted(options, *id)) {
        Check::new(id.name()).inconclusive(why);
    }
}

/// Whether the pages are those of the live database. A difference is conclusive; which
/// tables it is in, the rows say.
fn pages(
    copy: &RestoredCopy,
    live: Option<&Live>,
    missing: &str,
    options: &Options,
    failures: &mut Failures<'_>,
) -> bool {
    let check = Check::new(Id::Pages.name());
    let found = match live {
        Some(live) => live.pages(copy),
        None => Err(error("inconclusive", missing)),
    };
    match found {
        Ok(found) if found.differing() == 0 => {
            let all = words::count(found.pages(), "page");
            check.passed(&format!("{all}, each as in the live database"));
            return true;
        }
        Ok(found) => failures.push(check, difference(&found), Question::Difference),
        Err(error) if live.is_some() && ROWS.into_iter().any(|id| wanted(options, id)) => {
            check.skipped(&format!("{}: the rows are compared instead", words::reasons(&error)));
        }
        Err(error) => check.ended(&error),
    }
    false
}

fn difference(found: &PageComparison) -> String {
    let (pages, copied, differing) = (found.pages(), found.copied(), found.differing());
    let first: Vec<String> = found.first().iter().map(u64::to_string).collect();
    let more = if differing > first.len() as u64 { ", …" } else { "" };
    let mut text = format!(
        "{differing} of {} differ from the live database: {}{more}",
        words::count(pages.max(copied), "page"),
        first.join(", ")
    );
    if pages != copied {
        text.push_str(&format!("\nthe copy has {copied}, the live database had {pages}"));
    }
    text
}

/// A comparison of the rows, under way.
pub(crate) struct Comparison {
    live: Live,
    schema: Option<Check>,
    rows: Option<Check>,
    content: Option<Check>,
    connection: Result<sqlite::Connection, Error>,
    job: Option<Result<sqlite::ContentJob, Error>>,
}

impl Comparison {
    fn start(copy: &RestoredCopy, live: Live, options: &Options) -> Self {
        let check = |id: Id| wanted(options, id).then(|| Check::new(id.name()));
        let (schema, rows, content) = (check(Id::Schema), check(Id::Rows), check(Id::Content));
        let connection = sqlite::open_copy(copy);
        let job = (rows.is_some() || content.is_some()).then(|| {
            let connection = connection.as_ref().map_err(Clone::clone)?;
            tables::start(connection, content.is_some())
        });
        Self { live, schema, rows, content, connection, job }
    }

    /// Ends the checks, or puts them to those that failed; gives the live database back.
    fn finish(mut self, failures: &mut Failures<'_>) -> Live {
        let of_copy = match self.job.take() {
            Some(job) => job.and_then(|job| tables::contents(&job)),
            None => Ok(Vec::new()),
        };
        let of_live = self.live.contents();
        if let Some(check) = self.schema.take() {
            let copied = self.connection.as_ref().map_err(Clone::clone).and_then(live::schema);
            match (&self.live.schema(), copied) {
                (Ok(live), Ok(copied)) => {
                    self.judge(check, &different_schema(live, &copied), failures);
                }
                (Err(error), _) => not_readable(&check, error),
                (_, Err(error)) => damaged(check, &error, failures),
            }
        }
        for (check, compare) in [
            (
                self.rows.take(),
                different_rows as fn(&TableContent, &TableContent) -> Option<String>,
            ),
            (self.content.take(), different_content),
        ] {
            let Some(check) = check else { continue };
            match (&of_live, &of_copy) {
                (Ok(live), Ok(copied)) => {
                    self.judge(check, &different(live, copied, compare), failures);
                }
                (Err(error), _) => not_readable(&check, error),
                (_, Err(error)) => damaged(check, error, failures),
            }
        }
        self.live
    }

    /// A difference is the backup's fault only when nobody has written since.
    fn judge(&self, check: Check, differences: &[String], failures: &mut Failures<'_>) {
        if differences.is_empty() {
            return check.passed("");
        }
        if self.live.is_current() {
            return failures.push(check, lines(differences), Question::Difference);
        }
        check.set_hint("run it again when the database is less busy");
        check.inconclusive(&format!(
            "{}\nthe database was written to meanwhile, so this may be correct",
            differences[0]
        ));
    }
}

/// Ends a check for which the live database cannot be read.
fn not_readable(check: &Check, error: &Error) {
    let text = format!("the live database cannot be read: {}", told(check, error));
    if is_damage(error) { check.failed_as_live(&text) } else { check.inconclusive(&text) }
}

fn different_schema(live: &[(String, String)], copied: &[(String, String)]) -> Vec<String> {
    let mut differences = Vec::new();
    for (name, sql) in live {
        match copied.iter().find(|(other, _)| other == name) {
            None => differences.push(format!("{name} is missing")),
            Some((_, other)) if other != sql => differences.push(format!("{name} differs")),
            Some(_) => {}
        }
    }
    for (name, _) in copied {
        if !live.iter().any(|(other, _)| other == name) {
            differences.push(format!("{name} is not in the live database"));
        }
    }
    differences
}

fn different(
    live: &[TableContent],
    copied: &[TableContent],
    compare: fn(&TableContent, &TableContent) -> Option<String>,
) -> Vec<String> {
    let mut differences = Vec::new();
    let mut rest: Vec<&TableContent> = copied.iter().collect();
    for table in live {
        let name = table.table();
        match rest.iter().position(|other| other.table() == name) {
            Some(at) => differences.extend(compare(table, rest.swap_remove(at))),
            None => differences.push(format!("{name} is missing")),
        }
    }
    differences
        .extend(rest.iter().map(|table| format!("{} is not in the live database", table.table())));
    differences
}

fn different_rows(live: &TableContent, copied: &TableContent) -> Option<String> {
    let (live_rows, rows) = (live.rows(), copied.rows());
    (live_rows != rows)
        .then(|| format!("{}: {rows} rows, {live_rows} in the live database", live.table()))
}

fn different_content(live: &TableContent, copied: &TableContent) -> Option<String> {
    (live.digest() != copied.digest()).then(|| format!("{}: the rows differ", live.table()))
}
