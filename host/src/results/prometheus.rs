//! Metrics for the textfile collector of Prometheus' node exporter. The file holds
//! all databases of the project that were part of a run of one command.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write;
use std::time::Duration;

use super::history::Past;
use crate::report::{DatabaseReport, NOT_REPLICATED, Outcome, Replication, Report, Restore};

const LAST_SUCCESS: &str = "last_success_timestamp_seconds";
const OUTCOME: &str = "outcome";
const LIVE_DAMAGED: &str = "live_damaged";

/// What the name of every metric ends with, and its help, in the order of the file. All are
/// gauges.
const METRICS: [(&str, &str); 8] = [
    (LAST_SUCCESS, "When a backup was last proved good; 0 when it never was."),
    (OUTCOME, "1 for the outcome of the last run, 0 for the others."),
    (
        LIVE_DAMAGED,
        "1 when the last run found the live database itself damaged, or breaking its own rules.",
    ),
    ("last_run_timestamp_seconds", "When the last run began."),
    ("duration_seconds", "How long the last run took for this database."),
    ("replication_lag_seconds", "How long the replica took to have the last write."),
    ("restore_seconds", "How long the restore took."),
    ("restored_bytes", "The size of the restored database."),
];

/// The same of what changes with the time of day, which is served and not in the file.
const AGES: [(&str, &str); 2] = [
    ("last_success_age_seconds", "How long ago a backup was last proved good; +Inf if never."),
    ("healthy", "1 while the last proof of a backup was good and is recent enough."),
];

/// What the figures of plugins begin with, after which come the plugin and the name.
const OF_PLUGINS: &str = "lsrun_plugin";

/// Whether a metric of a command has this name, or ends like it.
#[must_use]
pub(crate) fn is_reserved(name: &str) -> bool {
    METRICS
        .iter()
        .chain(&AGES)
        .any(|(metric, _)| *metric == name || name.ends_with(&format!("_{metric}")))
}

/// The samples of one database: the part after the metric's name, by metric.
type Samples = BTreeMap<String, Vec<String>>;

/// What was known before this run.
#[derive(Debug, Default)]
pub(super) struct KnownResults {
    /// The newest result of each database, by path.
    pub(super) newest: HashMap<String, Past>,
    /// When each was last proved good, by path.
    pub(super) last_success: HashMap<String, jiff::Timestamp>,
    /// The names of the databases that the project has now; none when that cannot be
    /// found out.
    pub(super) names: Option<HashSet<String>>,
}

/// The content of the file. `before` is what it held.
///
/// No series is lost: a database of this run that was not examined (skipped,
/// interrupted) keeps what is known of it, as does one that is not of this run, and a
/// figure that this run did not measure keeps its last value. A database that was
/// never proved good has 0 as its last success. Only databases that the project no
/// longer has, or no longer replicates, go.
pub(super) fn render(report: &Report, before: &str, known: &KnownResults) -> String {
    let prefix = &report.metrics;
    let mut figures = figures(before);
    let mut before = read(before, prefix);
    let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for database in &report.databases {
        let label = label(&database.name);
        let mut samples = before.remove(&label).unwrap_or_default();
        if database.skipped.as_deref() == Some(NOT_REPLICATED) {
            continue;
        }
        let examined = database.has_result();
        if examined {
            figures.retain(|(_, sample)| first_label(sample) != Some(&label));
            figures.extend(given(database, &label));
            samples.extend(measured(report, database, &label));
        } else if let Some(past) = known.newest.get(&database.path) {
            samples.extend(remembered(report, past, &label));
        }
        if database.outcome() != Outcome::Passed || !examined {
            if let Some(time) = known.last_success.get(&database.path) {
                samples.insert(LAST_SUCCESS.to_owned(), vec![stamp(&label, *time)]);
            }
            let never = || vec![format!("{{{label}}} 0")];
            samples.entry(LAST_SUCCESS.to_owned()).or_insert_with(never);
        }
        add(&mut all, samples);
    }
    let names = known.names.as_ref();
    let current: Option<HashSet<String>> =
        names.map(|names| names.iter().map(|name| label(name)).collect());
    let is_current = |label: &str| current.as_ref().is_none_or(|current| current.contains(label));
    for (label, samples) in before {
        if is_current(&label) {
            add(&mut all, samples);
        }
    }
    figures.retain(|(_, sample)| first_label(sample).is_some_and(is_current));
    let mut text = String::new();
    for (metric, help) in METRICS {
        let Some(samples) = all.get(metric).filter(|samples| !samples.is_empty()) else { continue };
        let _infallible =
            writeln!(text, "# HELP {prefix}_{metric} {help}\n# TYPE {prefix}_{metric} gauge");
        for sample in samples {
            let _infallible = writeln!(text, "{prefix}_{metric}{sample}");
        }
    }
    let mut last = "";
    for (metric, sample) in &figures {
        if metric != last {
            let help = "A figure that a plugin gave.";
            let _infallible = writeln!(text, "# HELP {metric} {help}\n# TYPE {metric} gauge");
            last = metric;
        }
        let _infallible = writeln!(text, "{metric}{{{sample}");
    }
    text
}

/// How old the last proof of each database is, and whether that is good enough.
pub(super) fn ages(prefix: &str, databases: &[(&str, Option<Duration>, bool)]) -> String {
    let of = |metric: &str, (_, age, healthy): &(&str, Option<Duration>, bool)| match metric {
        "healthy" => u8::from(*healthy).to_string(),
        _ => age.map_or("+Inf".to_owned(), |age| age.as_secs().to_string()),
    };
    let mut text = String::new();
    for (metric, help) in AGES {
        let _infallible =
            writeln!(text, "# HELP {prefix}_{metric} {help}\n# TYPE {prefix}_{metric} gauge");
        for database in databases {
            let (label, value) = (label(database.0), of(metric, database));
            let _infallible = writeln!(text, "{prefix}_{metric}{{{label}}} {value}");
        }
    }
    text
}

/// The figures of plugins that an earlier run wrote: the metric, and the rest of the line
/// from its labels on.
fn figures(text: &str) -> BTreeSet<(String, String)> {
    let figure = |line: &str| {
        let (name, rest) = line.split_once('{')?;
        let of_plugin = name.strip_prefix(OF_PLUGINS)?.strip_prefix('_')?;
        // What commands that are plugins have measured is not one.
        let own = METRICS.iter().any(|(metric, _)| of_plugin.ends_with(&format!("_{metric}")));
        (!own && first_label(rest).is_some()).then(|| (name.to_owned(), rest.to_owned()))
    };
    text.lines().filter_map(figure).collect()
}

/// Those of this run.
fn given(database: &DatabaseReport, label: &str) -> impl Iterator<Item = (String, String)> {
    database.metrics.iter().flat_map(move |(plugin, figures)| {
        let plugin = plugin.replace('-', "_");
        figures.iter().map(move |(name, value)| {
            (format!("{OF_PLUGINS}_{plugin}_{name}"), format!("{label}}} {value}"))
        })
    })
}

fn add(all: &mut BTreeMap<&str, Vec<String>>, mut samples: Samples) {
    for (metric, _) in METRICS {
        all.entry(metric).or_default().extend(samples.remove(metric).unwrap_or_default());
    }
}

fn label(name: &str) -> String {
    format!("alias=\"{}\"", escape(name))
}

/// What the history says of the newest run.
fn remembered(report: &Report, past: &Past, label: &str) -> Samples {
    let mut database = DatabaseReport::new(past.name.clone(), past.path.clone());
    database.duration = past.duration;
    database.replication = past.lag.map(|lag| Replication { method: String::new(), lag });
    database.restore =
        past.restore.zip(past.bytes).map(|(duration, bytes)| Restore { duration, bytes });
    let mut samples = samples(report, &database, past.outcome, past.started, label);
    if past.outcome != Outcome::Passed {
        // Whose fault it was is not in the history.
        samples.remove(LIVE_DAMAGED);
    }
    samples
}

fn measured(report: &Report, database: &DatabaseReport, label: &str) -> Samples {
    samples(report, database, database.outcome(), report.started, label)
}

fn samples(
    report: &Report,
    database: &DatabaseReport,
    outcome: Outcome,
    started: jiff::Timestamp,
    label: &str,
) -> Samples {
    let seconds = |seconds: f64| format!("{{{label}}} {seconds}");
    let mut samples = Samples::new();
    let mut add = |metric: &str, values: Vec<String>| samples.insert(metric.to_owned(), values);
    if outcome == Outcome::Passed {
        add(LAST_SUCCESS, vec![stamp(label, started)]);
    }
    let outcomes = [Outcome::Passed, Outcome::Inconclusive, Outcome::Failed];
    let one = |it: Outcome| {
        let word = if it == Outcome::Passed { &report.success } else { it.word() };
        format!("{{{label},outcome=\"{}\"}} {}", escape(word), u8::from(it == outcome))
    };
    add(OUTCOME, outcomes.map(one).to_vec());
    add(LIVE_DAMAGED, vec![format!("{{{label}}} {}", u8::from(database.live_is_wrong()))]);
    add("last_run_timestamp_seconds", vec![stamp(label, started)]);
    add("duration_seconds", vec![seconds(database.duration.as_secs_f64())]);
    if let Some(replication) = &database.replication {
        let lag = vec![seconds(replication.lag.as_secs_f64())];
        add("replication_lag_seconds", lag);
    }
    if let Some(restore) = &database.restore {
        add("restore_seconds", vec![seconds(restore.duration.as_secs_f64())]);
        add("restored_bytes", vec![format!("{{{label}}} {}", restore.bytes)]);
    }
    samples
}

fn stamp(label: &str, time: jiff::Timestamp) -> String {
    format!("{{{label}}} {}", time.as_second())
}

fn escape(text: &str) -> String {
    crate::shown::line(text).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// What an earlier run wrote, by the label of its database. Whatever it did not write is
/// left out.
fn read(text: &str, prefix: &str) -> BTreeMap<String, Samples> {
    let mut all: BTreeMap<String, Samples> = BTreeMap::new();
    for line in text.lines() {
        let Some((name, rest)) = line.split_once('{') else { continue };
        let metric = name.strip_prefix(prefix).and_then(|name| name.strip_prefix('_'));
        let Some(metric) = metric else { continue };
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
    use super::*;
    use crate::error::Error;
    use crate::report::tests::{check, report};
    use crate::report::{Check, Fault};

    #[test]
    fn a_good_run_gives_every_metric() {
        let text = render(&report(&["default"]), "", &KnownResults::default());
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
    fn figures_of_plugins_are_kept_until_their_database_is_examined_again() {
        let mut run = report(&["default", "other"]);
        let figures =
            BTreeMap::from([("rows".to_owned(), 5.0), ("oldest_seconds".to_owned(), 0.5)]);
        for database in &mut run.databases {
            database.metrics.insert("row-count".into(), figures.clone());
        }
        let text = render(&run, "", &KnownResults::default());
        let line = |alias: &str, value: &str| {
            format!("lsrun_plugin_row_count_rows{{alias=\"{alias}\"}} {value}")
        };
        has(&text, &[line("default", "5"), line("other", "5")]);
        has(&text, &["# TYPE lsrun_plugin_row_count_rows gauge".to_owned()]);
        run.databases[0].metrics.entry("row-count".into()).or_default().insert("rows".into(), 7.0);
        run.databases[1] = DatabaseReport::new("other".into(), "/other".into());
        run.databases[1].skipped = Some("fresh".into());
        let after = render(&run, &text, &KnownResults::default());
        has(&after, &[line("default", "7"), line("other", "5")]);
        let names = Some(["default"].map(str::to_owned).into());
        let known = KnownResults { names, ..KnownResults::default() };
        let one = render(&report(&["default"]), &after, &known);
        assert!(!one.contains("lsrun_plugin"), "{one}");
    }

    fn past(path: &str, outcome: Outcome, second: i64) -> Past {
        Past {
            command: "verify".to_owned(),
            name: path.trim_start_matches('/').to_owned(),
            path: path.to_owned(),
            started: jiff::Timestamp::from_second(second).unwrap(),
            outcome,
            txid: None,
            method: None,
            lag: Some(std::time::Duration::from_millis(7)),
            restore: None,
            bytes: None,
            duration: std::time::Duration::from_secs(3),
            not_passed: Vec::new(),
        }
    }

    #[track_caller]
    fn has(text: &str, lines: &[String]) {
        for line in lines {
            assert!(text.lines().any(|it| it == line), "{line}:\n{text}");
        }
    }

    #[test]
    fn a_damaged_live_database_has_a_series_of_its_own() {
        let mut run = report(&["default"]);
        let damaged = check("integrity_check", Outcome::Failed);
        run.databases[0].checks.push(Check { fault: Fault::Live, ..damaged });
        let text = render(&run, "", &KnownResults::default());
        for line in [
            "lsrun_verify_live_damaged{alias=\"default\"} 1",
            "lsrun_verify_outcome{alias=\"default\",outcome=\"failed\"} 1",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}:\n{text}");
        }
        // One that was not examined is as it was.
        run.databases[0] = DatabaseReport::new("default".into(), "/default".into());
        run.databases[0].skipped = Some("fresh".into());
        let after = render(&run, &text, &KnownResults::default());
        assert!(after.contains("lsrun_verify_live_damaged{alias=\"default\"} 1"), "{after}");
    }

    #[test]
    fn no_series_is_lost() {
        let names = ["odd \"name\"\\{", "skipped", "cut"];
        let before = render(&report(&names), "", &KnownResults::default());
        let mut run = report(&names);
        run.started += std::time::Duration::from_secs(60);
        run.databases[0] = DatabaseReport::new(names[0].into(), "/odd".into());
        run.databases[0].checks.push(check("restore", Outcome::Failed));
        run.databases[1] = DatabaseReport::new("skipped".into(), "/skipped".into());
        run.databases[1].skipped = Some("fresh".into());
        run.databases[2].error = Some(crate::stop::Stop::error(crate::stop::Signal::Interrupt));
        let after = render(&run, &before, &KnownResults::default());
        let odd = "{alias=\"odd \\\"name\\\"\\\\{\"} ";
        has(
            &after,
            &[
                format!("lsrun_verify_{LAST_SUCCESS}{odd}0"),
                format!("lsrun_verify_last_run_timestamp_seconds{odd}60"),
                // Not measured now.
                format!("lsrun_verify_restore_seconds{odd}0.061"),
                format!("lsrun_verify_{OUTCOME}{{alias=\"skipped\",outcome=\"verified\"}} 1"),
                "lsrun_verify_last_run_timestamp_seconds{alias=\"skipped\"} 0".into(),
                "lsrun_verify_restored_bytes{alias=\"cut\"} 20480".into(),
            ],
        );
        // A run of one database only; another one has left the project.
        let names = Some(["odd \"name\"\\{", "skipped", "new"].map(str::to_owned).into());
        let known = KnownResults { names, ..KnownResults::default() };
        let one = render(&report(&["new"]), &after, &known);
        has(&one, &[format!("lsrun_verify_{OUTCOME}{{alias=\"skipped\",outcome=\"verified\"}} 1")]);
        has(&one, &[format!("lsrun_verify_{OUTCOME}{{alias=\"new\",outcome=\"verified\"}} 1")]);
        assert!(!one.contains("\"cut\""), "{one}");
    }

    #[test]
    fn a_new_file_has_what_the_history_knows_and_never_is_zero() {
        let mut run = report(&["fresh", "failed", "never", "other"]);
        run.databases[0] = DatabaseReport::new("fresh".into(), "/fresh".into());
        run.databases[0].skipped = Some("a good result is 1 h old".into());
        run.databases[1].checks.push(check("restore", Outcome::Failed));
        run.databases[2].error = Some(Error::inconclusive("no answer"));
        run.databases[3] = DatabaseReport::new("other".into(), "/other".into());
        run.databases[3].skipped = Some(NOT_REPLICATED.into());
        let known = KnownResults {
            newest: HashMap::from([("/fresh".into(), past("/fresh", Outcome::Passed, 50))]),
            last_success: HashMap::from([
                ("/fresh".into(), jiff::Timestamp::from_second(50).unwrap()),
                ("/failed".into(), jiff::Timestamp::from_second(7).unwrap()),
            ]),
            names: None,
        };
        let text = render(&run, "", &known);
        has(
            &text,
            &[
                format!("lsrun_verify_{OUTCOME}{{alias=\"fresh\",outcome=\"verified\"}} 1"),
                format!("lsrun_verify_{LAST_SUCCESS}{{alias=\"fresh\"}} 50"),
                "lsrun_verify_last_run_timestamp_seconds{alias=\"fresh\"} 50".into(),
                "lsrun_verify_duration_seconds{alias=\"fresh\"} 3".into(),
                format!("lsrun_verify_{LAST_SUCCESS}{{alias=\"failed\"}} 7"),
                format!("lsrun_verify_{LAST_SUCCESS}{{alias=\"never\"}} 0"),
            ],
        );
        assert!(!text.contains("alias=\"other\""), "{text}");
    }
}
