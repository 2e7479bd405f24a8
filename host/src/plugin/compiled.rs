//! Compiled components, kept so that a guest is compiled once per machine.
//!
//! A file is named by the digest of the component and of the engine's settings, so
//! that it never changes under its name and a file of another lsrun is never found.
//! Compiled code is run unchecked: it is read once, from a folder that only this user
//! can write, through the descriptor that was checked, and only if a digest over its
//! name and its content shows that it is what was written. Otherwise the component is
//! compiled again. Old files are removed, and so are those over the limit.

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use wasmparser::{Validator, WasmFeatures};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::cache;
use crate::code::Code;
use crate::digest::{Digest, hex};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::figures;
use crate::trust::Trust;

/// What a file begins with; the digest and the code follow.
const MAGIC: &[u8; 16] = b"lsrun compiled 1";
/// The largest file that is read, in bytes.
const MOST_FILE: u64 = 256 << 20;
/// What all files together may have, in bytes, and how long one is kept unused.
const MOST_ALL: u64 = 256 << 20;
const UNUSED: Duration = Duration::from_secs(30 * 86_400);
/// How exactly it is kept when a file was used.
const USED: Duration = Duration::from_secs(86_400);

/// From this size, in bytes, it takes long enough to be said: some 10 s for the 12 MB of a
/// JavaScript guest.
const LARGE: usize = 1 << 20;

/// The component `bytes`, from the cache or compiled now. `name` is for messages; `say` is
/// told what takes long.
///
/// A cache that cannot be used costs only time.
pub(super) fn load(
    engine: &Engine,
    bytes: &[u8],
    digest: &Digest,
    name: &str,
    environment: &Environment,
    say: impl Fn(&str),
) -> Result<Component> {
    let file = file_for(engine, digest, environment);
    if let Some(file) = &file
        && let Some(component) = read(engine, file)
    {
        return Ok(component);
    }
    if bytes.len() >= LARGE {
        let size = figures::bytes(bytes.len() as u64);
        say(&format!("compiling {name} ({size}), once on this machine"));
    }
    let component =
        Component::new(engine, bytes).map_err(|error| unusable(name, &format!("{error:#}")))?;
    if let Some(file) = &file
        && let Ok(code) = component.serialize()
    {
        let mut content = Vec::with_capacity(MAGIC.len() + blake3::OUT_LEN + code.len());
        content.extend_from_slice(MAGIC);
        content.extend_from_slice(seal(file, &code).as_bytes());
        content.extend_from_slice(&code);
        let _costs_time_only = cache::write_atomically(file, &content, 0o600);
        prune(file);
    }
    Ok(component)
}

/// Fails if the component `bytes` could not be compiled. It is not: what was compiled before
/// is good, and anything else is validated, which takes milliseconds.
pub(super) fn prove(
    engine: &Engine,
    bytes: &[u8],
    digest: &Digest,
    name: &str,
    environment: &Environment,
) -> Result<()> {
    if file_for(engine, digest, environment).is_some_and(|file| file.exists()) {
        return Ok(());
    }
    let features = WasmFeatures::default();
    let valid = Validator::new_with_features(features).validate_all(bytes);
    valid.map(|_types| ()).map_err(|error| unusable(name, &error))
}

fn unusable(name: &str, why: &dyn std::fmt::Display) -> Error {
    Error::new(Code::UnusablePlugin, format!("{name} is not a component that lsrun can run"))
        .cause(why)
        .hint("build it again, for a world of wit/plugin.wit: it is damaged, or of a kind that lsrun does not run")
}

fn file_for(engine: &Engine, component: &Digest, environment: &Environment) -> Option<PathBuf> {
    let folder = cache::root(environment).ok()?.join("compiled");
    cache::ensure_private(&folder).ok()?;
    let mut settings = Settings(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut settings);
    let mut digest = settings.0;
    digest.update(component.bytes());
    Some(folder.join(format!("{}.cwasm", hex(&digest.finalize()))))
}

/// Of the name as well: no file can be used for another.
fn seal(file: &Path, code: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(file.file_name().unwrap_or_default().as_encoded_bytes());
    hasher.update(code);
    hasher.finalize()
}

#[expect(unsafe_code, reason = "compiled code is loaded from the private cache")]
fn read(engine: &Engine, file: &Path) -> Option<Component> {
    let content = match Trust::mine().read(file, MOST_FILE) {
        Ok(content) => content,
        Err(distrust) => {
            if !distrust.is_missing() {
                let _written_again = std::fs::remove_file(file);
            }
            return None;
        }
    };
    let code = content.strip_prefix(MAGIC).and_then(|rest| {
        let (expected, code) = rest.split_at_checked(blake3::OUT_LEN)?;
        (seal(file, code).as_bytes() == expected).then_some(code)
    });
    // SAFETY: these bytes were read once, from a file that only this user can write,
    // and are those that `load` wrote: their digest says so.
    let component = code.and_then(|code| unsafe { Component::deserialize(engine, code) }.ok());
    match &component {
        Some(_) => used(file),
        None => {
            let _written_again = std::fs::remove_file(file);
        }
    }
    component
}

/// Notes, at most once a day, that the file is in use.
fn used(file: &Path) {
    let age = |file: &Path| std::fs::metadata(file).ok()?.modified().ok()?.elapsed().ok();
    if age(file).is_some_and(|age| age > USED)
        && let Ok(file) = std::fs::OpenOptions::new().append(true).open(file)
    {
        let _looks_unused = file.set_modified(SystemTime::now());
    }
}

/// Removes what nobody has used for long, and the oldest of what is too much; never
/// `new`, which was just written.
fn prune(new: &Path) {
    let Some(entries) = new.parent().and_then(|folder| std::fs::read_dir(folder).ok()) else {
        return;
    };
    let mut files: Vec<(Duration, u64, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            let age = metadata.modified().ok()?.elapsed().unwrap_or_default();
            (metadata.is_file() && entry.path() != new).then(|| (age, metadata.len(), entry.path()))
        })
        .collect();
    files.sort();
    let mut total = std::fs::metadata(new).map(|metadata| metadata.len()).unwrap_or_default();
    for (age, bytes, path) in files {
        // A temporary file is one that is being written, or what a killed process left.
        let whole = path.extension().is_some_and(|extension| extension == "cwasm");
        let limit = if whole { UNUSED } else { USED };
        if age > limit || (whole && total + bytes > MOST_ALL) {
            let _next_time = std::fs::remove_file(path);
        } else {
            total += bytes;
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    struct Bench {
        engine: Engine,
        folder: tempfile::TempDir,
        environment: Environment,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let cache = folder.path().join("cache").display().to_string();
            let engine = crate::plugin::engine::start().unwrap();
            Self {
                engine,
                folder,
                environment: Environment::from_iter([("LSRUN_CACHE_DIR", cache)]),
            }
        }

        fn load(&self) {
            load(
                &self.engine,
                EMPTY,
                &Digest::of_bytes(EMPTY),
                "x",
                &self.environment,
                |_large| {},
            )
            .unwrap();
        }

        fn file(&self) -> PathBuf {
            file_for(&self.engine, &Digest::of_bytes(EMPTY), &self.environment).unwrap()
        }

        fn age(&self, path: &Path, days: u64) {
            let then = SystemTime::now() - Duration::from_secs(days * 86_400);
            File::options().append(true).open(path).unwrap().set_modified(then).unwrap();
        }
    }

    #[test]
    fn what_is_not_what_was_written_is_compiled_again() {
        let bench = Bench::new();
        bench.load();
        let good = std::fs::read(bench.file()).unwrap();
        // Every part of it, and a file of another name in its place.
        let flipped = |at: usize| {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            bytes
        };
        let last = good.len() - 1;
        let half = good[..good.len() / 2].to_vec();
        for bad in [flipped(0), flipped(20), flipped(60), flipped(last), half, Vec::new()] {
            std::fs::write(bench.file(), &bad).unwrap();
            assert!(read(&bench.engine, &bench.file()).is_none());
            bench.load();
            assert_eq!(std::fs::read(bench.file()).unwrap(), good);
        }
        let other = bench.file().with_file_name("other.cwasm");
        std::fs::write(&other, &good).unwrap();
        assert!(read(&bench.engine, &other).is_none());
    }

    #[test]
    fn a_file_or_a_folder_that_others_may_write_is_not_used() {
        let bench = Bench::new();
        bench.load();
        let mode = |path: &Path, mode: u32| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(&bench.file(), 0o666);
        assert!(read(&bench.engine, &bench.file()).is_none());
        bench.load();
        let file = bench.file();
        // A folder above the cache.
        mode(bench.folder.path(), 0o777);
        assert!(file_for(&bench.engine, &Digest::of_bytes(EMPTY), &bench.environment).is_none());
        assert!(read(&bench.engine, &file).is_none());
        bench.load();
        mode(bench.folder.path(), 0o700);
    }

    #[test]
    fn what_is_old_or_too_much_goes() {
        let bench = Bench::new();
        bench.load();
        let beside = |name: &str, bytes: u64, days: u64| {
            let path = bench.file().with_file_name(name);
            File::create(&path).unwrap().set_len(bytes).unwrap();
            bench.age(&path, days);
            path
        };
        let old = beside("old.cwasm", 1, 31);
        let left = beside(".new-x", 1, 2);
        let second = beside("second.cwasm", 200 << 20, 2);
        let third = beside("third.cwasm", 200 << 20, 3);
        prune(&bench.file());
        assert!(!old.exists() && !left.exists() && second.exists() && !third.exists());
        // What is used stays.
        bench.age(&bench.file(), 20);
        bench.load();
        let age = std::fs::metadata(bench.file()).unwrap().modified().unwrap().elapsed().unwrap();
        assert!(age < USED, "{age:?}");
    }
}
