//! Compiled components, kept so that a guest is compiled once per machine.
//!
//! A file is named by the digest of the component and of the engine's settings,
//! so that it never changes under its name and a file of another lsrun is never
//! found. Compiled code is trusted as it is: it lies in a folder that only this
//! user can write, and is written whole or not at all.

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::cache;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// The component `bytes`, from the cache or compiled now. `name` is for messages.
///
/// A cache that cannot be used costs time and nothing else.
pub(super) fn load(
    engine: &Engine,
    bytes: &[u8],
    name: &str,
    environment: &Environment,
) -> Result<Component> {
    let file = file_for(engine, bytes, environment);
    if let Some(file) = &file
        && let Some(component) = map(engine, file)
    {
        return Ok(component);
    }
    let component = Component::new(engine, bytes).map_err(|error| {
        Error::new(Exit::Plugin, format!("{name} is no component that lsrun can run"))
            .cause(format!("{error:#}"))
            .hint("build it as a component of wit/plugin.wit; a core module is not one")
    })?;
    if let Some(file) = &file
        && let Ok(compiled) = component.serialize()
    {
        let _costs_time_only = cache::write_atomically(file, &compiled, 0o600);
    }
    Ok(component)
}

fn file_for(engine: &Engine, bytes: &[u8], environment: &Environment) -> Option<PathBuf> {
    let folder = cache::root(environment).ok()?.join("compiled");
    cache::ensure_private(&folder).ok()?;
    let mut settings = Settings(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut settings);
    let mut digest = settings.0;
    digest.update(Sha256::digest(bytes));
    let name = digest.finalize().iter().fold(String::new(), |mut name, byte| {
        use std::fmt::Write;
        let _infallible = write!(name, "{byte:02x}");
        name
    });
    Some(folder.join(format!("{name}.cwasm")))
}

#[expect(unsafe_code, reason = "compiled code is mapped from the private cache")]
fn map(engine: &Engine, file: &Path) -> Option<Component> {
    if !file.exists() {
        return None;
    }
    // SAFETY: the folder was made, and found, writable by this user alone; files
    // in it are written whole under a name made from their content's source.
    match unsafe { Component::deserialize_file(engine, file) } {
        Ok(component) => Some(component),
        Err(_broken) => {
            let _replaced_next = std::fs::remove_file(file);
            None
        }
    }
}

/// Feeds what is hashed to SHA-256: the standard hashers differ between builds.
struct Settings(Sha256);

impl Hasher for Settings {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}
