//! The pages of `host/reference/`, checked against the program, and the links of every
//! page of the repository.
//!
//! `LSRUN_BLESS=1 cargo test --test whole reference` writes `commands.md` again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::replicate::Replicate;
use crate::support::{Run, Sandbox, files, repository};

/// What `LSRUN_BLESS=1` writes again begins here.
const GENERATED: &str =
    "<!-- What follows is written by `LSRUN_BLESS=1 cargo test --test whole reference`. -->";

fn page(name: &str) -> String {
    let path = repository().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines of a page that are not inside a fence.
fn prose(text: &str) -> Vec<&str> {
    let mut fenced = false;
    text.lines()
        .filter(|line| {
            let fence = line.trim_start().starts_with("```");
            fenced ^= fence;
            !fenced && !fence
        })
        .collect()
}

/// The first cells of all tables between this heading and the next, without backticks.
#[track_caller]
fn first_column(text: &str, heading: &str) -> BTreeSet<String> {
    let lines = prose(text);
    let start = lines.iter().position(|line| *line == heading);
    let start = start.unwrap_or_else(|| panic!("there is no {heading:?}")) + 1;
    let section = lines[start..].iter().take_while(|line| !line.starts_with('#'));
    let cells = section.filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    cells.map(|(cell, _rest)| cell.to_owned()).collect()
}

/// The words in backticks.
fn in_backticks(text: &str) -> BTreeSet<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

// Commands.

/// What a command prints, wherever the tests run.
fn help(sandbox: &Sandbox, words: &[&str]) -> String {
    let mut command = sandbox.command(words);
    let run = Run::from(command.env_remove("COLUMNS").output().unwrap()).expect(0);
    run.stderr + &run.stdout
}

/// Every command that `lsrun --help` lists.
fn commands(overview: &str) -> Vec<String> {
    let listed = overview.lines().skip_while(|line| *line != "Commands:");
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split_once("  "));
    names.map(|(name, _about)| name.to_owned()).collect()
}

#[test]
fn the_page_of_commands_has_the_help_of_each_as_it_is_printed() {
    let sandbox = Sandbox::new();
    let overview = help(&sandbox, &["--help"]);
    let commands = commands(&overview);
    assert!(commands.len() > 15, "{commands:?}");
    let mut written = format!("{GENERATED}\n\n## lsrun\n\n```text\n{}\n```\n", overview.trim_end());
    let mut section = |words: &[&str]| {
        let text = help(&sandbox, &[words, &["--help"]].concat());
        let name = words.join(" ");
        written += &format!("\n## lsrun {name}\n\n```text\n{}\n```\n", text.trim_end());
        text
    };
    for name in &commands {
        let text = section(&[name]);
        // Those of `lsrun plugin`; litestream's commands have no actions.
        if let Some((_, actions)) = text.split_once("\nCommands:\n") {
            for action in actions.lines().map_while(|line| line.split_whitespace().next()) {
                section(&[name, action]);
            }
        }
    }
    let path = repository().join("host/reference/commands.md");
    let text = page("host/reference/commands.md");
    let by_hand = text.split_once(GENERATED).map_or(text.as_str(), |(by_hand, _)| by_hand);
    let wanted = format!("{by_hand}{written}");
    if std::env::var_os("LSRUN_BLESS").is_some() {
        std::fs::write(path, wanted).unwrap();
        return;
    }
    for (line, (is, should)) in text.lines().zip(wanted.lines()).enumerate() {
        assert_eq!(is, should, "line {} of commands.md; LSRUN_BLESS=1 writes it again", line + 1);
    }
    assert_eq!(text, wanted);
}

#[test]
fn the_page_of_commands_has_every_variable_of_lsrun() {
    let page = page("host/reference/commands.md");
    let documented = prose(&page).join("\n");
    let mut missing = BTreeSet::new();
    for (path, text) in sources() {
        let names =
            text.split('"').filter(|word| word.starts_with("LSRUN_") && !word.contains(' '));
        // Those of the tests, and what replaces a secret in a child's environment.
        let ours = names.filter(|name| {
            !["LSRUN_TEST_", "LSRUN_BUILTIN_DIR", "LSRUN_V_"].iter().any(|it| name.starts_with(it))
        });
        let unknown = ours.filter(|name| !documented.contains(&format!("`{name}`")));
        missing.extend(unknown.map(|name| format!("{}: {name}", path.display())));
    }
    assert!(missing.is_empty(), "{missing:?}");
}

// Exit codes.

/// The numbers of the variants of `enum Exit`.
fn codes_of_the_source() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for (_, text) in sources() {
        let Some((_, variants)) = text.split_once("pub enum Exit {") else { continue };
        let (variants, _) = variants.split_once("\n}").unwrap();
        let numbers =
            variants.lines().filter_map(|line| line.trim().strip_suffix(',')?.split_once(" = "));
        codes.extend(numbers.map(|(_name, number)| number.to_owned()));
    }
    assert!(codes.len() > 10, "{codes:?}");
    codes
}

/// Every source file of the crate.
fn sources() -> Vec<(PathBuf, String)> {
    files("host/src", "rs")
        .into_iter()
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
        .collect()
}

#[test]
fn the_page_of_exit_codes_has_every_code_and_no_other() {
    let documented = first_column(&page("host/reference/exit-codes.md"), "## Codes");
    assert_eq!(documented, codes_of_the_source());
}

// lsrun.yml.

/// What an unknown key of this file is answered with.
fn known(sandbox: &Sandbox, yaml: &str) -> BTreeSet<String> {
    sandbox.write("lsrun.yml", yaml);
    let run = sandbox.lsrun(&["config"]).expect(20);
    let hint = run.stderr.lines().find(|line| line.trim_start().starts_with("hint:"));
    in_backticks(hint.unwrap_or_else(|| panic!("{run:?}")))
}

#[test]
fn the_page_of_the_project_file_has_every_key_and_no_other() {
    let page = page("host/reference/lsrun.yml.md");
    let sandbox = Sandbox::new();
    // By the words that the source has for each mapping.
    let places = [
        ("lsrun.yml", "## The file", "unheardof: 1"),
        ("a database", "## databases", "databases: {d: {path: x, unheardof: 1}}"),
        ("`verify`", "## verify", "verify: {unheardof: 1}"),
        (
            "an assertion",
            "### verify.assertions",
            "databases: {d: x}\nverify: {assertions: {d: [{unheardof: 1}]}}",
        ),
        ("`restore`", "## restore", "restore: {unheardof: 1}"),
        ("`plugins`", "## plugins", "plugins: {unheardof: 1}"),
        ("a task", "## tasks", "tasks: {t: {unheardof: 1}}"),
        ("`hooks`", "## hooks", "hooks: {unheardof: 1}"),
        ("a plugin's settings", "### plugins.settings", "plugins: {settings: {p: {unheardof: 1}}}"),
        (
            "`limits`",
            "### plugins.settings.limits",
            "plugins: {settings: {p: {limits: {unheardof: 1}}}}",
        ),
    ];
    for (_, heading, yaml) in places {
        assert_eq!(first_column(&page, heading), known(&sandbox, yaml), "{heading}");
    }
    // No mapping of the file is left out above.
    let mut mappings = BTreeSet::new();
    for (_, text) in sources() {
        for call in text.split(".unknown_key(").skip(1) {
            mappings.extend(call.split('"').nth(1).map(str::to_owned));
        }
    }
    let covered: BTreeSet<String> = places.iter().map(|(label, ..)| (*label).to_owned()).collect();
    assert_eq!(mappings, covered);
}

// JSON.

/// The places of all values, such as `databases[].checks[].id`. What is in `facts` and
/// `metrics` is open, and the `plan` is a document of its own.
fn places(value: &Value, place: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                found.insert(place.clone());
                if !place.ends_with(".facts.plan") && !place.ends_with(".metrics") {
                    places(value, &place, found);
                }
            }
        }
        Value::Array(items) => {
            items.iter().for_each(|item| places(item, &format!("{place}[]"), found))
        }
        _ => {}
    }
}

/// Fails if a document has what its section does not, or the other way round.
#[track_caller]
fn as_documented(heading: &str, documents: &[Value]) {
    let page = page("host/reference/json.md");
    let mut found = BTreeSet::new();
    for document in documents {
        places(document, "", &mut found);
    }
    assert_eq!(found, first_column(&page, heading), "{heading}");
}

/// A project with an assertion and an optional check that does not agree.
fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.plugin("row-count");
    sandbox.write(
        "lsrun.yml",
        "databases: {default: db.sqlite3}
litestream: {dbs: [{path: default, replica: {type: file, path: replica}}]}
verify: {assertions: {default: [{name: users, sql: select count(*) > 0 from users}]}}
plugins: {settings: {row-count: {optional: true, config: {table: users, min: 100}}}}
",
    );
    sandbox
}

fn json(sandbox: &Sandbox, code: i32, words: &[&str]) -> Value {
    sandbox.lsrun(&[&["--format", "json"], words].concat()).expect(code).json()
}

#[test]
fn the_fields_of_a_report_are_documented() {
    let sandbox = project();
    sandbox.sql("db.sqlite3", "PRAGMA journal_mode = delete");
    let mut documents = vec![
        json(&sandbox, 0, &["verify"]),
        json(&sandbox, 0, &["verify", "--if-older-than", "1h"]),
        json(&sandbox, 0, &["verify", "--incremental"]),
        json(&sandbox, 0, &["verify", "--incremental"]),
        json(&sandbox, 11, &["restore", "default"]),
        json(&sandbox, 0, &["restore", "-force", "default"]),
    ];
    sandbox.sql("db.sqlite3", "DELETE FROM users");
    documents.push(json(&sandbox, 12, &["verify"]));
    sandbox.write("replica/ltx/0/0000000000000001-0000000000000001.ltx", "no LTX");
    documents.push(json(&sandbox, 22, &["restore", "-o", "copy", "default"]));
    std::fs::remove_file(sandbox.path("db.sqlite3")).unwrap();
    documents.push(json(&sandbox, 11, &["verify"]));
    as_documented("## The report", &documents);

    // Events have what the report has, at another place.
    let events = sandbox.lsrun(&["--format", "ndjson", "verify"]);
    let (mut own, mut of_report) = (BTreeSet::new(), BTreeSet::new());
    for line in events.stdout.lines() {
        let Value::Object(mut event) = serde_json::from_str(line).unwrap() else {
            panic!("{line}")
        };
        let name = event["event"].as_str().unwrap().to_owned();
        let prefix = match name.as_str() {
            "check-finished" => "databases[].checks[]",
            "database-finished" => "databases[]",
            _ => "",
        };
        let common = ["schema_version", "event", "alias", "path"];
        own.extend(common.iter().filter_map(|key| event.remove(*key).map(|_| (*key).to_owned())));
        let into = if prefix.is_empty() { &mut own } else { &mut of_report };
        places(&Value::Object(event), prefix, into);
    }
    let page = page("host/reference/json.md");
    assert_eq!(own, first_column(&page, "## Events"));
    let report = first_column(&page, "## The report");
    assert!(of_report.is_subset(&report), "{:?}", of_report.difference(&report));
}

#[test]
fn the_fields_of_a_restore_for_litestream_are_documented() {
    let sandbox = Sandbox::new();
    let verified = json(&sandbox, 0, &["verify"]);
    assert_eq!(verified["outcome"], "verified");
    let plan = sandbox.lsrun(&["restore", "-dry-run", "-json", "-force", "default"]).expect(0);
    let restored = json(&sandbox, 0, &["restore", "-o", "copy", "default"]);
    as_documented(
        "## The plan of a restore",
        &[plan.json(), restored["databases"][0]["facts"]["plan"].clone()],
    );
    let printed = sandbox.lsrun(&["restore", "-json", "-o", "other", "default"]).expect(0);
    as_documented("## restore -json", &[printed.json()]);
}

/// A daemon with `verify.listen`.
fn listening(sandbox: &Sandbox) -> Replicate {
    let verify = "verify: {max_age: 1h, listen: '127.0.0.1:0'}";
    sandbox.write("lsrun.yml", &format!("{}{verify}\n", crate::support::PROJECT));
    Replicate::start(sandbox, &[])
}

#[test]
fn the_fields_of_health_are_documented() {
    let sandbox = Sandbox::new();
    let daemon = listening(&sandbox);
    let (status, document) = crate::rounds::health(crate::rounds::address(&sandbox));
    assert_eq!(status, 503);
    as_documented("## health", &[document]);
    daemon.end(rustix::process::Signal::TERM);
}

#[test]
fn the_fields_of_searches_and_of_query_are_documented() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    sandbox.sql("db.sqlite3", "UPDATE users SET name = 'x'");
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    let found = |search: &[&str]| {
        let words = [&["points"][..], search, &["default"]].concat();
        json(&sandbox, 0, &words)
    };
    let changed = found(&["--last-where", "SELECT count(*) FROM users WHERE name = 'ann'"]);
    assert!(changed["next"].is_object(), "{changed}");
    as_documented("## points --last-where and --last-good", &[changed, found(&["--last-good"])]);
    as_documented("## points --rows", &[found(&["--rows"])]);
    let rows = json(&sandbox, 0, &["query", "default", "SELECT 1"]);
    as_documented("## query", &[rows]);
}

#[test]
fn the_fields_of_points_history_and_plugin_are_documented() {
    let sandbox = Sandbox::new();
    for _ in 0..3 {
        sandbox.lsrun(&["verify"]).expect(0);
    }
    std::fs::remove_file(sandbox.path("replica/ltx/0/0000000000000002-0000000000000002.ltx"))
        .unwrap();
    let points = json(&sandbox, 0, &["points", "default"]);
    as_documented("## points", &[points]);
    let history = json(&sandbox, 0, &["history"]);
    as_documented("## history", std::slice::from_ref(&history));
    sandbox.plugin("drill");
    sandbox.write("plugins/broken.wasm", "no component");
    let databases = "plugins: {settings: {drill: {databases: [default]}}}";
    sandbox.write("lsrun.yml", &format!("{}{databases}\n", crate::support::PROJECT));
    as_documented("## plugin", &[json(&sandbox, 30, &["plugin", "list"])]);
    let lines = sandbox.lsrun(&["--format", "ndjson", "history"]).expect(0);
    for line in lines.stdout.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let run = &history["databases"][0]["runs"][0];
        let known = |key: &str| {
            run.get(key).is_some() || ["schema_version", "alias", "path"].contains(&key)
        };
        assert!(line.as_object().unwrap().keys().all(|key| known(key)), "{line}");
    }
}

#[test]
fn the_fields_of_config_check_and_of_sync_are_documented() {
    let sandbox = Sandbox::new();
    sandbox.write("lsrun.yml", "databases: {default: db.sqlite3}\n");
    as_documented("## config --check", &[json(&sandbox, 20, &["config", "--check"])]);
    let sandbox = Sandbox::new();
    let (_, socket) = crate::support::daemon::Daemon::socket(&sandbox);
    sandbox.write("lsrun.yml", &format!("{}{}", crate::support::PROJECT, indented(&socket)));
    let _daemon = crate::support::daemon::Daemon::start(&sandbox, &socket);
    let synced = sandbox.lsrun(&["sync", "-wait", "-json", "default"]).expect(0).json();
    as_documented("## sync -json", &[synced]);
}

/// Below `litestream:`, where [`crate::support::PROJECT`] ends.
fn indented(line: &str) -> String {
    format!("  {line}\n")
}

// Metrics.

#[test]
fn the_page_for_operators_has_every_metric_and_no_other() {
    let sandbox = Sandbox::new();
    sandbox.lsrun(&["verify", "--prometheus", "metrics"]).expect(0);
    let mut text = std::fs::read_to_string(sandbox.path("metrics")).unwrap();
    let daemon = listening(&sandbox);
    text += &crate::rounds::get(crate::rounds::address(&sandbox), "/metrics").1;
    daemon.end(rustix::process::Signal::TERM);
    let names = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let written: BTreeSet<String> = names.map(|(name, _type)| name.to_owned()).collect();
    let documented = first_column(&page("examples/README.md"), "### Metrics and alerts");
    assert_eq!(written, documented);
}

// Plugins.

#[test]
fn the_page_for_plugin_authors_has_every_key_of_a_manifest_and_every_permission() {
    let page = page("plugins/README.md");
    let sandbox = Sandbox::new();
    sandbox.write("plugins/p.wasm", "");
    std::fs::write(sandbox.path("plugins/p.wasm"), wat::parse_str("(component)").unwrap()).unwrap();
    let said = |manifest: &str, word: &str| {
        sandbox.write("plugins/p.yml", manifest);
        let run = sandbox.lsrun(&["config", "--check"]).expect(20);
        let line = run.stdout.lines().find(|line| line.contains(word));
        line.unwrap_or_else(|| panic!("{run:?}")).to_owned()
    };
    for (heading, manifest) in [
        ("### Manifest", "unheardof: 1"),
        ("### command", "command: {unheardof: 1}"),
        ("### command.arguments", "command: {arguments: [{unheardof: 1}]}"),
        ("### limits", "limits: {unheardof: 1}"),
    ] {
        let line = said(manifest, "expected one of ");
        let (_, known) = line.split_once("expected one of ").unwrap();
        let known = in_backticks(known);
        assert_eq!(first_column(&page, heading), known, "{heading}");
    }
    let hint = said("permissions: [unheardof]", "config:secrets");
    let words = hint.split([',', ' ']).filter(|word| word.contains([':', '=']) && *word != "hint:");
    let kinds: BTreeSet<&str> = words.map(|word| word.trim_end_matches('=')).collect();
    let documented = first_column(&page, "### Permissions");
    let documented: BTreeSet<&str> =
        documented.iter().map(|word| word.split('=').next().unwrap_or(word)).collect();
    assert_eq!(documented, kinds);
}

// The pages themselves.

/// The anchors of a page, as GitHub makes them of its headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut taken: BTreeMap<String, u32> = BTreeMap::new();
    let mut anchors = BTreeSet::new();
    for line in prose(text) {
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_');
        let slug: String = title.trim().to_lowercase().chars().filter(kept).collect();
        let slug = slug.replace(' ', "-");
        let before = taken.entry(slug.clone()).and_modify(|count| *count += 1).or_insert(0);
        anchors.insert(if *before == 0 { slug } else { format!("{slug}-{before}") });
    }
    anchors
}

/// What the links of a line lead to.
fn targets(line: &str) -> Vec<&str> {
    // Links in code are code.
    let outside = line.split('`').step_by(2);
    let links = outside.flat_map(|part| part.split("](").skip(1));
    let ends = links.filter_map(|link| link.split_once(')'));
    ends.map(|(target, _)| target).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let pages = files("", "md");
    assert!(pages.len() > 10, "{pages:?}");
    let (mut dead, mut followed) = (Vec::new(), 0);
    for path in pages {
        let text = std::fs::read_to_string(&path).unwrap();
        for target in prose(&text).into_iter().flat_map(targets) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            followed += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file =
                if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let of_page = |file: &Path| {
                let page = if file.is_dir() { file.join("README.md") } else { file.to_owned() };
                std::fs::read_to_string(page).is_ok_and(|text| anchors(&text).contains(anchor))
            };
            if !file.exists() || (!anchor.is_empty() && !of_page(&file)) {
                dead.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
    assert!(followed > 30, "only {followed} links were found");
}

#[test]
fn the_front_door_is_short_and_has_the_two_commands_of_a_new_machine() {
    let page = page("README.md");
    assert!(page.lines().count() <= 120, "{} lines", page.lines().count());
    for command in ["cargo run --release -- -C examples/quickstart verify default", "cargo test"] {
        assert!(page.lines().any(|line| line == command), "{command}");
    }
    // What has to pass begins with the second of them.
    let ci = std::fs::read_to_string(repository().join(".ci/run")).unwrap();
    assert!(ci.lines().any(|line| line.starts_with("step cargo test")), "{ci}");
}

/// The words between quotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('"').skip(1).step_by(2).collect()
}

#[test]
fn the_picture_of_the_house_is_that_of_the_test() {
    let page = page("host/README.md");
    let picture = page.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    // A floor and its modules, the ground last.
    let mut drawn: Vec<(String, BTreeSet<String>)> = Vec::new();
    for line in picture.lines() {
        let mut words = line.split_whitespace().map(str::to_owned);
        if !line.starts_with(' ') {
            drawn.push((words.next().unwrap(), BTreeSet::new()));
        }
        drawn.last_mut().unwrap().1.extend(words);
    }
    drawn.reverse();
    let test = self::page("tests/layers.rs");
    let floors = test.split_once("FLOORS: ").unwrap().1.split_once("];\n").unwrap().0;
    let tested = floors.split("]),").flat_map(|floor| floor.split("],\n    ),"));
    let tested = tested.map(quoted).filter(|words| !words.is_empty());
    let tested: Vec<(String, BTreeSet<String>)> = tested
        .map(|words| (words[0].to_owned(), words[1..].iter().map(|it| (*it).to_owned()).collect()))
        .collect();
    assert_eq!(drawn, tested);
}

#[test]
fn every_file_that_a_page_names_exists() {
    let pages = files("", "md");
    let mut gone = Vec::new();
    for path in pages {
        if path.ends_with("CHANGELOG.md") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for line in prose(&text) {
            let named = in_backticks(line);
            let ours = |name: &&String| {
                ["host/", "tests/", "plugins/", "wit/"].iter().any(|top| name.starts_with(top))
                    && !name.contains([' ', '*'])
            };
            let files = named.iter().filter(ours);
            let missing = files.filter(|name| !repository().join(name).exists());
            gone.extend(missing.map(|name| format!("{}: {name}", path.display())));
        }
    }
    assert!(gone.is_empty(), "{}", gone.join("\n"));
}
