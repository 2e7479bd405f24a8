//! Metrics for the textfile collector of Prometheus' node exporter. The file holds
//! the databases of the last run that wrote it.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{DatabaseReport, Outcome, Report};

const LAST_SUCCESS: &str = "lsrun_verify_last_success_timestamp_seconds";
const OUTCOME: &str = "lsrun_verify_outcome";
const LIVE_DAMAGED: &str = "lsrun_verify_live_damaged";

/// Name and help of every metric, in the order of the file. All are gauges.
const METRICS: [(&str, &str); 8] = [
    (LAST_SUCCESS, "When a backup was last proved good."),
    (OUTCOME, "1 for the outcome of the last run, 0 for the others."),
    (
        LIVE_DAMAGED,
        "1 when the last run found the live database itself damaged, or breaking its own rules.",
    ),
    ("lsrun_verify_last_run_timestamp_seconds", "When the last run began."),
    ("lsrun_verify_duration_seconds", "How long the last run took for this database."),
    ("lsrun_verify_replication_lag_seconds", "How long the replica took to have the last write."),
    ("lsrun_verify_restore_seconds", "How long the restore took."),
    ("lsrun_verify_restored_bytes", "The size of the restored database."),
];

/// The samples of one database: the part behind the metric's name, by metric.
type Samples = BTreeMap<String, Vec<String>>;

/// The content of the file. `before` is what it held. `last_success` is what the
/// history knows of a database that was not verified now.
///
/// A database of this run that was not looked at (skipped, interrupted) keeps what
/// was there.
pub(super) fn render(
    report: &Report,
    before: &str,
    last_success: impl Fn(&DatabaseReport) -> Option<jiff::Timestamp>,
) -> String {
    let mut before = read(before);
    let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for database in &report.databases {
        let label = format!("alias=\"{}\"", escape(&database.name));
        let old = before.remove(&label).unwrap_or_default();
        let looked_at = database.outcome() != Outcome::Skipped && !database.interrupted();
        let mut new = if looked_at { measured(report, database, &label) } else { old.clone() };
        if !new.contains_key(LAST_SUCCESS) {
            let known = last_success(database).map(|time| vec![stamp(&label, time)]);
            if let Some(samples) = known.or_else(|| old.get(LAST_SUCCESS).cloned()) {
                new.insert(LAST_SUCCESS.to_owned(), samples);
            }
        }
        for (metric, _) in METRICS {
            all.entry(metric).or_default().extend(new.remove(metric).unwrap_or_default());
        }
    }
    let mut text = String::new();
    for (metric, help) in METRICS {
        let Some(samples) = all.get(metric).filter(|samples| !samples.is_empty()) else { continue };
        let _infallible = writeln!(text, "# HELP {metric} {help}\n# TYPE {metric} gauge");
        for sample in samples {
            let _infallible = writeln!(text, "{metric}{sample}");
        }
    }
    text
}

fn measured(report: &Report, database: &DatabaseReport, label: &str) -> Samples {
    let seconds = |seconds: f64| format!("{{{label}}} {seconds}");
    let outcome = database.outcome();
    let mut samples = Samples::new();
    let mut add = |metric: &str, values: Vec<String>| samples.insert(metric.to_owned(), values);
    if outcome == Outcome::Passed {
        add(LAST_SUCCESS, vec![stamp(label, report.started)]);
    }
    let outcomes = [Outcome::Passed, Outcome::Inconclusive, Outcome::Failed];
    let one = |it: Outcome| {
        let word = report.word(it);
        format!("{{{label},outcome=\"{}\"}} {}", escape(word), u8::from(it == outcome))
    };
    add(OUTCOME, outcomes.map(one).to_vec());
    add(LIVE_DAMAGED, vec![format!("{{{label}}} {}", u8::from(database.live_is_wrong()))]);
    add("lsrun_verify_last_run_timestamp_seconds", vec![stamp(label, report.started)]);
    add("lsrun_verify_duration_seconds", vec![seconds(database.duration.as_secs_f64())]);
    if let Some(replication) = &database.replication {
        let lag = vec![seconds(replication.lag.as_secs_f64())];
        add("lsrun_verify_replication_lag_seconds", lag);
    }
    if let Some(restore) = &database.restore {
        add("lsrun_verify_restore_seconds", vec![seconds(restore.duration.as_secs_f64())]);
        add("lsrun_verify_restored_bytes", vec![format!("{{{label}}} {}", restore.bytes)]);
    }
    samples
}

fn stamp(label: &str, time: jiff::Timestamp) -> String {
    format!("{{{label}}} {}", time.as_second())
}

fn escape(text: &str) -> String {
    crate::shown::line(text).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// What an earlier run wrote, by the label of its database. Whatever lsrun did not
/// write is left out.
fn read(text: &str) -> BTreeMap<String, Samples> {
    let mut all: BTreeMap<String, Samples> = BTreeMap::new();
    for line in text.lines() {
        let Some((metric, rest)) = line.split_once('{') else { continue };
        let Some(label) = first_label(rest) else { continue };
        if METRICS.iter().any(|(known, _)| *known == metric) {
            let samples = all.entry(label.to_owned()).or_default();
            samples.entry(metric.to_owned()).or_default().push(format!("{{{rest}"));
        }
    }
    all
}

/// `alias="…"` at the start of the labels, with its escapes as they are.
fn first_label(labels: &str) -> Option<&str> {
    let value = labels.strip_prefix("alias=\"")?;
    let mut escaped = false;
    let end = value.char_indices().find_map(|(at, letter)| {
        let end = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        end.then_some(at)
    })?;
    labels.get(.."alias=\"".len() + end + 1)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, report};
    use super::super::{Check, Fault};
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_good_run_gives_every_metric() {
        let text = render(&report(&["default"]), "", |_| None);
        for line in [
            "# TYPE lsrun_verify_outcome gauge",
            "lsrun_verify_last_success_timestamp_seconds{alias=\"default\"} 0",
            "lsrun_verify_outcome{alias=\"default\",outcome=\"verified\"} 1",
            "lsrun_verify_outcome{alias=\"default\",outcome=\"failed\"} 0",
            "lsrun_verify_live_damaged{alias=\"default\"} 0",
            "lsrun_verify_replication_lag_seconds{alias=\"default\"} 0.009",
            "lsrun_verify_restore_seconds{alias=\"default\"} 0.061",
            "lsrun_verify_restored_bytes{alias=\"default\"} 20480",
            "lsrun_verify_duration_seconds{alias=\"default\"} 0.15",
            "lsrun_verify_last_run_timestamp_seconds{alias=\"default\"} 0",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}:\n{text}");
        }
    }

    #[test]
    fn a_damaged_live_database_has_a_series_of_its_own() {
        let mut run = report(&["default"]);
        let damaged = check("integrity_check", Outcome::Failed);
        run.databases[0].checks.push(Check { fault: Fault::Live, ..damaged });
        let text = render(&run, "", |_| None);
        for line in [
            "lsrun_verify_live_damaged{alias=\"default\"} 1",
            "lsrun_verify_outcome{alias=\"default\",outcome=\"failed\"} 1",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}:\n{text}");
        }
        // One that was not looked at is as it was.
        run.databases[0] = DatabaseReport::new("default".into(), "/default".into());
        run.databases[0].skipped = Some("fresh".into());
        let after = render(&run, &text, |_| None);
        assert!(after.contains("lsrun_verify_live_damaged{alias=\"default\"} 1"), "{after}");
    }

    #[test]
    fn a_bad_run_keeps_the_last_success_and_a_skipped_one_keeps_everything() {
        let names = ["odd \"name\"\\{", "skipped", "cut"];
        let before = render(&report(&names), "", |_| None);
        let mut run = report(&names);
        run.started += std::time::Duration::from_secs(60);
        run.databases[0].checks.push(check("restore", Outcome::Failed));
        run.databases[1] = DatabaseReport::new("skipped".into(), "/skipped".into());
        run.databases[1].skipped = Some("fresh".into());
        run.databases[2].error = Some(crate::stop::Stop::error(crate::stop::Signal::Interrupt));
        let after = render(&run, &before, |_| None);
        let odd = "{alias=\"odd \\\"name\\\"\\\\{\"} ";
        for line in [
            format!("{LAST_SUCCESS}{odd}0"),
            format!("lsrun_verify_last_run_timestamp_seconds{odd}60"),
            format!("{OUTCOME}{{alias=\"skipped\",outcome=\"verified\"}} 1"),
            "lsrun_verify_last_run_timestamp_seconds{alias=\"skipped\"} 0".into(),
            "lsrun_verify_restored_bytes{alias=\"cut\"} 20480".into(),
        ] {
            assert!(after.lines().any(|it| it == line), "{line}:\n{after}");
        }
        // The history is asked first: the file may be new.
        let error = Error::inconclusive("no answer");
        run.databases[0].error = Some(error);
        let known = render(&run, "", |_| jiff::Timestamp::from_second(7).ok());
        assert!(known.contains(&format!("{LAST_SUCCESS}{odd}7")), "{known}");
    }
}
