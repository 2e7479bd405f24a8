//! Writing `lsrun.lock` again from what is in the plugins folders.

use super::lock::{Lock, LockedPlugin};
use super::registry;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::nearest::nearest;

/// A lock that is to be written, and what changes by that, a line for each.
pub(crate) struct Locking {
    /// The lock.
    pub lock: Lock,
    /// Such as `row-count: new, sha256:…`.
    pub changes: Vec<String>,
}

fn changes(old: &Lock, new: &Lock) -> Vec<String> {
    let gone = old.plugins.keys().filter(|name| !new.plugins.contains_key(*name));
    let mut all: Vec<String> = gone.map(|name| format!("{name}: removed")).collect();
    for (name, one) in &new.plugins {
        let digest = &one.sha256;
        match old.plugins.get(name) {
            None => all.push(format!("{name}: new, sha256:{digest}")),
            Some(before) if before.sha256 != *digest => {
                all.push(format!("{name}: sha256:{digest}, before sha256:{}", before.sha256));
            }
            Some(before) if before.grant != one.grant => {
                let grant = one.grant.join(", ");
                all.push(format!(
                    "{name}: granted [{grant}], before [{}]",
                    before.grant.join(", ")
                ));
            }
            Some(_same) => {}
        }
    }
    all.sort();
    all
}

/// The lock with the plugins `names` as they are now, or with all of them and no others.
///
/// Fails for one that cannot be read, and for a name that no plugin has.
pub(crate) fn renewed(context: &Context, names: &[String]) -> Result<Locking> {
    // One that is wrong is written again.
    let old = match Lock::read(context) {
        Err(_wrong) if names.is_empty() => Lock::default(),
        old => old?.unwrap_or_default(),
    };
    let is_meant = |name: &str| names.is_empty() || names.iter().any(|one| one == name);
    let mut lock = old.clone();
    lock.plugins.retain(|name, _| !is_meant(name));
    let mut known: Vec<String> = old.plugins.keys().cloned().collect();
    for found in registry::scan(context) {
        let found = match found {
            Ok(found) => found,
            Err(unusable) if unusable.name.as_deref().is_none_or(is_meant) => {
                return Err(unusable.error);
            }
            Err(_other) => continue,
        };
        known.push(found.name.clone());
        if !is_meant(&found.name) {
            continue;
        }
        let (_bytes, digest) = found.read()?;
        let before = old.plugins.get(&found.name).filter(|one| one.is_of(&digest));
        let source = before.and_then(|one| one.source.clone());
        let grant = &context.project.plugins().setting(&found.name).grant;
        lock.plugins.insert(found.name.clone(), LockedPlugin::new(&digest, source, grant));
    }
    if let Some(name) = names.iter().find(|name| !known.contains(name)) {
        let error = Error::usage(format!("this project has no plugin {name}"));
        return Err(match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean {near}?")),
            None => error.hint("lsrun plugin list shows all of them"),
        });
    }
    let changes = changes(&old, &lock);
    Ok(Locking { lock, changes })
}

/// Locks a plugin that was added, with where it came from; and all the others, where there
/// was no lock, so that none of them is refused for it.
pub(super) fn lock_added(context: &Context, name: &str, source: String) -> Result<()> {
    let names = match Lock::read(context)? {
        Some(_lock) => vec![name.to_owned()],
        None => Vec::new(),
    };
    let mut lock = renewed(context, &names)?.lock;
    if let Some(one) = lock.plugins.get_mut(name) {
        one.source = Some(source);
    }
    lock.write(context)
}
