//! What this lsrun offers to components, and whether that is what one of them imports:
//! found out from its type, before anything is compiled.

use std::collections::HashSet;
use std::sync::{Mutex, OnceLock, PoisonError};

use tokio::sync::Semaphore;
use wasmtime::Engine;
use wasmtime::component::{Component, InstancePre, Linker};

use super::lock::LockRules;
use super::outline::{Import, Outline};
use super::store::{self, State};
use super::{BUILTIN, engine};
use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};

/// What a run offers to its components.
pub(crate) struct Offer {
    engine: Engine,
    lock: OnceLock<Result<LockRules>>,
    plain: OnceLock<Result<Linker<State>>>,
    with_wasi: OnceLock<Result<Linker<State>>>,
    /// The types that were linked: plugins of one toolchain often import the same.
    linked: Mutex<HashSet<blake3::Hash>>,
    /// Who may compile: a large component takes 400 MB.
    pub(super) turns: Semaphore,
}

impl Offer {
    /// Fails (exit 1) where the machine cannot run WebAssembly.
    pub(crate) fn start() -> Result<Self> {
        let turns = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            engine: engine::start()?,
            lock: OnceLock::new(),
            plain: OnceLock::new(),
            with_wasi: OnceLock::new(),
            linked: Mutex::default(),
            turns: Semaphore::new(turns),
        })
    }

    /// What lsrun.lock allows. Fails if it cannot be read.
    pub(super) fn lock(&self, context: &Context) -> Result<&LockRules> {
        self.lock.get_or_init(|| LockRules::of(context)).as_ref().map_err(Clone::clone)
    }

    /// The engine of the run.
    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Links a component. Nothing of it runs.
    pub(super) fn link(&self, component: &Component) -> Result<InstancePre<State>, Mismatch> {
        let wasi = store::wants_wasi(&self.engine, component);
        let linker = if wasi { &self.with_wasi } else { &self.plain };
        let linker = linker.get_or_init(|| store::linker(&self.engine, wasi));
        let linker = linker.as_ref().map_err(|error| Mismatch(error.one_line()))?;
        linker.instantiate_pre(component).map_err(|error| Mismatch(format!("{error:#}")))
    }

    /// Fails with exit 30, and with what to do, if the component at `place` is none or
    /// imports something else than what is offered.
    pub(super) fn check(&self, outline: &Outline, place: &str) -> Result<()> {
        let unusable = |what: String| Error::new(Code::UnusablePlugin, format!("{place} {what}"));
        if !outline.is_component {
            return Err(unusable("is a core module, and plugins are components".to_owned()).hint(
                "build it for wasm32-wasip2, or make a component of it with `wasm-tools component new`",
            ));
        }
        if let Some(what) = outline.asynchronous {
            return Err(unusable(format!(
                "is built for the asynchronous ABI ({what}), which lsrun does not run"
            ))
            .hint(
                "build it for WASI 0.2: Rust for wasm32-wasip2, JavaScript with componentize-qjs --sync \
                 or componentize-js",
            ));
        }
        let of_type = blake3::hash(outline.importing(outline.import_sections()));
        let linked = || self.linked.lock().unwrap_or_else(PoisonError::into_inner);
        if linked().contains(&of_type) {
            return Ok(());
        }
        let Some((import, why)) = self.mismatch(outline) else {
            linked().insert(of_type);
            return Ok(());
        };
        Err(explained(&import, &outline.imports, unusable).cause(why))
    }

    /// The first import that is not offered, and why. None also for what does not compile
    /// without its code: that is found out when it is compiled.
    fn mismatch(&self, outline: &Outline) -> Option<(Import, String)> {
        let link = |sections: usize| -> Option<Result<(), Mismatch>> {
            let component = Component::new(&self.engine, outline.importing(sections)).ok()?;
            Some(self.link(&component).map(|_pre| ()))
        };
        let all = outline.import_sections();
        link(all)?.err()?;
        let (sections, Mismatch(why)) =
            (1..=all).find_map(|sections| Some((sections, link(sections)?.err()?)))?;
        let before = outline.imported_by(sections - 1);
        let among = outline.imports.get(before..outline.imported_by(sections))?;
        let named = among.iter().find(|import| why.contains(&format!("`{}`", import.name)));
        Some((named.or(among.first())?.clone(), why))
    }
}

/// Why a component cannot be linked.
pub(super) struct Mismatch(pub(super) String);

/// The error of a component that imports what is not offered.
fn explained(import: &Import, imports: &[Import], unusable: impl Fn(String) -> Error) -> Error {
    const UPDATE: &str = "build it with the wit/ of this lsrun, or for a small world that has only what it \
                          uses; or update lsrun";
    let name = import.name.as_str();
    let (package, version) = split(name);
    if package.starts_with("lsrun:") {
        let package = package.split('/').next().unwrap_or(package);
        let own = version_of(package).unwrap_or("no such package");
        let theirs = version.unwrap_or("no version");
        return match version.is_some_and(|version| is_of_series(own, version)) {
            true => unusable(format!(
                "uses {name}, of which this lsrun offers another shape: it was built for {package} \
                 {theirs}, and this lsrun has {own}"
            )),
            false => {
                unusable(format!("was built for {package} {theirs}, and this lsrun offers {own}"))
            }
        }
        .hint(UPDATE);
    }
    if package.starts_with("wasi:") {
        let later = imports.iter().map(|import| split(&import.name));
        let mut later = later.filter(|(package, _)| package.starts_with("wasi:"));
        let is_later = later
            .any(|(_, version)| version.is_some_and(|version| !is_of_series("0.2.0", version)));
        let error = unusable(format!("imports {name}, which lsrun does not offer"));
        return match is_later {
            true => error.hint("build it for WASI 0.2, as wasm32-wasip2 does"),
            false => error.hint(
                "build it without that interface; componentize-js leaves out wasi:http with \
                 `-d http fetch-event`",
            ),
        };
    }
    unusable(format!("imports {name}, which is no interface of lsrun or of WASI")).hint(
        "a plugin imports lsrun:host and WASI 0.2 only; build it for a world of wit/plugin.wit, such as \
         check-plugin",
    )
}

/// The package and interface, and the version, of `lsrun:host/sqlite@0.1.0`.
fn split(name: &str) -> (&str, Option<&str>) {
    name.split_once('@').map_or((name, None), |(package, version)| (package, Some(version)))
}

/// The version of a package of lsrun that this lsrun has: that which its own commands are
/// built for.
pub(super) fn version_of(package: &str) -> Option<&'static str> {
    let prefix = format!("{package}/");
    BUILTIN.iter().find_map(|builtin| {
        let outline = builtin.outline().ok()?;
        let imports = outline.imports.iter().map(|import| import.name.as_str());
        let names = imports.chain(outline.exports.iter().map(String::as_str));
        names.filter(|name| name.starts_with(&prefix)).find_map(|name| split(name).1)
    })
}

/// Whether two versions of 0.x are those of one series, as wasmtime reads them.
fn is_of_series(one: &str, other: &str) -> bool {
    let series = |version: &str| version.rsplit_once('.').map(|(series, _)| series.to_owned());
    series(one) == series(other)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::path::Path;

    use super::*;

    /// The components that were built for 0.1.0, in every language; that in Python is
    /// compressed.
    fn built() -> Vec<(String, Vec<u8>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/compat/0.1.0");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files
            .map(|path| {
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                let bytes = match name.ends_with(".xz") {
                    false => std::fs::read(&path).unwrap(),
                    true => {
                        let code = "import lzma, sys; sys.stdout.buffer.write(lzma.open(sys.argv[1]).read())";
                        let mut python = std::process::Command::new("python3");
                        python.args(["-c", code]).arg(&path).output().unwrap().stdout
                    }
                };
                (name, bytes)
            })
            .collect()
    }

    #[test]
    fn what_was_built_for_this_version_is_linked_with_what_a_later_one_adds() {
        let engine = engine::start().unwrap();
        let all = built();
        assert!(all.len() >= 8, "{}", all.len());
        for (name, bytes) in all {
            let outline = Outline::of(&mut Cursor::new(&bytes), &name).unwrap();
            let type_ = outline.importing(outline.import_sections());
            let component = Component::new(&engine, type_).unwrap();
            let mut linker = store::linker(&engine, true).unwrap();
            // A function more in each interface of lsrun's that it imports, and an interface
            // more.
            let own = outline.imports.iter().filter(|import| import.name.starts_with("lsrun:"));
            let names = own.map(|import| import.name.as_str());
            for interface in names.chain(["lsrun:host/later@0.1.0"]) {
                let mut instance = linker.instance(interface).unwrap();
                instance.func_wrap("later", |_store, (): ()| Ok((1_u32,))).unwrap();
            }
            linker.instantiate_pre(&component).unwrap_or_else(|error| panic!("{name}: {error:#}"));
            // A hook more that a component may export is a word more to look for.
            assert!(!outline.exports("lsrun:plugin/later@0.1.0"), "{name}");
            assert!(outline.exports.iter().any(|it| it.starts_with("lsrun:plugin/")), "{name}");
        }
    }
}
