//! `--check`: prints what the host found, for people or as JSON, and its error shows
//! what kind of problem it is.

use lsrun_plugin::host::config::Problem;
use lsrun_plugin::prelude::*;

pub(crate) fn check(json: bool) -> Result<(), Error> {
    let found = config::check(crate::REACH);
    let (notes, problems): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|one| one.severity() == "note");
    let result = verdict(&problems);
    let text = match json {
        true => as_json(&problems, &notes, &result),
        false => for_people(&problems, &notes),
    };
    report::data(text.as_bytes());
    result
}

/// A wrong project outweighs a replica that does not answer.
fn verdict(problems: &[Problem]) -> Result<(), Error> {
    let errors = || problems.iter().filter(|problem| problem.severity() == "error");
    let count = errors().count();
    if count == 0 {
        return Ok(());
    }
    let things = if count == 1 { "1 error".into() } else { format!("{count} errors") };
    let unreachable = errors().all(|problem| problem.code() == "unreachable");
    let code = if unreachable { "unreachable" } else { "project" };
    Err(error(code, format!("the configuration has {things}")))
}

fn for_people(problems: &[Problem], notes: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        text.push_str(&problem.severity());
        text.push_str(": ");
        text.push_str(&problem.message());
        if let Some(hint) = problem.hint() {
            text.push_str("\n  hint: ");
            text.push_str(&hint.replace('\n', "\n  "));
        }
        text.push('\n');
    }
    let others = notes.iter().filter(|note| note.code() != "replicas");
    for note in others {
        text.push_str(&note.message());
        text.push('\n');
    }
    let errors = problems.iter().filter(|problem| problem.severity() == "error").count();
    let good = match (errors, problems.len()) {
        (0, 0) => "the configuration is good",
        (0, _) => "the configuration is good apart from the warnings",
        _ => return text,
    };
    text.push_str(good);
    for note in notes.iter().filter(|note| note.code() == "replicas") {
        text.push_str("; ");
        text.push_str(&note.message());
    }
    text.push('\n');
    text
}

fn as_json(problems: &[Problem], notes: &[Problem], result: &Result<(), Error>) -> String {
    let outcome = match result {
        Ok(()) => "passed",
        Err(error) if error.code == "unreachable" => "inconclusive",
        Err(_) => "failed",
    };
    let mut text = String::from("{\n  \"schema_version\": 1,\n  \"command\": \"config\",\n");
    text.push_str(&format!("  \"outcome\": \"{outcome}\",\n  \"problems\": ["));
    for (index, problem) in problems.iter().enumerate() {
        text.push_str(if index == 0 { "\n    {" } else { ",\n    {" });
        let hint = problem.hint().map_or_else(|| "null".into(), |hint| quoted(&hint));
        let keys = [
            ("severity", quoted(&problem.severity())),
            ("code", quoted(&problem.code())),
            ("message", quoted(&problem.message())),
            ("hint", hint),
        ];
        for (index, (key, value)) in keys.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            text.push_str(&format!("{comma}\"{key}\": {value}"));
        }
        text.push('}');
    }
    text.push_str(if problems.is_empty() { "],\n" } else { "\n  ],\n" });
    let notes: Vec<String> = notes.iter().map(|note| quoted(&note.message())).collect();
    text.push_str(&format!("  \"notes\": [{}]\n}}\n", notes.join(", ")));
    text
}

/// A JSON string.
fn quoted(words: &str) -> String {
    let mut text = String::from("\"");
    for letter in words.chars() {
        match letter {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            letter if letter < ' ' => text.push_str(&format!("\\u{:04x}", u32::from(letter))),
            letter => text.push(letter),
        }
    }
    text.push('"');
    text
}
