//! `lsrun.yml`, from its text to the configurations of Litestream.

#![no_main]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use lsrun::testing::Environment;
use lsrun::testing::fuzz::render;
use serde_json::Value;
use tempfile::TempDir;

/// The variables of the run. The values that are secrets are in no text by chance.
const VARIABLES: [(&str, &str); 8] = [
    ("HOME", "/home/ann"),
    ("A", "plain"),
    ("B", "a: b #c 'd' \"e\" $f ${g} \\h\n\ti é😀 [j] {k} %l @ ` |>!"),
    ("C", "true"),
    ("PASSWORD", "hush-f3a9c1"),
    ("LITESTREAM_REPLICA_BUCKET", "bucket"),
    ("LITESTREAM_ACCESS_KEY_ID", "hush-77c2e8"),
    ("LITESTREAM_SECRET_ACCESS_KEY", "hush-5be0d2"),
];

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
static ENVIRONMENT: LazyLock<Environment> = LazyLock::new(|| VARIABLES.into_iter().collect());

fuzz_target!(|text: &str| -> Corpus {
    // The noncharacter by which lsrun marks a `$` that is no reference.
    if text.contains('\u{10fffe}') || text.to_ascii_lowercase().contains("10fffe") {
        return Corpus::Reject;
    }
    std::fs::write(FOLDER.path().join("lsrun.yml"), text).unwrap();
    let rendered = match render(FOLDER.path(), &ENVIRONMENT) {
        Ok(rendered) => rendered,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return Corpus::Keep;
        }
    };
    for (yaml, json) in &rendered.printed {
        // What is printed can be read, and both forms say the same.
        assert_eq!(of_yaml(yaml), serde_json::from_str::<Value>(json).unwrap(), "{yaml}");
    }
    if let Some((file, variables)) = &rendered.daemon {
        // A daemon gets what is printed, as Litestream reads both.
        let given = |name: &str| variables.iter().find(|(it, _)| it == name).map(|(_, it)| &**it);
        let received = of_yaml(&expanded(file, &given));
        let set = |name: &str| VARIABLES.iter().find(|(it, _)| *it == name).map(|(_, it)| *it);
        let printed = of_yaml(&expanded(&rendered.printed[0].0, &set));
        assert_eq!(common(received), common(printed), "{file}\n{}", rendered.printed[0].0);
    }
    // Secrets of the environment are in nothing that is printed or written.
    let texts = rendered.printed.iter().flat_map(|(yaml, json)| [yaml, json]);
    let texts: Vec<&String> = texts.chain(rendered.daemon.as_ref().map(|(file, _)| file)).collect();
    for (_, secret) in VARIABLES.iter().filter(|(_, value)| value.starts_with("hush-")) {
        assert!(text.contains(secret) || !texts.iter().any(|it| it.contains(secret)));
    }
    Corpus::Keep
});

fn of_yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Without what lsrun gives a daemon, or keeps from it, and with one spelling of a path.
fn common(value: Value) -> Value {
    const OTHER: [&str; 5] =
        ["logging", "exec", "access-key-id", "secret-access-key", "sync-interval"];
    match value {
        Value::String(text) if text.starts_with('/') => {
            Path::new(&text).components().collect::<PathBuf>().to_str().into()
        }
        Value::Array(items) => items.into_iter().map(common).collect(),
        Value::Object(keys) => {
            let kept = keys.into_iter().filter(|(key, _)| !OTHER.contains(&key.as_str()));
            kept.map(|(key, value)| (key, common(value))).collect()
        }
        other => other,
    }
}

/// What Litestream does with a file before it parses that: Go's `os.Expand`.
fn expanded<'a>(file: &str, variable: &dyn Fn(&str) -> Option<&'a str>) -> String {
    let mut text = String::new();
    let mut rest = file;
    while let Some((before, after)) = rest.split_once('$') {
        text += before;
        let (name, after) = match after.strip_prefix('{') {
            Some(inner) => inner.split_once('}').unwrap_or(("", inner)),
            None => {
                let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
                let special = after.starts_with(|it: char| "*#$@!?-0123456789".contains(it));
                let length = after.find(|it| !is_name(it)).unwrap_or(after.len());
                after.split_at(if special { 1 } else { length })
            }
        };
        text += match name {
            // Go eats what is no reference after `${`.
            "" if after.len() + 1 < rest.len() - before.len() => "",
            "" => "$",
            "PID" => "4711",
            name => variable(name).unwrap_or_default(),
        };
        rest = after;
    }
    text + rest
}
