//! The house: which module may use which. The picture is in `host/README.md`; it is
//! written down once more here, and whatever goes against it fails.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::{repository, sources};

/// From the ground up. A module uses those of the floors below its own, and those of its
/// own floor as long as that makes no circle.
const FLOORS: &[(&str, &[&str])] = &[
    (
        "ground",
        &[
            "cache",
            "code",
            "digest",
            "environment",
            "error",
            "exit",
            "figures",
            "nearest",
            "notes",
            "output",
            "path",
            "percent",
            "quantity",
            "redact",
            "reference",
            "scratch",
            "secret",
            "shown",
            "stop",
            "trust",
            "yaml",
        ],
    ),
    ("files", &["pages", "sqlite"]),
    ("project", &["config", "project"]),
    ("engine", &["litestream"]),
    ("report", &["report"]),
    ("front", &["cli", "context", "results", "terminal"]),
    ("plugins", &["create", "plugin"]),
    ("commands", &["commands"]),
    ("entry", &["entry", "testing"]),
];

/// The modules that each module names, tests apart.
fn uses() -> BTreeMap<String, BTreeSet<String>> {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let root = repository().join("host/src");
    for path in sources("host/src") {
        let module = module_of(path.strip_prefix(&root).unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        uses.entry(module).or_default().extend(named(&text));
    }
    for nobodys in ["lib", "main"] {
        uses.remove(nobodys);
    }
    for (module, used) in &mut uses {
        used.remove(module);
    }
    uses
}

fn module_of(path: &Path) -> String {
    let first = path.components().next().unwrap();
    Path::new(first.as_os_str()).file_stem().unwrap().to_str().unwrap().to_owned()
}

/// `crate::x` and `crate::{x, y::z}` in code; comments and unit tests are left out.
fn named(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code: String =
        code.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n");
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect()
    };
    let mut found = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            None => drop(found.insert(word(after))),
            Some(list) => {
                let mut depth = 0;
                let outer = |letter: char| {
                    depth += i32::from(letter == '{') - i32::from(letter == '}');
                    (letter == ',' && depth == 0) || depth < 0
                };
                found.extend(list.split(outer).map(word));
            }
        }
    }
    found.remove("");
    found
}

#[test]
fn every_module_uses_what_is_below_it_and_there_is_no_circle() {
    let uses = uses();
    let floor: BTreeMap<&str, usize> = FLOORS
        .iter()
        .enumerate()
        .flat_map(|(floor, (_, modules))| modules.iter().map(move |module| (*module, floor)))
        .collect();
    let mut wrong = Vec::new();
    for (module, used) in &uses {
        let Some(own) = floor.get(module.as_str()) else {
            wrong.push(format!("{module} is on no floor"));
            continue;
        };
        for other in used.iter().filter(|other| uses.contains_key(*other)) {
            if floor.get(other.as_str()).is_none_or(|it| it > own) {
                wrong.push(format!("{module} uses {other}, which is above it"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(floor.len(), uses.len(), "a module of the picture does not exist");
    // Take away what uses nothing that is left, until nothing changes.
    let mut left = uses.clone();
    loop {
        let names: BTreeSet<String> = left.keys().cloned().collect();
        let before = left.len();
        left.retain(|_, used| used.iter().any(|other| names.contains(other)));
        if left.len() == before {
            break;
        }
    }
    assert!(left.is_empty(), "a circle among {:?}", left.keys());
}

#[test]
fn what_is_named_is_found() {
    let text = "use crate::a;\nuse crate::{b, c::{d, e}, f};\n// crate::g\nlet x = crate::h::i();\n#[cfg(test)]\nmod tests {\n use crate::j;\n}";
    let found: Vec<String> = named(text).into_iter().collect();
    assert_eq!(found, ["a", "b", "c", "f", "h"]);
}
