//! The commands that are components embedded in the binary, so that no
//! WebAssembly target is needed to build lsrun. `plugins/build` builds them.

use std::sync::{Arc, OnceLock};

use wasmtime::Engine;

use super::manifest::{self, CommandManifest, Manifest};
use super::{Origin, Plugin};
use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::trust::Trust;

/// A built-in component.
pub(crate) struct Builtin {
    /// Its command.
    pub name: &'static str,
    bytes: &'static [u8],
    /// Read once: what is embedded never changes, and every plugin of a project is held
    /// against it.
    manifest: OnceLock<Result<Manifest>>,
}

/// The commands.
pub(crate) static BUILTIN: [Builtin; 4] = [
    Builtin::new("config", include_bytes!("../../builtin/config.wasm")),
    Builtin::new("points", include_bytes!("../../builtin/points.wasm")),
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
        Self { name, bytes, manifest: OnceLock::new() }
    }

    /// The one of this name.
    #[must_use]
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        BUILTIN.iter().find(|builtin| builtin.name == name)
    }

    /// Its manifest, without compiling it.
    pub(crate) fn manifest(&self) -> Result<&Manifest> {
        let read = || {
            manifest::read(self.bytes, self.name)?.ok_or_else(|| {
                let message = format!("the built-in {} has no manifest", self.name);
                Error::new(Code::UnusablePlugin, message)
            })
        };
        self.manifest.get_or_init(read).as_ref().map_err(Clone::clone)
    }

    /// How it is called, by its manifest.
    pub(super) fn command(&self) -> Option<&CommandManifest> {
        self.manifest().ok()?.command.as_ref()
    }

    /// Ready to run. `LSRUN_BUILTIN_DIR` names a folder with other builds of the
    /// built-ins: that is how a fresh build is tested before it is committed.
    pub(crate) fn load(&self, context: &Context, engine: &Engine) -> Result<Arc<Plugin>> {
        let name = self.name.to_owned();
        let Some(folder) = context.environment.get("LSRUN_BUILTIN_DIR") else {
            let manifest = self.manifest()?.clone();
            return Plugin::load(context, engine, name, self.bytes, manifest, Origin::Builtin)
                .map(Arc::new);
        };
        let path = std::path::Path::new(folder).join(format!("{name}.wasm"));
        // It has the permissions of a built-in.
        let bytes = Trust::mine().read(&path, 256 << 20).map_err(|distrust| {
            distrust
                .error(Code::UnusablePlugin, format!("cannot use {} as a built-in", path.display()))
        })?;
        let manifest = manifest::read(&bytes, self.name)?.unwrap_or_default();
        Plugin::load(context, engine, name, &bytes, manifest, Origin::Builtin).map(Arc::new)
    }
}
