//! Finds the plugins of a project: the `.wasm` files of its plugins folders.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use wasmtime::Engine;

use super::manifest::{self, Manifest};
use super::{Builtin, CHECK, COMMAND, Origin, Plugin, names};
use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::trust::{Distrust, Trust};

/// The largest component that is read, and the largest manifest beside one, in bytes.
const MOST: u64 = 256 << 20;
const MOST_MANIFEST: u64 = 1 << 20;

/// A file of a plugins folder, read and not compiled.
pub(crate) struct PluginFile {
    /// The plugin's name: its file's stem.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// What it says about itself.
    pub manifest: Manifest,
    /// What it exports, such as `lsrun:plugin/check@0.1.0`; none if it is no
    /// component.
    pub exports: Option<Vec<String>>,
    /// Its manifest is in the component.
    has_section: bool,
    bytes: Vec<u8>,
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
        match files(folder, &trust) {
            Ok(files) => found.extend(files.into_iter().map(|file| {
                read(&file, &trust).map_err(|error| Unusable { name: Some(stem(&file)), error })
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

/// The files of one folder; a missing folder has none.
fn files(folder: &Path, trust: &Trust) -> Result<Vec<PathBuf>> {
    let unusable = |error: &dyn std::fmt::Display| {
        Error::new(
            Code::UnusablePlugin,
            format!("cannot read the plugins folder {}", folder.display()),
        )
        .cause(error)
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unusable(&error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unusable(&error))?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Ok(files);
    }
    if let Err(distrust) = trust.folder(folder) {
        return Err(distrusted(&format!("the plugins folder {}", folder.display()), &distrust));
    }
    files.sort();
    Ok(files)
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

fn read(path: &Path, trust: &Trust) -> Result<PluginFile> {
    let place = path.display().to_string();
    let bytes = trust
        .read(path, MOST)
        .map_err(|distrust| distrusted(&format!("the plugin {place}"), &distrust))?;
    let beside = path.with_extension("yml");
    let section = manifest::read(&bytes, &place)?;
    let has_section = section.is_some();
    let manifest = match section {
        Some(manifest) => manifest,
        None => match trust.read(&beside, MOST_MANIFEST) {
            Ok(yaml) => {
                manifest::parse(&String::from_utf8_lossy(&yaml), &beside.display().to_string())?
            }
            Err(distrust) if distrust.is_missing() => Manifest::default(),
            Err(distrust) => {
                return Err(distrusted(&format!("the manifest {}", beside.display()), &distrust));
            }
        },
    };
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
    let exports = manifest::exports(&bytes, &place)?;
    let mut found =
        PluginFile { name, path: path.to_owned(), manifest, exports, has_section, bytes };
    found.only_verify_speaks_as_verify();
    Ok(found)
}

impl PluginFile {
    /// Whether it exports this interface.
    #[must_use]
    pub(crate) fn is(&self, interface: &str) -> bool {
        // 0.1.1 is 0.1.0 with more, as wasmtime reads it.
        let series = |name: &str| name.rsplit_once('.').map(|(series, _patch)| series.to_owned());
        let series_of = series(interface);
        self.exports.iter().flatten().any(|export| series(export) == series_of)
    }

    /// The component itself.
    #[must_use]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether it is called by its name.
    #[must_use]
    pub(crate) fn is_command(&self) -> bool {
        self.is(COMMAND) || self.manifest.command.is_some()
    }

    /// Whether there is a manifest beside it that nobody reads.
    #[must_use]
    pub(super) fn manifest_beside_is_ignored(&self) -> bool {
        self.has_section && self.path.with_extension("yml").exists()
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

    /// Compiles and links it.
    pub(crate) fn load(self, context: &Context, engine: &Engine) -> Result<Arc<Plugin>> {
        self.refuse_taken(context)?;
        let origin = Origin::File(self.path);
        Plugin::load(context, engine, self.name, &self.bytes, self.manifest, origin).map(Arc::new)
    }
}
