//! The layers: which module may use which. The picture is in `host/README.md`; it is
//! repeated here, and a violation fails.

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
            "download",
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
    ("files", &["ltx", "pages", "sqlite"]),
    ("project", &["config", "project"]),
    ("engine", &["litestream"]),
    ("report", &["report", "terminal"]),
    ("front", &["cli", "context", "results"]),
    ("plugins", &["author", "create", "plugin"]),
    ("commands", &["commands"]),
    ("entry", &["entry", "testing"]),
];

/// The same for the tasks of `litestream`.
const TASKS: &[(&str, &[&str])] = &[
    ("what it is", &["binary", "room"]),
    ("one run's dealings with it", &["session"]),
    ("running it", &["process"]),
    ("what it writes", &["replica"]),
    ("its proof", &["proof"]),
    ("its daemon", &["daemon"]),
    ("there", &["sync"]),
    ("and back", &["restore"]),
    ("before it", &["examine"]),
];

/// Which of the modules right below `folder` name which others of them, tests apart. What
/// the folder's own `mod.rs` re-exports is the module's that it comes from.
fn uses(folder: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut named: Vec<(String, Vec<String>)> = Vec::new();
    let mut exported: BTreeMap<String, String> = BTreeMap::new();
    let below = |path: &[String]| -> Option<Vec<String>> {
        let inner =
            path.strip_prefix(&folder.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>()[..]);
        inner.filter(|rest| !rest.is_empty()).map(<[String]>::to_vec)
    };
    for file in sources("host/src") {
        let own = module_path(&file);
        let text = std::fs::read_to_string(&file).unwrap();
        let paths = paths(&text, &own).into_iter().filter_map(|path| below(&path));
        if own == folder {
            let exports = paths.filter(|path| path.len() > 1);
            exported.extend(exports.map(|path| (path.last().unwrap().clone(), path[0].clone())));
        } else if let Some(module) = below(&own).map(|path| path[0].clone())
            && !NOBODYS.contains(&module.as_str())
        {
            uses.entry(module.clone()).or_default();
            named.extend(paths.map(|path| (module.clone(), path)));
        }
    }
    for (module, path) in named {
        let other =
            if uses.contains_key(&path[0]) { Some(&path[0]) } else { exported.get(&path[0]) };
        if let Some(other) = other.filter(|other| **other != module) {
            uses.get_mut(&module).unwrap().insert(other.clone());
        }
    }
    uses
}

/// Modules whose names nobody uses: the crate's roots, unit tests, and what a macro writes
/// from the interface, which names its users' types.
const NOBODYS: [&str; 5] = ["lib", "main", "tests", "acceptance", "bindings"];

/// The paths that code of the module `own` names, from the root of the crate: those of
/// `crate::`, `self::` and `super::`, `{…}` spread out. Comments and unit tests are left
/// out.
fn paths(text: &str, own: &[String]) -> Vec<Vec<String>> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let code: String =
        code.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (at, start) in
        ["crate::", "self::", "super::"].into_iter().flat_map(|start| code.match_indices(start))
    {
        // The rest of a longer word, or of a path that was found at its beginning.
        let within = |it: char| it.is_alphanumeric() || "_:".contains(it);
        if code[..at].chars().next_back().is_some_and(within) {
            continue;
        }
        let rest = &code[at + start.len()..];
        let base = match start {
            "crate::" => Vec::new(),
            "self::" => own.to_vec(),
            _ => own[..own.len().saturating_sub(1)].to_vec(),
        };
        spread(base, rest, &mut found);
    }
    found
}

/// Adds the paths that begin with `base` and go on with `rest`.
fn spread(base: Vec<String>, rest: &str, found: &mut Vec<Vec<String>>) {
    let rest = rest.trim_start();
    if let Some(list) = rest.strip_prefix('{') {
        let mut depth = 0;
        let outer = |letter: char| {
            depth += i32::from(letter == '{') - i32::from(letter == '}');
            (letter == ',' && depth == 0) || depth < 0
        };
        let mut inner = 0_i32;
        let end = list.find(|letter: char| {
            inner += i32::from(letter == '{') - i32::from(letter == '}');
            inner < 0
        });
        let list = &list[..end.unwrap_or(list.len())];
        for one in list.split(outer).filter(|one| !one.trim().is_empty()) {
            spread(base.clone(), one, found);
        }
        return;
    }
    let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let (word, more) = rest.split_at(end.unwrap_or(rest.len()));
    let mut path = base;
    match word {
        "" | "self" => {}
        "super" => drop(path.pop()),
        _ => path.push(word.to_owned()),
    }
    match more.strip_prefix("::") {
        Some(more) => spread(path, more, found),
        None => found.push(path),
    }
}

/// The path of the module that a source file is: `host/src/yaml/step.rs` is `yaml`, `step`.
fn module_path(file: &Path) -> Vec<String> {
    let relative = file.strip_prefix(repository().join("host/src")).unwrap().with_extension("");
    let mut path: Vec<String> =
        relative.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    path.pop_if(|last| last == "mod");
    path
}

/// What is left of `uses` when whatever uses nothing that is left is taken away, until
/// nothing changes: the circles, and who uses them.
fn circles(uses: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut left = uses.clone();
    loop {
        let names: BTreeSet<String> = left.keys().cloned().collect();
        let before = left.len();
        left.retain(|_, used| used.iter().any(|other| names.contains(other)));
        if left.len() == before {
            return left.into_keys().collect();
        }
    }
}

/// A floor for each module, and what goes against them.
fn against(floors: &[(&str, &[&str])], uses: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let floor: BTreeMap<&str, usize> = floors
        .iter()
        .enumerate()
        .flat_map(|(floor, (_, modules))| modules.iter().map(move |module| (*module, floor)))
        .collect();
    let mut wrong = Vec::new();
    for (module, used) in uses {
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
    if floor.len() != uses.len() {
        wrong.push("a module of the picture does not exist".into());
    }
    wrong
}

#[test]
fn every_module_uses_what_is_below_it_and_there_is_no_circle() {
    let uses = uses(&[]);
    let wrong = against(FLOORS, &uses);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(circles(&uses).is_empty(), "a circle among {:?}", circles(&uses));
}

#[test]
fn every_task_of_litestream_uses_what_is_below_it() {
    let wrong = against(TASKS, &uses(&["litestream"]));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn within_a_folder_there_is_no_circle_either() {
    let mut folders: BTreeSet<Vec<String>> = BTreeSet::new();
    for file in sources("host/src") {
        let path = module_path(&file);
        folders.extend((1..path.len()).map(|depth| path[..depth].to_vec()));
    }
    assert!(folders.len() > 10, "{folders:?}");
    let mut wrong = Vec::new();
    for folder in folders {
        let folder: Vec<&str> = folder.iter().map(String::as_str).collect();
        let circles = circles(&uses(&folder));
        if !circles.is_empty() {
            wrong.push(format!("{}: a circle among {circles:?}", folder.join("/")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_two_types_share_a_name() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in sources("host/src").into_iter().filter(|it| !it.ends_with("tests.rs")) {
        let text = std::fs::read_to_string(&file).unwrap();
        // Unit tests come last.
        for line in text.split("#[cfg(test)]\n").next().unwrap().lines() {
            let line = line.strip_prefix("pub").map_or(line, |rest| {
                rest.strip_prefix('(').map_or(rest, |rest| rest.split_once(')').unwrap().1)
            });
            let mut words = line.trim_start().split(|it: char| !it.is_alphanumeric() && it != '_');
            if !line.starts_with("    ")
                && let Some("struct" | "enum" | "trait" | "type") = words.next()
                && let Some(name) = words.next()
            {
                places.entry(name.to_owned()).or_default().push(file.display().to_string());
            }
        }
    }
    assert!(places.len() > 100, "{places:?}");
    places.retain(|_, files| files.len() > 1);
    assert!(places.is_empty(), "{places:#?}");
}

#[test]
fn what_is_named_is_found() {
    let text = "use crate::a;\nuse crate::{b, c::{d, self}, f};\n// crate::g\nlet x = crate::h::i();\nuse super::k;\nuse super::super::l;\n#[cfg(test)]\nmod tests {\n use crate::j;\n}";
    let own = ["one".to_owned(), "two".to_owned()];
    let found: BTreeSet<String> =
        paths(text, &own).into_iter().map(|path| path.join("::")).collect();
    let expected = ["a", "b", "c", "c::d", "f", "h::i", "l", "one::k"];
    assert_eq!(found, expected.map(str::to_owned).into());
}
