//! Plugins: WebAssembly components that hold lsrun's policy. A component's exports
//! decide what it is; its imports are the most it can do.

pub(crate) mod adding;
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
pub(crate) mod lock;
pub(crate) mod locking;
pub(crate) mod manifest;
pub(crate) mod names;
mod oci;
pub(crate) mod offer;
pub(crate) mod outline;
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

use std::borrow::Cow;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use builtin::TASKS;
pub(crate) use builtin::{BUILTIN, Builtin, proofs};
use grants::Grants;
pub(crate) use handles::InvocationData;
pub(crate) use hooks::{Hooks, of_command};
use manifest::Manifest;
use offer::{Mismatch, Offer};
use outline::Outline;
pub(crate) use problems::problems;
use registry::PluginFile;
use restores::Restores;
pub(crate) use run::run_command;
pub(crate) use sink::Sink;
pub(crate) use store::Call;
use store::State;
use wasmtime::component::{Component, InstancePre};

use crate::code::Code;
use crate::context::Context;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::project::{PluginConfig, PluginSetting};
use crate::report::event::Event;
use crate::trust::Trust;

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

/// A component that fits the host. It is compiled when it is called for the first time.
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
    outline: Outline,
    code: PluginCode,
    offer: Arc<Offer>,
    ready: OnceLock<Result<InstancePre<State>>>,
}

/// Where the component itself is.
enum PluginCode {
    Builtin(Cow<'static, [u8]>),
    File(Box<PluginFile>),
}

/// Whether a component is what is offered, and can be compiled and linked, for the fuzz
/// targets.
///
/// Fails with exit 30 if not.
pub(crate) fn links(offer: &Offer, bytes: &[u8]) -> Result<()> {
    let unusable = |why: String| Error::new(Code::UnusablePlugin, "it cannot be used").cause(why);
    offer.check(&Outline::of(&mut Cursor::new(bytes), "it")?, "it")?;
    let component = Component::new(offer.engine(), bytes);
    let component = component.map_err(|error| unusable(format!("{error:#}")))?;
    offer.link(&component).map(|_pre| ()).map_err(|Mismatch(why)| unusable(why))
}

impl Plugin {
    /// One of lsrun's own. Nothing is compiled.
    fn of_builtin(
        context: &Context,
        offer: Arc<Offer>,
        name: String,
        manifest: Manifest,
        outline: Outline,
        bytes: Cow<'static, [u8]>,
    ) -> Self {
        Self {
            origin: Origin::Builtin,
            setting: context.project.plugins().setting(&name),
            config: PluginConfig::default(),
            grants: Grants::builtin(&name, &manifest.permissions),
            told: wasi::Told::default(),
            name,
            manifest,
            outline,
            code: PluginCode::Builtin(bytes),
            offer,
            ready: OnceLock::new(),
        }
    }

    /// One of the project. Nothing is compiled.
    ///
    /// Fails if its settings need a variable that is not set.
    fn of_file(context: &Context, offer: Arc<Offer>, file: PluginFile) -> Result<Self> {
        let config = context.project.plugin_config(&file.name)?;
        let setting = context.project.plugins().setting(&file.name);
        Ok(Self {
            origin: Origin::File(file.path.clone()),
            config,
            grants: Grants::new(&file.name, &file.manifest.permissions, &setting.grant),
            told: wasi::Told::default(),
            setting,
            name: file.name.clone(),
            manifest: file.manifest.clone(),
            outline: file.outline.clone(),
            code: PluginCode::File(Box::new(file)),
            offer,
            ready: OnceLock::new(),
        })
    }

    /// Compiled, or found compiled, and linked; nothing of the guest runs. The first call
    /// may take seconds, and the others wait for it.
    ///
    /// Fails with exit 30 for what is not a component, and for one that is not the one that
    /// was found, or that is locked.
    fn ready(&self, context: &Context) -> Result<&InstancePre<State>> {
        self.ready.get_or_init(|| self.compiled(context)).as_ref().map_err(Clone::clone)
    }

    /// Compiles it now, if nobody has.
    pub(crate) fn prepare(&self, context: &Context) -> Result<()> {
        self.ready(context).map(|_pre| ())
    }

    /// [`Self::ready`] without holding up other tasks. Only a few compile at once.
    async fn made_ready(self: Arc<Self>, context: Arc<Context>) -> Result<()> {
        if let Some(ready) = self.ready.get() {
            return ready.as_ref().map(|_pre| ()).map_err(Clone::clone);
        }
        let offer = Arc::clone(&self.offer);
        let _turn = offer.turns.acquire().await;
        let compiled = tokio::task::spawn_blocking(move || self.ready(&context).map(|_pre| ()));
        compiled.await.unwrap_or_else(|error| {
            Err(Error::new(Code::Unexpected, "compiling a plugin ended early").cause(error))
        })
    }

    fn compiled(&self, context: &Context) -> Result<InstancePre<State>> {
        let place = self.place();
        let (bytes, digest) = self.code(context)?;
        let engine = self.offer.engine();
        let component =
            compiled::load(engine, &bytes, &digest, &place, &context.environment, |text| {
                context.reporter.report(Event::Stage { name: "", text });
            })?;
        self.offer.link(&component).map_err(|Mismatch(why)| {
            Error::new(Code::UnusablePlugin, format!("{place} is not compatible with this lsrun"))
                .cause(why)
                .hint("build it against the wit/ of this lsrun, which offers another interface")
        })
    }

    /// The bytes that are run, and their digest. What is locked is held against these.
    fn code(&self, context: &Context) -> Result<(Cow<'_, [u8]>, Digest)> {
        match &self.code {
            PluginCode::Builtin(bytes) => {
                Ok((Cow::Borrowed(bytes.as_ref()), Digest::of_bytes(bytes)))
            }
            PluginCode::File(file) => {
                let (bytes, digest) = file.read()?;
                let lock = self.offer.lock(context)?;
                if lock.is_enforced() {
                    lock.admit(context, &self.name, &digest, &self.setting.grant)?;
                }
                Ok((Cow::Owned(bytes), digest))
            }
        }
    }

    /// Fails if it could not be compiled, without compiling it: for one that runs only when
    /// it is too late for that.
    fn prove(&self, context: &Context) -> Result<()> {
        let (bytes, digest) = self.code(context)?;
        compiled::prove(self.offer.engine(), &bytes, &digest, &self.place(), &context.environment)
    }

    fn place(&self) -> String {
        match &self.origin {
            Origin::Builtin => format!("the built-in {}", self.name),
            Origin::File(path) => path.display().to_string(),
        }
    }

    /// Whether it exports this interface.
    #[must_use]
    pub(crate) fn exports(&self, interface: &str) -> bool {
        self.outline.exports(interface)
    }

    /// What it is linked with.
    #[must_use]
    pub(crate) fn offer(&self) -> &Arc<Offer> {
        &self.offer
    }

    /// Whether it imports this function of an interface of `lsrun:host`.
    #[must_use]
    pub(crate) fn imports_function(&self, interface: &str, function: &str) -> bool {
        let mut imports = self.outline.imports_of_host(interface);
        imports.any(|import| import.functions.iter().any(|own| own == function))
    }

    /// Whether it may see secrets, and what it prints is to have them.
    #[must_use]
    pub(crate) fn reveals_secrets(&self) -> bool {
        self.grants.require("config:secrets").is_ok()
    }

    /// Whether its setting selects this database.
    #[must_use]
    pub(crate) fn applies_to(&self, database: &crate::project::Database) -> bool {
        self.setting.selects(database)
    }
}

impl Builtin {
    /// Ready to run. `LSRUN_BUILTIN_DIR` names a folder with other builds of the
    /// built-ins: that is how a fresh build is tested before it is committed.
    pub(crate) fn load(&self, context: &Context, offer: &Arc<Offer>) -> Result<Arc<Plugin>> {
        let (name, offer) = (self.name.to_owned(), Arc::clone(offer));
        let Some(folder) = context.environment.get("LSRUN_BUILTIN_DIR") else {
            let (manifest, outline) = (self.manifest()?.clone(), self.outline()?.clone());
            let bytes = Cow::Borrowed(self.bytes);
            return Ok(Arc::new(Plugin::of_builtin(
                context, offer, name, manifest, outline, bytes,
            )));
        };
        let path = Path::new(folder).join(format!("{name}.wasm"));
        // It has the permissions of a built-in.
        let bytes = Trust::mine().read(&path, 256 << 20).map_err(|distrust| {
            distrust
                .error(Code::UnusablePlugin, format!("cannot use {} as a built-in", path.display()))
        })?;
        let outline = Outline::of(&mut Cursor::new(&bytes), self.name)?;
        let manifest = manifest::of(&outline, self.name)?.unwrap_or_default();
        let bytes = Cow::Owned(bytes);
        Ok(Arc::new(Plugin::of_builtin(context, offer, name, manifest, outline, bytes)))
    }
}
