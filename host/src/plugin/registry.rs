//! Finds the plugins of a project: the `.wasm` files of its plugins folders.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::{self, Manifest};
use super::{Builtin, COMMAND, Origin, Plugin};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// A file of a plugins folder, read and not compiled.
pub struct Found {
    /// The plugin's name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// What it says about itself.
    pub manifest: Manifest,
    bytes: Vec<u8>,
}

/// Every plugin file of the project, sorted by name within each folder. A plugin
/// that cannot be used is in the list as the error that says so.
#[must_use]
pub fn scan(context: &Context) -> Vec<Result<Found>> {
    let mut found = Vec::new();
    for folder in &context.project.plugins().path {
        match files(folder) {
            Ok(files) => found.extend(files.into_iter().map(|file| read(&file))),
            Err(error) => found.push(Err(error)),
        }
    }
    let mut names = std::collections::BTreeMap::new();
    for one in &mut found {
        let Ok(plugin) = one else { continue };
        if let Some(first) = names.insert(plugin.name.clone(), plugin.path.clone()) {
            *one = Err(Error::new(Exit::Plugin, format!("two plugins are named {}", plugin.name))
                .cause(first.display())
                .cause(plugin.path.display())
                .hint("rename one of them, or remove it"));
        }
    }
    found
}

/// The files of one folder; a missing folder has none.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let unusable = |error: &dyn std::fmt::Display| {
        Error::new(Exit::Plugin, format!("cannot read the plugins folder {}", folder.display()))
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
    let metadata = std::fs::metadata(folder).map_err(|error| unusable(&error))?;
    let me = rustix::process::geteuid().as_raw();
    if metadata.mode() & 0o002 != 0 || (metadata.uid() != me && metadata.uid() != 0) {
        return Err(Error::new(
            Exit::Plugin,
            format!("the plugins folder {} can be changed by others", folder.display()),
        )
        .cause("a plugin runs beside production credentials")
        .hint(format!("make it yours alone: chown {me} {0} && chmod o-w {0}", folder.display())));
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<Found> {
    let place = path.display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|error| Error::new(Exit::Plugin, format!("cannot read {place}")).cause(error))?;
    let beside = path.with_extension("yml");
    let manifest = match manifest::read(&bytes, &place)? {
        Some(manifest) => manifest,
        None => match std::fs::read_to_string(&beside) {
            Ok(yaml) => manifest::parse(&yaml, &beside.display().to_string())?,
            Err(_none) => Manifest::default(),
        },
    };
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("plugin");
    let name = manifest.name.clone().unwrap_or_else(|| stem.to_owned());
    Ok(Found { name, path: path.to_owned(), manifest, bytes })
}

impl Found {
    /// Compiles and links it.
    pub fn load(self, context: &Context) -> Result<Arc<Plugin>> {
        let origin = Origin::File(self.path);
        let plugin = Plugin::load(context, self.name, &self.bytes, self.manifest, origin)?;
        if plugin.exports(COMMAND) && !plugin.setting.override_ && is_taken(&plugin.name) {
            return Err(Error::new(
                Exit::Plugin,
                format!("the plugin {} takes the name of a command of lsrun", plugin.name),
            )
            .hint(format!(
                "rename it, or write plugins: {{settings: {{{}: {{override: true}}}}}} in lsrun.yml",
                plugin.name
            )));
        }
        Ok(Arc::new(plugin))
    }
}

/// Whether lsrun or Litestream has a command of this name.
#[must_use]
pub fn is_taken(name: &str) -> bool {
    Builtin::named(name).is_some() || crate::cli::is_own(name)
}
