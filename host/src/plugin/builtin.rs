//! The commands that are components embedded in the binary, so that no
//! WebAssembly target is needed to build lsrun. `plugins/build` builds them.

use std::io::Cursor;
use std::sync::OnceLock;

use super::manifest::{self, CommandManifest, Manifest};
use super::outline::Outline;
use crate::code::Code;
use crate::error::{Error, Result};

/// A built-in component.
pub(crate) struct Builtin {
    /// Its command.
    pub name: &'static str,
    pub(super) bytes: &'static [u8],
    /// Read once: what is embedded never changes, and every plugin of a project is held
    /// against it.
    manifest: OnceLock<Result<Manifest>>,
    outline: OnceLock<Result<Outline>>,
}

/// The commands.
pub(crate) static BUILTIN: [Builtin; 5] = [
    Builtin::new("config", include_bytes!("../../builtin/config.wasm")),
    Builtin::new("points", include_bytes!("../../builtin/points.wasm")),
    Builtin::new("query", include_bytes!("../../builtin/query.wasm")),
    Builtin::new("restore", include_bytes!("../../builtin/restore.wasm")),
    Builtin::new("verify", include_bytes!("../../builtin/verify.wasm")),
];

/// The one that is no command: it runs the tasks that the project file names for the
/// hooks.
pub(super) static TASKS: Builtin =
    Builtin::new("tasks", include_bytes!("../../builtin/tasks.wasm"));

/// The commands among them that prove something: their reports are what the history is
/// about.
pub(crate) fn proofs() -> Vec<&'static str> {
    let records = |builtin: &&Builtin| builtin.command().is_some_and(|command| command.records);
    BUILTIN.iter().filter(records).map(|builtin| builtin.name).collect()
}

impl Builtin {
    const fn new(name: &'static str, bytes: &'static [u8]) -> Self {
        Self { name, bytes, manifest: OnceLock::new(), outline: OnceLock::new() }
    }

    /// The one of this name.
    #[must_use]
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        BUILTIN.iter().find(|builtin| builtin.name == name)
    }

    /// Its manifest, without compiling it.
    pub(crate) fn manifest(&self) -> Result<&Manifest> {
        let read = || {
            manifest::of(self.outline()?, self.name)?.ok_or_else(|| {
                let message = format!("the built-in {} has no manifest", self.name);
                Error::new(Code::UnusablePlugin, message)
            })
        };
        self.manifest.get_or_init(read).as_ref().map_err(Clone::clone)
    }

    /// What it imports and exports.
    pub(super) fn outline(&self) -> Result<&Outline> {
        let read = || Outline::of(&mut Cursor::new(self.bytes), self.name);
        self.outline.get_or_init(read).as_ref().map_err(Clone::clone)
    }

    /// How it is called, by its manifest.
    pub(super) fn command(&self) -> Option<&CommandManifest> {
        self.manifest().ok()?.command.as_ref()
    }
}
