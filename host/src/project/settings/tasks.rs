//! The `tasks:` and `hooks:` parts of the project file, checked: command lines, and the
//! events that they run at.

use std::collections::BTreeMap;
use std::time::Duration;

use super::aliases::known_alias;
use super::quantities::duration;
use crate::error::Result;
use crate::nearest::nearest;
use crate::yaml::Cursor;

/// The events that `hooks:` can name, which are the hooks of plugins without a
/// restored copy.
const EVENTS: [&str; 7] = [
    "pre-verify",
    "verified",
    "pre-restore",
    "restored",
    "not-restored",
    "pre-replicate",
    "replicated",
];

/// How long a task may take unless it says so itself.
const TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// The outcomes that `when` can name.
const OUTCOMES: [&str; 4] = ["passed", "failed", "inconclusive", "skipped"];

/// One of `tasks:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Task {
    /// The program and its arguments, as they are: without a shell, and without references,
    /// since in `sh -c` a `$` is the shell's.
    pub run: Vec<String>,
    /// After this time it is stopped.
    pub timeout: Duration,
    /// The variables of lsrun's environment that it gets.
    pub env: Vec<String>,
    /// Its failure is a warning.
    pub optional: bool,
    /// The outcomes of a proof that it is for; all of them without.
    pub when: Vec<String>,
    /// The aliases that it is for; `None` for all.
    pub databases: Option<Vec<String>>,
}

/// `tasks:` and `hooks:`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TaskSettings {
    /// By name.
    pub tasks: BTreeMap<String, Task>,
    /// The names of the tasks of each event, in order.
    pub hooks: BTreeMap<String, Vec<String>>,
}

impl TaskSettings {
    /// What the built-in component `tasks` reads: the tasks of each event, without their
    /// command lines.
    #[must_use]
    pub(crate) fn to_json(&self) -> serde_json::Value {
        let task = |name: &String| {
            let task = self.tasks.get(name)?;
            Some(serde_json::json!({
                "name": name,
                "optional": task.optional,
                "when": task.when,
                "databases": task.databases,
            }))
        };
        let hooks = self.hooks.iter().map(|(event, names)| {
            (event.clone(), names.iter().filter_map(task).collect::<serde_json::Value>())
        });
        serde_json::Value::Object(hooks.collect())
    }
}

/// Reads `tasks:` and `hooks:`.
pub(in crate::project) fn tasks(
    tasks: Option<Cursor<'_>>,
    hooks: Option<Cursor<'_>>,
    aliases: &[&str],
) -> Result<TaskSettings> {
    let mut settings = TaskSettings::default();
    let mut conditional = Vec::new();
    if let Some(tasks) = tasks {
        for (name, value) in tasks.entries("a mapping of names to command lines")? {
            let task = task(&value, aliases)?;
            if !task.when.is_empty() {
                conditional.push((name, value));
            }
            settings.tasks.insert(name.to_owned(), task);
        }
    }
    if let Some(hooks) = hooks {
        for (event, value) in hooks.entries("a mapping of events to tasks")? {
            if !EVENTS.contains(&event) {
                return Err(value.unknown_key("`hooks`", EVENTS));
            }
            if value.value().is_null() {
                continue;
            }
            let names = value.texts("the name of a task, or a list of them")?;
            for name in &names {
                known_task(&value, name, &settings.tasks)?;
            }
            settings.hooks.insert(event.to_owned(), names);
        }
    }
    for (name, value) in conditional {
        let of_event = |event: &str| {
            settings.hooks.get(event).is_some_and(|names| names.iter().any(|it| it == name))
        };
        if EVENTS.iter().any(|event| *event != "verified" && of_event(event)) {
            return Err(value
                .wrong("has `when`, and is a task of an event without an outcome")
                .hint("`when` is for tasks of `hooks.verified`"));
        }
    }
    Ok(settings)
}

fn known_task(place: &Cursor<'_>, name: &str, tasks: &BTreeMap<String, Task>) -> Result<()> {
    if tasks.contains_key(name) {
        return Ok(());
    }
    let error = place.wrong(format!("names `{name}`, which is not a task in `tasks`"));
    Err(match nearest(name, tasks.keys().map(String::as_str)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("write tasks: {{{name}: [PROGRAM, ARGUMENT]}}")),
    })
}

fn task(section: &Cursor<'_>, aliases: &[&str]) -> Result<Task> {
    let mut task = Task {
        run: Vec::new(),
        timeout: TIMEOUT,
        env: Vec::new(),
        optional: false,
        when: Vec::new(),
        databases: None,
    };
    if !section.value().is_mapping() {
        task.run = words(section)?;
        return Ok(task);
    }
    for (key, value) in section.entries("a command line")? {
        let known = ["run", "timeout", "env", "optional", "when", "databases"];
        if !known.contains(&key) {
            return Err(value.unknown_key("a task", known));
        }
        if value.value().is_null() {
            continue;
        }
        match key {
            "run" => task.run = words(&value)?,
            "timeout" => task.timeout = duration(&value)?,
            "env" => task.env = value.texts("a list of variables")?,
            "optional" => task.optional = value.boolean()?,
            "when" => {
                task.when = value.texts("an outcome, or a list of them")?;
                if let Some(unknown) = task.when.iter().find(|it| !OUTCOMES.contains(&it.as_str()))
                {
                    return Err(value
                        .wrong(format!("names `{unknown}`, which is not an outcome"))
                        .hint(format!("the outcomes are `{}`", OUTCOMES.join("`, `"))));
                }
            }
            _ => {
                let names = value.texts("a list of aliases")?;
                for name in &names {
                    known_alias(&value, name, aliases)?;
                }
                task.databases = Some(names);
            }
        }
    }
    if task.run.is_empty() {
        return Err(section
            .wrong("has no command line")
            .hint("write run: [PROGRAM, ARGUMENT] in it"));
    }
    Ok(task)
}

/// A command line: a list of words, or one text that is split like a shell splits it.
fn words(place: &Cursor<'_>) -> Result<Vec<String>> {
    let words = match place.value().as_str() {
        Some(text) => shell_words::split(text)
            .map_err(|error| place.wrong("is not a command line").cause(error))?,
        None => place.texts("a command line such as [systemctl, stop, app]")?,
    };
    if words.first().is_none_or(|program| program.is_empty()) {
        return Err(place.expected("a command line such as [systemctl, stop, app]"));
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::yaml::Document;

    fn read(yaml: &str) -> Result<TaskSettings> {
        let document = Document::parse(Path::new("lsrun.yml"), yaml).unwrap();
        let root = document.root();
        tasks(root.get("tasks"), root.get("hooks"), &["default"])
    }

    #[test]
    fn a_task_is_a_command_line_with_or_without_more() {
        let settings = read(
            "tasks:\n  stop: [systemctl, stop, app]\n  page: {run: 'notify \"the team\"', when: failed, timeout: 10s, env: [PAGER_KEY], optional: true, databases: [default]}\nhooks: {pre-restore: stop, verified: [page]}\n",
        )
        .unwrap();
        assert_eq!(settings.tasks["stop"].run, ["systemctl", "stop", "app"]);
        assert_eq!(settings.tasks["page"].run, ["notify", "the team"]);
        assert_eq!(settings.tasks["page"].timeout, Duration::from_secs(10));
        assert_eq!(
            settings.to_json(),
            serde_json::json!({
                "pre-restore": [{"name": "stop", "optional": false, "when": [], "databases": null}],
                "verified": [
                    {"name": "page", "optional": true, "when": ["failed"], "databases": ["default"]}
                ],
            })
        );
    }

    #[test]
    fn what_would_do_nothing_is_an_error() {
        for (yaml, says) in [
            ("hooks: {verifid: [a]}", "did you mean `verified`?"),
            ("tasks: {stop: [a]}\nhooks: {restored: [stpo]}", "did you mean `stop`?"),
            ("hooks: {restored: [x]}", "tasks: {x: [PROGRAM, ARGUMENT]}"),
            ("tasks: {a: {run: x, when: faild}}", "which is not an outcome"),
            ("tasks: {a: {run: x, when: failed}}\nhooks: {restored: a}", "without an outcome"),
            ("tasks: {a: {optional: true}}", "has no command line"),
            ("tasks: {a: []}", "must be a command line"),
            ("tasks: {a: {run: x, databases: [defualt]}}", "did you mean `default`?"),
            ("tasks: {a: {rnu: x}}", "did you mean `run`?"),
        ] {
            let error = read(yaml).unwrap_err();
            let text = format!("{} {:?}", error.one_line(), error.hint_text());
            assert!(text.contains(says), "{yaml}: {text}");
        }
    }
}
