//! `hints.txt`: every hint of the sources, and the test that carries it out.

use std::collections::{BTreeMap, BTreeSet};

use super::{sources, table};
use crate::support::repository;

/// Who carries a hint out: names of tests and of cases, or why nobody does.
type List = BTreeMap<String, String>;

fn list() -> List {
    let text = std::fs::read_to_string(repository().join("tests/advice/hints.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (who, hint) = line.split_once(" | ").unwrap_or_else(|| panic!("no ` | `: {line}"));
            (hint.replace("\\n", "\n"), who.to_owned())
        })
        .collect()
}

#[test]
fn every_hint_is_carried_out_by_a_test() {
    let (hints, list) = (sources::hints(), list());
    let missing: Vec<String> = hints
        .iter()
        .filter(|(hint, _)| !list.contains_key(*hint))
        .map(|(hint, file)| format!("{file}: {}", hint.replace('\n', "\\n")))
        .collect();
    assert!(missing.is_empty(), "carried out by no test of hints.txt:\n{}", missing.join("\n"));
    let gone: Vec<&String> = list.keys().filter(|hint| !hints.contains_key(*hint)).collect();
    assert!(gone.is_empty(), "in hints.txt, and nowhere in the sources: {gone:#?}");
}

#[test]
fn whoever_carries_a_hint_out_exists() {
    let tests = tests();
    let cases: BTreeMap<_, _> =
        table::TABLES.into_iter().map(|name| (name, table::cases(name))).collect();
    let mut listed = BTreeSet::new();
    for (hint, who) in list() {
        if who.strip_prefix("nobody: ").is_some_and(|why| !why.is_empty()) {
            continue;
        }
        for one in who.split(", ") {
            if let Some((name, case)) = one.split_once(".yml/") {
                let found = cases.get(name).and_then(|cases| cases.get(case));
                let found = found.unwrap_or_else(|| panic!("there is no case {one}"));
                assert!(is_like(&hint, &found.hint), "{one} is about another hint than {hint:?}");
                listed.insert(one.to_owned());
            } else {
                assert!(tests.contains(one), "there is no test {one}, of {hint:?}");
            }
        }
    }
    for (name, cases) in cases {
        // The command line's own tip, which clap gives.
        for (case, _) in cases.iter().filter(|(_, case)| !case.is_of_clap()) {
            let one = format!("{name}.yml/{case}");
            assert!(listed.contains(&one), "{one} is not in hints.txt");
        }
    }
}

/// The tests: `module::name` of those of the whole, `path.rs::name` of those beside the
/// sources.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![repository().join("tests"), repository().join("host/src")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let name = path.strip_prefix(repository()).unwrap().with_extension("");
                let name = name.to_str().unwrap();
                let module = match name.strip_prefix("tests/") {
                    Some(module) => module.replace('/', "::"),
                    None => format!("{name}.rs"),
                };
                let text = std::fs::read_to_string(&path).unwrap();
                for after in text.split("test]\n").skip(1) {
                    let signature = after.split('{').next().unwrap_or_default();
                    let test = signature.split("fn ").nth(1).and_then(|it| it.split('(').next());
                    found.extend(test.map(|test| format!("{module}::{test}")));
                }
            }
        }
    }
    found
}

/// Whether a text is what the sources print: `{…}` there matches anything.
fn is_like(pattern: &str, text: &str) -> bool {
    let even = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut parts = Vec::new();
    let pattern = even(pattern).replace("{{", "\u{1}").replace("}}", "\u{2}");
    let mut rest = pattern.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        parts.push(before);
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    parts.push(rest);
    let parts: Vec<String> =
        parts.iter().map(|part| part.replace('\u{1}', "{").replace('\u{2}', "}")).collect();
    let text = even(text);
    let [first, between @ ..] = parts.as_slice() else { return false };
    let Some(mut left) = text.strip_prefix(first.as_str()) else { return false };
    let Some((last, between)) = between.split_last() else { return left.is_empty() };
    for part in between {
        let Some(at) = left.find(part.as_str()) else { return false };
        left = &left[at + part.len()..];
    }
    left.ends_with(last.as_str())
}
