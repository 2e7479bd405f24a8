//! Plugins: WebAssembly components that hold lsrun's policy. A component's exports
//! decide what it is; its imports are the most it can do.

#[allow(unreachable_pub, reason = "what bindgen generates, and what it re-exports, is public")]
mod bindings;
mod builtin;
mod compiled;
pub(crate) mod engine;
#[allow(unreachable_pub, reason = "re-exported by the generated bindings")]
pub(crate) mod events;
#[allow(unreachable_pub, reason = "re-exported by the generated bindings")]
mod failure;
mod fire;
mod folders;
mod grants;
#[allow(unreachable_pub, reason = "re-exported by the generated bindings")]
mod handles;
mod hooks;
mod http;
mod imports;
pub(crate) mod inspect;
mod limits;
pub(crate) mod manifest;
pub(crate) mod names;
mod output;
mod problems;
#[allow(unreachable_pub, reason = "re-exported by the generated bindings")]
mod process;
pub(crate) mod registry;
mod restores;
mod run;
mod sink;
mod spawn;
mod store;
mod wasi;

use std::path::PathBuf;

use builtin::TASKS;
pub(crate) use builtin::{BUILTIN, Builtin, proofs};
use grants::Grants;
pub(crate) use handles::InvocationData;
pub(crate) use hooks::{Hooks, of_command};
use manifest::Manifest;
pub(crate) use problems::problems;
pub(crate) use restores::Restores;
pub(crate) use run::run_command;
pub(crate) use sink::Sink;
use store::State;
pub(crate) use store::{Call, Role};
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre};

use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::project::{PluginConfig, PluginSetting};
use crate::report::event::Event;

/// The exported interfaces, each with the one function `run`.
pub(crate) const COMMAND: &str = "lsrun:plugin/command@0.1.0";
pub(crate) const CHECK: &str = "lsrun:plugin/check@0.1.0";
pub(crate) const PRE_RESTORE: &str = "lsrun:plugin/pre-restore@0.1.0";
pub(crate) const POST_RESTORE: &str = "lsrun:plugin/post-restore@0.1.0";
pub(crate) const RESTORED: &str = "lsrun:plugin/restored@0.1.0";

pub(crate) const NOT_RESTORED: &str = "lsrun:plugin/not-restored@0.1.0";
pub(crate) const PRE_VERIFY: &str = "lsrun:plugin/pre-verify@0.1.0";
pub(crate) const VERIFIED: &str = "lsrun:plugin/verified@0.1.0";
pub(crate) const PRE_REPLICATE: &str = "lsrun:plugin/pre-replicate@0.1.0";
pub(crate) const REPLICATED: &str = "lsrun:plugin/replicated@0.1.0";

/// What a component can be: each of them with its word.
const KINDS: [(&str, &str); 10] = [
    (COMMAND, "command"),
    (CHECK, "check"),
    (PRE_RESTORE, "pre-restore"),
    (POST_RESTORE, "post-restore"),
    (RESTORED, "restored"),
    (NOT_RESTORED, "not-restored"),
    (PRE_VERIFY, "pre-verify"),
    (VERIFIED, "verified"),
    (PRE_REPLICATE, "pre-replicate"),
    (REPLICATED, "replicated"),
];

/// The words of the kinds that are among a component's exports.
#[must_use]
pub(crate) fn words_of(exports: &[String]) -> Vec<&'static str> {
    // 0.1.1 is 0.1.0 with more, as wasmtime reads it.
    let series = |name: &str| name.rsplit_once('.').map(|(series, _patch)| series.to_owned());
    let is = |interface: &str| exports.iter().any(|export| series(export) == series(interface));
    KINDS.into_iter().filter(|(interface, _)| is(interface)).map(|(_, word)| word).collect()
}

/// The words of all kinds.
#[must_use]
pub(crate) fn all_words() -> Vec<&'static str> {
    KINDS.into_iter().map(|(_, word)| word).collect()
}

/// Where a plugin comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Part of lsrun.
    Builtin,
    /// A file of a plugins folder.
    File(PathBuf),
}

/// A component that has been compiled and fits the host.
pub(crate) struct Plugin {
    /// Its name: that of the command, or the stem of its file.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// What it says about itself.
    pub manifest: Manifest,
    /// What the project file says about it.
    pub setting: PluginSetting,
    /// What that hands to it.
    config: PluginConfig,
    grants: Grants,
    /// What was said of the hosts that it was denied.
    told: wasi::Told,
    component: Component,
    pre: InstancePre<State>,
}

/// Whether a component can be compiled and linked, for the fuzz targets.
///
/// Fails with exit 30 if not.
pub(crate) fn links(engine: &Engine, bytes: &[u8]) -> Result<()> {
    let unusable = |error: wasmtime::Error| {
        Error::new(Code::UnusablePlugin, "it cannot be used").cause(format!("{error:#}"))
    };
    let component = Component::new(engine, bytes).map_err(unusable)?;
    let linker = store::linker(engine, store::wants_wasi(engine, &component))?;
    linker.instantiate_pre(&component).map(|_| ()).map_err(unusable)
}

impl Plugin {
    /// Compiles, or finds compiled, and links. Nothing of the guest runs.
    ///
    /// Fails with exit 30 for what is not a component, and for one whose imports
    /// nobody offers.
    pub(crate) fn load(
        context: &Context,
        engine: &Engine,
        name: String,
        bytes: &[u8],
        manifest: Manifest,
        origin: Origin,
    ) -> Result<Self> {
        let place = match &origin {
            Origin::Builtin => format!("the built-in {name}"),
            Origin::File(path) => path.display().to_string(),
        };
        let config = match origin {
            Origin::Builtin => PluginConfig::default(),
            // What it needs and does not have, it says before it is compiled.
            Origin::File(_) => context.project.plugin_config(&name)?,
        };
        let component = compiled::load(engine, bytes, &place, &context.environment, |text| {
            context.reporter.report(Event::Stage { name: "", text });
        })?;
        let setting = context.project.plugins().setting(&name);
        let grants = match origin {
            Origin::Builtin => Grants::builtin(&name, &manifest.permissions),
            Origin::File(_) => Grants::new(&name, &manifest.permissions, &setting.grant),
        };
        let linker = store::linker(engine, store::wants_wasi(engine, &component))?;
        let pre = linker.instantiate_pre(&component).map_err(|error| {
            Error::new(Code::UnusablePlugin, format!("{place} is not compatible with this lsrun"))
                .cause(format!("{error:#}"))
                .hint("build it against the wit/ of this lsrun, which offers another interface")
        })?;
        let told = wasi::Told::default();
        Ok(Self { name, origin, manifest, setting, config, grants, told, component, pre })
    }

    /// Whether it exports this interface.
    #[must_use]
    pub(crate) fn exports(&self, interface: &str) -> bool {
        self.component.get_export_index(None, interface).is_some()
    }

    /// The engine that it is compiled for.
    #[must_use]
    pub(crate) fn engine(&self) -> &Engine {
        self.component.engine()
    }

    /// Whether it imports this function of an interface of `lsrun:host`.
    #[must_use]
    pub(crate) fn imports_function(&self, interface: &str, function: &str) -> bool {
        let prefix = format!("lsrun:host/{interface}@");
        let engine = self.component.engine();
        let component = self.component.component_type();
        component.imports(engine).any(|(name, item)| match item.ty {
            ComponentItem::ComponentInstance(instance) => {
                name.starts_with(&prefix) && instance.get_export(engine, function).is_some()
            }
            _ => false,
        })
    }

    /// Whether it may see secrets, and what it prints is to have them.
    #[must_use]
    pub(crate) fn reveals_secrets(&self) -> bool {
        self.grants.require("config:secrets").is_ok()
    }

    /// Whether its setting selects this database.
    #[must_use]
    pub(crate) fn applies_to(&self, database: &crate::project::Database) -> bool {
        match &self.setting.databases {
            None => true,
            Some(names) => names.iter().any(|name| *name == database.name()),
        }
    }
}
