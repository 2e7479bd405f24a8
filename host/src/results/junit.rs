//! The report as JUnit XML: a suite for each database, a case for each check. A
//! wrong backup is a `failure`, an inconclusive check an `error`.

use quick_junit::{NonSuccessKind, Report as Xml, TestCase, TestCaseStatus, TestSuite};

use crate::code::Code;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::report::{Check, DatabaseReport, Fault, Outcome, Report};

/// The type of a failure that the live database has as well.
const LIVE_DAMAGED: &str = "live-damaged";

/// The XML, whole.
pub(super) fn render(report: &Report) -> Result<String> {
    let mut xml = Xml::new(format!("lsrun {}", report.command));
    xml.set_time(report.duration);
    xml.add_test_suites(report.databases.iter().map(suite));
    xml.to_string().map_err(|error| {
        Error::new(Code::Unexpected, "the JUnit report cannot be made").source_chain(&error)
    })
}

fn suite(database: &DatabaseReport) -> TestSuite {
    let mut suite = TestSuite::new(database.name.as_str());
    suite.set_time(database.duration);
    suite.add_property(("path", database.path.as_str()));
    if let Some(txid) = &database.txid {
        suite.add_property(("txid", txid.as_str()));
    }
    suite.add_test_cases(database.checks.iter().map(|check| case(database, check)));
    if let Some(error) = &database.error {
        let kind = if error.exit() == Exit::CheckFailed {
            NonSuccessKind::Failure
        } else {
            NonSuccessKind::Error
        };
        let mut text = error.one_line();
        if let Some(hint) = error.hint_text() {
            text.push_str("\nhint: ");
            text.push_str(hint);
        }
        suite.add_test_case(named(database, "run", not_passed(kind, &text)));
    }
    if let Some(reason) = &database.skipped {
        suite.add_test_case(named(database, "run", skipped(reason)));
    }
    suite
}

fn case(database: &DatabaseReport, check: &Check) -> TestCase {
    let status = match check.outcome {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Skipped => skipped(&check.text()),
        // JUnit has no word for what is shown but does not count.
        other if check.optional => {
            skipped(&format!("{}, optional: {}", other.word(), check.text()))
        }
        Outcome::Failed => {
            let mut status = not_passed(NonSuccessKind::Failure, &check.text());
            if check.fault == Fault::Live {
                status.set_type(LIVE_DAMAGED);
            }
            status
        }
        Outcome::Inconclusive => not_passed(NonSuccessKind::Error, &check.text()),
    };
    let mut case = named(database, &check.id, status);
    case.set_time(check.duration);
    if check.outcome == Outcome::Passed && !check.message.is_empty() {
        case.set_system_out(check.message.as_str());
    }
    case
}

fn named(database: &DatabaseReport, name: &str, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(name, status);
    // Tools that show results by class would put all databases into one group.
    case.set_classname(database.name.as_str());
    case
}

fn not_passed(kind: NonSuccessKind, text: &str) -> TestCaseStatus {
    let word =
        if kind == NonSuccessKind::Failure { Outcome::Failed } else { Outcome::Inconclusive };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(word.word());
    status.set_message(text.lines().next().unwrap_or_default());
    status.set_description(text);
    status
}

fn skipped(reason: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(reason);
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{check, report};

    #[test]
    fn failures_errors_and_skipped_are_told_apart() {
        let mut run = report(&["a <&> b", "fresh"]);
        let checks = &mut run.databases[0].checks;
        checks.push(Check {
            message: "row 5 is gone\u{1}\nsecond".into(),
            ..check("rows", Outcome::Failed)
        });
        checks.push(check("digest", Outcome::Inconclusive));
        checks.push(Check { fault: Fault::Live, ..check("integrity", Outcome::Failed) });
        checks.push(Check { optional: true, ..check("own", Outcome::Failed) });
        run.databases[0].error = Some(Error::inconclusive("no answer"));
        run.databases[1].checks.clear();
        run.databases[1].skipped = Some("verified 1 h ago".into());
        let text = render(&run).unwrap();
        let xml = roxmltree::Document::parse(&text).unwrap();
        let root = xml.root_element();
        let counts = ["tests", "failures", "errors"].map(|name| root.attribute(name).unwrap());
        assert_eq!(counts, ["7", "2", "2"], "{text}");
        let suite = root.children().find(|it| it.is_element()).unwrap();
        assert_eq!(suite.attribute("name"), Some("a <&> b"));
        let of = |name: &str| {
            let case = xml.descendants().find(|it| it.attribute("name") == Some(name)).unwrap();
            case.children().find(|it| it.is_element()).map(|it| it.tag_name().name().to_owned())
        };
        assert_eq!(of("sentinel"), None);
        assert_eq!(of("rows").unwrap(), "failure");
        assert_eq!(of("digest").unwrap(), "error");
        let types = xml.descendants().filter(|it| it.has_tag_name("failure"));
        let types: Vec<_> = types.filter_map(|it| it.attribute("type")).collect();
        assert_eq!(types, ["failed", "live-damaged"]);
        assert_eq!(of("own").unwrap(), "skipped");
        assert_eq!(of("run").unwrap(), "error");
    }
}
