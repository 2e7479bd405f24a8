//! A new project: a plugin of one kind in one language, with everything that it is built
//! with apart from the language's own tools.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use include_dir::{Dir, include_dir};

use super::component::WIT;
use crate::error::{Error, Result};
use crate::plugin::{all_words, names};

static TEMPLATES: Dir = include_dir!("$CARGO_MANIFEST_DIR/author/templates");
static SDK: Dir = include_dir!("$CARGO_MANIFEST_DIR/author/sdk");
static JAVASCRIPT: Dir = include_dir!("$CARGO_MANIFEST_DIR/author/javascript");
static PYTHON: Dir = include_dir!("$CARGO_MANIFEST_DIR/author/python");
static C: Dir = include_dir!("$CARGO_MANIFEST_DIR/author/c");

/// The crates that the SDK needs, as `plugins/Cargo.toml` has them.
const DEPENDENCIES: &str = "serde = { version = \"1\", features = [\"derive\"] }
serde_json = \"1\"
wit-bindgen = { version = \"0.61\", default-features = false, features = [\"macros\", \"realloc\"] }
";

/// What a plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    Rust,
    Javascript,
    Python,
    C,
}

impl Language {
    /// How it is called.
    fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Javascript => "JavaScript",
            Self::Python => "Python",
            Self::C => "C",
        }
    }

    /// The folder of its templates.
    fn folder(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Javascript => "javascript",
            Self::Python => "python",
            Self::C => "c",
        }
    }

    /// Its source file, and what ends the names of its examples.
    fn source(self) -> (&'static str, &'static str) {
        match self {
            Self::Rust => ("src/lib.rs", "rs"),
            Self::Javascript => ("plugin.js", "js"),
            Self::Python => ("plugin.py", "py"),
            Self::C => ("plugin.c", "c"),
        }
    }

    /// How its tools are installed.
    pub(super) fn install(self) -> &'static str {
        match self {
            Self::Rust => "rustup target add wasm32-wasip2",
            Self::Javascript => "npm install",
            Self::Python | Self::C => {
                "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"
            }
        }
    }
}

/// What was asked for.
#[derive(Debug)]
pub(crate) struct NewPlugin<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// What it is, such as `check`.
    pub(crate) kind: &'a str,
    /// What it is written in.
    pub(crate) language: Language,
}

/// What an example does, and settings of it.
fn about(kind: &str, language: Language) -> (&'static str, &'static str) {
    let by_rows = matches!(language, Language::Javascript | Language::Python);
    match kind {
        "check" if by_rows => {
            ("Fails when a row of a table has no value", "{table: users, column: name}")
        }
        "check" => ("Fails when a table has too few rows", "{table: users, min: 1}"),
        "pre-restore" => {
            ("Refuses a restore over a database that is ahead of its backup", "{most_ahead: 0}")
        }
        "post-restore" => ("Refuses a copy with too few rows", "{table: users, min: 1}"),
        "restored" => ("Says what was restored", "{}"),
        "not-restored" => ("Says why nothing was restored", "{}"),
        "pre-verify" => ("Refuses to verify while it is paused", "{paused: false}"),
        "verified" => (
            "Posts to a webhook when a backup is not good",
            "{url: \"https://hooks.example.com/services/x\"}",
        ),
        "pre-replicate" => ("Refuses to replicate from a standby", "{standby: false}"),
        "replicated" => ("Says why a replication ended", "{}"),
        "command" => ("Counts the rows of every table", "{}"),
        _ => ("A plugin", "{}"),
    }
}

/// What the small world of a guest has besides what the helpers need.
fn imports(kind: &str) -> &'static str {
    if kind == "verified" { "  import lsrun:host/http@0.1.0;\n" } else { "" }
}

/// What its settings have to grant it.
fn grant(kind: &str) -> &'static str {
    if kind == "verified" { ", grant: [\"http=hooks.example.com\"]" } else { "" }
}

/// Creates the project in `folder` and gives the files that it has, in order.
///
/// Fails before anything is written for a name or a kind that cannot be, and when one of
/// the files exists.
pub(crate) fn create(folder: &Path, plugin: &NewPlugin) -> Result<Vec<PathBuf>> {
    names::check(plugin.name, plugin.name)
        .map_err(|error| Error::usage(error.message()).cause(error.causes().join(", ")))?;
    if names::is_command(plugin.name) || names::is_check(plugin.name) {
        return Err(Error::usage(format!("lsrun has a command or a check named {}", plugin.name))
            .hint("choose another name"));
    }
    let files = files(plugin)?;
    let exists = files.iter().map(|(path, _)| folder.join(path)).find(|path| path.exists());
    if let Some(path) = exists {
        return Err(Error::usage(format!("{} exists already", path.display()))
            .hint("name another folder with --dir"));
    }
    let mut written = Vec::new();
    for (path, text) in files {
        let target = folder.join(&path);
        write(&target, &text).map_err(|error| {
            Error::usage(format!("cannot write {}", target.display())).cause(error)
        })?;
        written.push(path);
    }
    Ok(written)
}

fn write(target: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = target.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = std::fs::File::create_new(target)?;
    std::io::Write::write_all(&mut file, text.as_bytes())
}

/// The files of the project, with their texts.
fn files(plugin: &NewPlugin) -> Result<Vec<(PathBuf, String)>> {
    let NewPlugin { name, kind, language } = *plugin;
    let (source, ending) = language.source();
    let example = format!("{}/{kind}.{ending}", language.folder());
    let known = all_words();
    let example =
        TEMPLATES.get_file(&example).filter(|_| known.contains(&kind)).ok_or_else(|| {
            Error::usage(format!("no such kind of plugin: {kind}"))
                .hint(format!("the kinds are {}", known.join(", ")))
        })?;
    let (what, config) = about(kind, language);
    let serde = "serde = { workspace = true }\n";
    let uses_serde = example.contents_utf8().is_some_and(|text| text.contains("use serde"));
    let filled = |text: &str| {
        text.replace("@name@", name)
            .replace("@KIND@", &kind.replace('-', "_").to_uppercase())
            .replace("@kind@", kind)
            .replace("@about@", what)
            .replace("@config@", config)
            .replace("@Lang@", language.name())
            .replace("@install@", language.install())
            .replace("@dependencies@", DEPENDENCIES)
            .replace("@serde@", if uses_serde { serde } else { "" })
            .replace("@imports@", imports(kind))
            .replace("@grant@", grant(kind))
    };
    let template = |path: &str| {
        let file = TEMPLATES.get_file(path).and_then(|file| file.contents_utf8());
        file.map(filled)
            .ok_or_else(|| Error::inconclusive(format!("the template {path} is missing")))
    };
    let text = |file: &include_dir::File| file.contents_utf8().unwrap_or_default().to_owned();
    let mut files: Vec<(PathBuf, String)> = vec![
        ("README.md".into(), template("README.md")?),
        (
            "manifest.yml".into(),
            template(match kind {
                "command" => "manifest-command.yml",
                "verified" => "manifest-verified.yml",
                _ => "manifest.yml",
            })?,
        ),
        (source.into(), filled(example.contents_utf8().unwrap_or_default())),
    ];
    let mut all = |dir: &Dir, into: &Path, endings: &[&str]| {
        for file in every(dir) {
            if endings.iter().any(|ending| file.path().extension().is_some_and(|it| it == *ending))
            {
                files.push((into.join(file.path()), text(file)));
            }
        }
    };
    match language {
        Language::Rust => {
            let vendor = Path::new("vendor/lsrun-plugin");
            all(&WIT, Path::new("wit"), &["wit"]);
            all(&SDK, vendor, &["rs"]);
            let manifest = SDK.get_file("manifest.toml").map(text).unwrap_or_default();
            files.push((vendor.join("Cargo.toml"), manifest));
            files.push(("Cargo.toml".into(), template("rust/Cargo.toml.in")?));
            files.push((".gitignore".into(), format!("/target\n/{name}.wasm\n")));
        }
        Language::Javascript => {
            all(&JAVASCRIPT, Path::new(""), &["js"]);
            files.push(("package.json".into(), template("javascript/package.json")?));
            files.push((".gitignore".into(), format!("/node_modules\n/{name}.wasm\n")));
        }
        Language::Python => {
            all(&PYTHON, Path::new(""), &["py"]);
            files.push(("requirements.txt".into(), template("python/requirements.txt")?));
            let ignored = format!("/.venv\n__pycache__\n/{name}.wasm\n");
            files.push((".gitignore".into(), ignored));
        }
        Language::C => {
            all(&C, Path::new(""), &["c", "h"]);
            files.push(("requirements.txt".into(), template("c/requirements.txt")?));
            files.push(("Makefile".into(), template("c/Makefile")?));
            files.push((".gitignore".into(), format!("/.venv\n/{name}.wasm\n/module.wasm\n")));
        }
    }
    if matches!(language, Language::Javascript | Language::Python) {
        // These import all that their world has: a small one of their own.
        files.push(("wit/world.wit".into(), template("world.wit")?));
        for file in every(&WIT) {
            let path = match file.path().strip_prefix("deps") {
                Ok(inside) => Path::new("wit/deps").join(inside),
                Err(_own) => Path::new("wit/deps/plugin").join(file.path()),
            };
            if path.extension().is_some_and(|ending| ending == "wit") {
                files.push((path, text(file)));
            }
        }
    }
    Ok(files)
}

/// The files of a folder and of those in it.
fn every<'a>(dir: &'a Dir<'a>) -> Vec<&'a include_dir::File<'a>> {
    let mut files: Vec<_> = dir.files().collect();
    files.extend(dir.dirs().flat_map(every));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(kind: &str, language: Language) -> Vec<String> {
        let files = files(&NewPlugin { name: "x", kind, language }).unwrap();
        files.iter().map(|(path, _)| path.display().to_string()).collect()
    }

    #[test]
    fn every_kind_has_an_example_in_every_language() {
        for kind in all_words() {
            for language in Language::value_variants() {
                for (path, text) in
                    files(&NewPlugin { name: "x", kind, language: *language }).unwrap()
                {
                    let is_ours = !path.starts_with("vendor") && !path.starts_with("wit/deps");
                    assert!(!text.is_empty(), "{path:?}");
                    for word in [
                        "@grant@",
                        "@imports@",
                        "@name@",
                        "@kind@",
                        "@about@",
                        "@config@",
                        "@install@",
                    ] {
                        assert!(!is_ours || !text.contains(word), "{path:?} has {word}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_project_has_what_it_is_built_with() {
        let rust = names("check", Language::Rust);
        for file in ["src/lib.rs", "wit/plugin.wit", "vendor/lsrun-plugin/src/lib.rs", "Cargo.toml"]
        {
            assert!(rust.contains(&file.to_owned()), "{file} in {rust:?}");
        }
        let javascript = names("check", Language::Javascript);
        for file in ["plugin.js", "lsrun.js", "wit/world.wit", "wit/deps/plugin/plugin.wit"] {
            assert!(javascript.contains(&file.to_owned()), "{file} in {javascript:?}");
        }
        let c = names("check", Language::C);
        assert!(c.contains(&"lsrun.c".to_owned()) && !c.contains(&"generate".to_owned()), "{c:?}");
    }

    #[test]
    fn the_crates_are_those_of_the_repository() {
        let workspace = include_str!("../../../plugins/Cargo.toml");
        for line in DEPENDENCIES.lines() {
            assert!(workspace.contains(line), "{line}");
        }
    }

    #[test]
    fn nothing_is_written_over_and_names_are_checked_first() {
        let folder = tempfile::tempdir().unwrap();
        let new =
            |name, kind| create(folder.path(), &NewPlugin { name, kind, language: Language::C });
        for (name, kind) in [("X", "check"), ("../x", "check"), ("verify", "check"), ("x", "chek")]
        {
            new(name, kind).unwrap_err();
        }
        std::fs::write(folder.path().join("lsrun.h"), "mine").unwrap();
        assert!(new("x", "check").unwrap_err().one_line().contains("exists already"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        std::fs::remove_file(folder.path().join("lsrun.h")).unwrap();
        new("x", "check").unwrap();
    }
}
