//! Finds the plugins of a project: the `.wasm` files of its plugins folders.

use std::collections::BTreeSet;
use std::io::{BufReader, Cursor};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::{self, Manifest};
use super::offer::Offer;
use super::outline::Outline;
use super::{Builtin, CHECK, COMMAND, Plugin, names};
use crate::code::Code;
use crate::context::Context;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::trust::{Distrust, Trust};

/// The largest component that is read, and the largest manifest beside one, in bytes.
pub(super) const MOST: u64 = 256 << 20;
pub(super) const MOST_MANIFEST: u64 = 1 << 20;

/// A file of a plugins folder: what it is, without its code.
pub(crate) struct PluginFile {
    /// The plugin's name: its file's stem.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// What it says about itself.
    pub manifest: Manifest,
    /// What it is, imports and exports.
    pub outline: Outline,
    /// There is a manifest beside it that nobody reads.
    pub manifest_beside_is_ignored: bool,
    trust: Trust,
}

/// A file that cannot be used.
pub(crate) struct Unusable {
    /// The name that the plugin would have, by its file; none for a folder.
    pub name: Option<String>,
    /// Why.
    pub error: Error,
}

/// Every plugin file of the project, sorted by name within each folder. A plugin
/// that cannot be used is in the list as the error that says so.
#[must_use]
pub(crate) fn scan(context: &Context) -> Vec<Result<PluginFile, Unusable>> {
    let mut found = Vec::new();
    let trust = context.project.trust();
    for folder in &context.project.plugins().path {
        match PluginsFolder::open(folder, &trust) {
            Ok(None) => {}
            Ok(Some(folder)) => found.extend(folder.components().map(|file| {
                folder
                    .read(file, &trust)
                    .map_err(|error| Unusable { name: Some(stem(file)), error })
            })),
            Err(error) => found.push(Err(Unusable { name: None, error })),
        }
    }
    let mut names = std::collections::BTreeMap::new();
    for one in &mut found {
        let Ok(plugin) = one else { continue };
        if let Some(first) = names.insert(plugin.name.clone(), plugin.path.clone()) {
            let error =
                Error::new(Code::UnusablePlugin, format!("two plugins are named {}", plugin.name))
                    .cause(first.display())
                    .cause(plugin.path.display())
                    .hint("rename one of them, or remove it");
            *one = Err(Unusable { name: Some(plugin.name.clone()), error });
        }
    }
    found
}

/// The names of the plugins, by their files: nothing of them is read.
#[must_use]
pub(crate) fn names(context: &Context) -> Vec<String> {
    let folders = context.project.plugins().path.iter();
    let entries = folders.filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(|path| is_component(path))
        .map(|it| stem(&it))
        .collect();
    names.sort();
    names
}

fn is_component(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wasm")
}

/// A plugins folder that is trusted, open.
struct PluginsFolder {
    opened: OwnedFd,
    /// Everything in it, sorted.
    entries: BTreeSet<PathBuf>,
}

impl PluginsFolder {
    /// None if it is missing, or has no component.
    fn open(folder: &Path, trust: &Trust) -> Result<Option<Self>> {
        let unusable = |error: &dyn std::fmt::Display| {
            Error::new(
                Code::UnusablePlugin,
                format!("cannot read the plugins folder {}", folder.display()),
            )
            .cause(error)
        };
        let listed = match std::fs::read_dir(folder) {
            Ok(listed) => listed,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(&error)),
        };
        let mut entries = BTreeSet::new();
        for entry in listed {
            entries.insert(entry.map_err(|error| unusable(&error))?.path());
        }
        if !entries.iter().any(|path| is_component(path)) {
            return Ok(None);
        }
        let opened = trust.folder(folder).map_err(|distrust| {
            distrusted(&format!("the plugins folder {}", folder.display()), &distrust)
        })?;
        Ok(Some(Self { opened, entries }))
    }

    fn components(&self) -> impl Iterator<Item = &PathBuf> {
        self.entries.iter().filter(|path| is_component(path))
    }

    /// What a component is, without its code.
    fn read(&self, path: &Path, trust: &Trust) -> Result<PluginFile> {
        let place = path.display().to_string();
        let refused = |distrust| distrusted(&format!("the plugin {place}"), &distrust);
        let file = trust.file_in(&self.opened, path).map_err(refused)?;
        let size = file.metadata().map(|metadata| metadata.len()).unwrap_or_default();
        if size > MOST {
            return Err(refused(Distrust::TooLarge { path: path.to_owned(), most: MOST }));
        }
        let outline = Outline::of(&mut BufReader::new(file), &place)?;
        let beside = path.with_extension("yml");
        let has_beside = self.entries.contains(&beside);
        let (manifest, manifest_beside_is_ignored) = match manifest::of(&outline, &place)? {
            Some(manifest) => (manifest, has_beside),
            None if has_beside => {
                let yaml = trust
                    .read_in(&self.opened, &beside, MOST_MANIFEST)
                    .map_err(|it| distrusted(&format!("the manifest {}", beside.display()), &it))?;
                let yaml = String::from_utf8_lossy(&yaml);
                (manifest::parse(&yaml, &beside.display().to_string())?, false)
            }
            None => (Manifest::default(), false),
        };
        PluginFile::new(path, manifest, outline, manifest_beside_is_ignored, trust)
    }
}

/// A file's name without its ending.
fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

fn distrusted(what: &str, distrust: &Distrust) -> Error {
    let message = if distrust.is_about_others() {
        format!("{what} can be changed by others")
    } else {
        format!("{what} cannot be used")
    };
    distrust.error(Code::UnusablePlugin, message)
}

impl PluginFile {
    /// A file at `path`, whose name is the plugin's. Fails for a name that cannot be.
    pub(super) fn new(
        path: &Path,
        manifest: Manifest,
        outline: Outline,
        manifest_beside_is_ignored: bool,
        trust: &Trust,
    ) -> Result<Self> {
        // Not the name that the file gives itself: what the project file grants belongs to
        // the file that the user has named so.
        let name = stem(path);
        let shown = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let shown = shown.unwrap_or_default();
        names::check(&name, &shown).map_err(|error| error.hint("rename the file"))?;
        if let Some(own) = &manifest.name {
            names::check(own, &shown).map_err(|error| {
                error.hint("write the name of the file in its manifest, or no name")
            })?;
        }
        let (path, trust) = (path.to_owned(), trust.clone());
        let mut found = Self { name, path, manifest, outline, manifest_beside_is_ignored, trust };
        found.only_verify_speaks_as_verify();
        Ok(found)
    }

    /// Whether it exports this interface.
    #[must_use]
    pub(crate) fn is(&self, interface: &str) -> bool {
        self.outline.exports(interface)
    }

    /// The component itself, and its SHA-256.
    ///
    /// Fails if it is another one than was found.
    pub(super) fn read(&self) -> Result<(Vec<u8>, Digest)> {
        let place = self.path.display().to_string();
        let bytes = self
            .trust
            .read(&self.path, MOST)
            .map_err(|distrust| distrusted(&format!("the plugin {place}"), &distrust))?;
        if Outline::of(&mut Cursor::new(&bytes), &place)? != self.outline {
            let message = format!("{place} was exchanged while lsrun read it");
            return Err(Error::new(Code::UnusablePlugin, message).hint("run the command again"));
        }
        let digest = Digest::of_bytes(&bytes);
        Ok((bytes, digest))
    }

    /// Whether it is called by its name.
    #[must_use]
    pub(crate) fn is_command(&self) -> bool {
        self.is(COMMAND) || self.manifest.command.is_some()
    }

    /// A plugin in place of `verify` keeps no results under its name.
    fn only_verify_speaks_as_verify(&mut self) {
        if Builtin::named(&self.name).is_some()
            && let Some(command) = &mut self.manifest.command
        {
            command.records = false;
        }
    }

    /// Fails if its name is that of a check of lsrun, or that of a command whose
    /// place the project file does not let it take.
    pub(super) fn refuse_taken(&self, context: &Context) -> Result<()> {
        let name = &self.name;
        let instead = context.project.plugins().setting(name).override_ && self.is(COMMAND);
        let as_command = names::is_command(name) && !instead;
        let as_check = names::is_check(name) && (!instead || self.is(CHECK));
        if !as_command && !as_check {
            return Ok(());
        }
        let what = if as_check { "check" } else { "command" };
        let error = Error::new(
            Code::UnusablePlugin,
            format!("the plugin {name} takes the name of a {what} of lsrun"),
        )
        .cause(self.path.display());
        Err(match self.is(COMMAND) && !as_check {
            true => error.hint(format!(
                "rename it, or write plugins: {{settings: {{{name}: {{override: true}}}}}} in lsrun.yml"
            )),
            false => error.hint("rename it"),
        })
    }

    /// Ready to run, as far as that can be known without compiling it: its name, whether
    /// lsrun.lock has it, and whether it fits this lsrun.
    pub(crate) fn load(self, context: &Context, offer: &Arc<Offer>) -> Result<Arc<Plugin>> {
        self.refuse_taken(context)?;
        let lock = offer.lock(context)?;
        if lock.is_in_use() {
            let (_bytes, digest) = self.read()?;
            let setting = context.project.plugins().setting(&self.name);
            lock.admit(context, &self.name, &digest, &setting.grant)?;
        }
        offer.check(&self.outline, &self.path.display().to_string())?;
        Plugin::of_file(context, Arc::clone(offer), self).map(Arc::new)
    }
}
