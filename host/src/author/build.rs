//! Builds the project of a plugin with its language's own tools.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::component::{self, Packed, pack};
use super::project::Language;
use crate::cache;
use crate::code::Code;
use crate::environment::Environment;
use crate::error::{Error, Result};

/// The target of a plugin in Rust, unless cargo is given another one.
const TARGET: &str = "wasm32-wasip2";

/// A plugin that was built.
#[derive(Debug)]
pub(crate) struct Built {
    /// Its component.
    pub(crate) path: PathBuf,
    /// What it is, such as `check`.
    pub(crate) kinds: Vec<&'static str>,
    /// The size of the component.
    pub(crate) bytes: usize,
}

/// A command line that builds something, and the file that it writes.
struct BuildStep {
    words: Vec<String>,
    output: PathBuf,
}

/// Builds the project in `folder`, packs its manifest and checks the result. `say` is
/// told what runs.
pub(crate) async fn build(
    folder: &Path,
    environment: &Environment,
    say: impl Fn(&str),
) -> Result<Built> {
    let folder = std::path::absolute(folder)
        .map_err(|error| Error::usage(format!("no folder {}", folder.display())).cause(error))?;
    let language = language(&folder)?;
    let manifest = folder.join("manifest.yml");
    let yaml = String::from_utf8_lossy(&component::read(&manifest)?).into_owned();
    let name = name(&folder, language)?;
    let step = step(&folder, &name, language, environment)?;
    say(&shell_words::join(&step.words));
    run(&step, &folder, language).await?;
    let built = component::read(&step.output)?;
    let shown = step.output.display().to_string();
    let Packed { bytes, kinds } = pack(&built, &shown, &yaml, &manifest.display().to_string())?;
    let path = folder.join(format!("{name}.wasm"));
    cache::write_atomically(&path, &bytes, 0o644).map_err(|error| {
        Error::new(Code::Io, format!("cannot write {}", path.display())).cause(error)
    })?;
    Ok(Built { path, kinds, bytes: bytes.len() })
}

/// By the file that its tools read.
fn language(folder: &Path) -> Result<Language> {
    let has = |file: &str| folder.join(file).exists();
    if has("Cargo.toml") {
        Ok(Language::Rust)
    } else if has("package.json") {
        Ok(Language::Javascript)
    } else if has("Makefile") {
        Ok(Language::C)
    } else if has("plugin.py") {
        Ok(Language::Python)
    } else {
        Err(Error::usage(format!("{} is not the project of a plugin", folder.display()))
            .cause("it has neither a Cargo.toml, a package.json, a Makefile nor a plugin.py")
            .hint("lsrun plugin new NAME --kind check --lang rust makes one"))
    }
}

/// The plugin's name: the one in the file that its tools read, else that of the folder.
fn name(folder: &Path, language: Language) -> Result<String> {
    let read = |file: &str| -> Result<String> {
        Ok(String::from_utf8_lossy(&component::read(&folder.join(file))?).into_owned())
    };
    let of_line = |text: &str, before: &str, after: char| {
        let rest = text.lines().find_map(|line| line.trim().strip_prefix(before))?;
        Some(rest.split(after).next()?.to_owned())
    };
    let found = match language {
        Language::Rust => of_line(&read("Cargo.toml")?, "name = \"", '"'),
        Language::Javascript => {
            serde_json::from_str::<serde_json::Value>(&read("package.json")?)
                .map_err(|error| Error::usage("package.json is not JSON").cause(error))?["name"]
                .as_str()
                .map(str::to_owned)
        }
        Language::C => {
            let makefile = read("Makefile")?;
            let target = makefile.lines().find_map(|line| line.split_once(".wasm:"));
            target.map(|(name, _)| name.trim().to_owned())
        }
        Language::Python => None,
    };
    let of_folder = || folder.file_name().map(|name| name.to_string_lossy().into_owned());
    found
        .or_else(of_folder)
        .ok_or_else(|| Error::usage(format!("{} has no name", folder.display())))
}

fn step(
    folder: &Path,
    name: &str,
    language: Language,
    environment: &Environment,
) -> Result<BuildStep> {
    // A tool of the project's own goes before the machine's.
    let own = |path: &str| folder.join(path).exists().then(|| path.to_owned());
    let (words, output): (Vec<String>, PathBuf) = match language {
        Language::Rust => {
            let target = environment.get("CARGO_BUILD_TARGET").unwrap_or(TARGET);
            let words = ["cargo", "build", "--release", "--target", target];
            let folder = environment.get("CARGO_TARGET_DIR").unwrap_or("target");
            let file = format!("{}.wasm", name.replace('-', "_"));
            let output = Path::new(folder).join(target).join("release").join(file);
            (words.map(str::to_owned).to_vec(), output)
        }
        Language::Javascript => {
            let tool = own("node_modules/.bin/componentize-qjs").ok_or_else(|| {
                missing("componentize-qjs is not installed in node_modules", language)
            })?;
            let rest = ["--sync", "--wit", "wit", "--world", "plugin", "--js", "plugin.js", "-o"];
            (words(&[&tool], &rest, name), format!("{name}.wasm").into())
        }
        Language::Python => {
            let tool = own(".venv/bin/componentize-py");
            let tool = tool.unwrap_or_else(|| "componentize-py".to_owned());
            let rest = ["-d", "wit", "-w", "plugin", "componentize", "plugin", "-o"];
            (words(&[&tool], &rest, name), format!("{name}.wasm").into())
        }
        Language::C => {
            let lsrun = std::env::current_exe().map(|path| path.display().to_string());
            let lsrun = lsrun.unwrap_or_else(|_unknown| "lsrun".to_owned());
            let mut words = vec!["make".to_owned(), "-B".to_owned(), format!("LSRUN={lsrun}")];
            if let Some(python) = own(".venv/bin/python3") {
                words.push(format!("CC={python} -m ziglang cc -target wasm32-wasi"));
            }
            (words, format!("{name}.wasm").into())
        }
    };
    Ok(BuildStep { words, output: folder.join(output) })
}

fn words(first: &[&str], rest: &[&str], name: &str) -> Vec<String> {
    let output = format!("{name}.wasm");
    first.iter().chain(rest).map(|word| (*word).to_owned()).chain([output]).collect()
}

/// A tool that is not there.
fn missing(what: &str, language: Language) -> Error {
    Error::usage(what).hint(format!("run {}", language.install()))
}

async fn run(step: &BuildStep, folder: &Path, language: Language) -> Result<()> {
    let [program, arguments @ ..] = step.words.as_slice() else {
        return Err(Error::usage("nothing to run"));
    };
    let path = match program.contains('/') {
        true => folder.join(program),
        false => program.into(),
    };
    let status = tokio::process::Command::new(path)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        // The tools' words are not the command's data.
        .stdout(std::io::stderr())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .status()
        .await;
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            let error = Error::usage(format!("{program} failed ({status})"));
            Err(match language {
                Language::Javascript => error,
                language => error.hint(format!(
                    "what it printed is above; if a tool is missing: {}",
                    language.install()
                )),
            })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(missing(&format!("{program} is not installed"), language))
        }
        Err(error) => Err(Error::usage(format!("{program} does not start")).cause(error)),
    }
}
