//! The databases that a restore has replaced: their names, how many are kept, and
//! what a killed restore has left behind.

use std::path::{Path, PathBuf};

use crate::path::{Sidecar, with_suffix};

/// What separates a database's name from the time in that of a kept one.
const KEPT: &str = ".before-restore-";

/// `20260131T120000.000Z`
const TIME_LENGTH: usize = 20;

const TIME: &str = "%Y%m%dT%H%M%S%.3fZ";

const MILLISECOND: jiff::SignedDuration = jiff::SignedDuration::from_millis(1);

/// A kept copy that is being written.
const PART: &str = ".part";

/// The name under which the database at `target` is kept: that of the
/// present time, and after all others even if the clock went back.
pub(crate) fn name(target: &Path) -> PathBuf {
    let prefix = with_suffix(target, KEPT);
    let last = all(target).pop().and_then(|last| {
        let time = last.to_str()?.strip_prefix(prefix.to_str()?)?.strip_suffix('Z')?;
        let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S%.f", time).ok()?;
        jiff::tz::TimeZone::UTC.to_timestamp(time).ok()?.checked_add(MILLISECOND).ok()
    });
    let time = last.map_or_else(jiff::Timestamp::now, |last| last.max(jiff::Timestamp::now()));
    with_suffix(target, &format!("{KEPT}{}", time.strftime(TIME)))
}

/// The name of a kept database until it is whole.
pub(crate) fn part(kept: &Path) -> PathBuf {
    with_suffix(kept, PART)
}

/// The kept databases, oldest first.
pub(crate) fn all(target: &Path) -> Vec<PathBuf> {
    beside(target, |time| time.len() == TIME_LENGTH && time.ends_with('Z'))
}

/// Removes all kept databases but the newest ones, and says which; the newest is
/// never removed. `shown` is the target as people know it.
pub(crate) fn retain(target: &Path, shown: &Path, keep: u32) -> Vec<String> {
    let kept = all(target);
    let keep = usize::try_from(keep).unwrap_or(usize::MAX).max(1);
    let mut notes = Vec::new();
    for old in kept.iter().take(kept.len().saturating_sub(keep)) {
        if std::fs::remove_file(old).is_ok() {
            let old = as_shown(old, shown);
            notes.push(format!("removed {} (restore.keep: {keep})", old.display()));
        }
        for sidecar in Sidecar::ALL {
            let _mostly_missing = std::fs::remove_file(sidecar.of(old));
        }
    }
    notes
}

/// Undoes what a restore that was killed has begun, and says so. `shown` is the target
/// as people know it.
pub(crate) fn tidy(target: &Path, shown: &Path) -> Vec<String> {
    let mut notes = Vec::new();
    let inode = identity(target);
    for path in all(target) {
        // The second name was given, and the database not replaced.
        if identity(&path) != inode || inode.is_none() {
            continue;
        }
        let _stay = move_sidecars(&path, target);
        if std::fs::remove_file(&path).is_ok() {
            notes.push(format!(
                "an earlier restore was cut off before it replaced the database; removed {}",
                as_shown(&path, shown).display()
            ));
        }
    }
    for path in beside(target, |rest| rest.ends_with(PART)) {
        if std::fs::remove_file(&path).is_ok() {
            notes.push(format!(
                "an earlier restore was cut off while it kept the database; removed {}",
                as_shown(&path, shown).display()
            ));
        }
    }
    notes
}

/// A file of the target's folder as people know it.
fn as_shown(path: &Path, target: &Path) -> PathBuf {
    target.with_file_name(path.file_name().unwrap_or_default())
}

/// The device and inode of what has a name itself, not of what a link leads to.
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::symlink_metadata(path).ok().map(|it| (it.dev(), it.ino()))
}

/// The files beside the target that have its name, [`KEPT`], and a fitting rest.
fn beside(target: &Path, fits: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Some(folder) = target.parent() else { return Vec::new() };
    let Some(name) = target.file_name().and_then(std::ffi::OsStr::to_str) else {
        return Vec::new();
    };
    let prefix = format!("{name}{KEPT}");
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            name.to_str().and_then(|name| name.strip_prefix(&prefix)).is_some_and(&fits)
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// Moves the sidecars of one name to the other, which must have none yet.
pub(crate) fn move_sidecars(from: &Path, to: &Path) -> std::io::Result<()> {
    for sidecar in Sidecar::ALL {
        let (from, to) = (sidecar.of(from), sidecar.of(to));
        let is_there = |path: &Path| std::fs::symlink_metadata(path).is_ok();
        if is_there(&from) && !is_there(&to) {
            std::fs::rename(from, to)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_aside_and_not_replaced_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("db.sqlite3");
        std::fs::write(&target, "database").unwrap();
        let kept = name(&target);
        std::fs::hard_link(&target, &kept).unwrap();
        std::fs::write(Sidecar::Wal.of(&kept), "log").unwrap();
        assert_eq!(tidy(&target, &target).len(), 1);
        assert_eq!(std::fs::read(Sidecar::Wal.of(&target)).unwrap(), b"log");
        assert!(!kept.exists() && !Sidecar::Wal.of(&kept).exists());
        assert!(tidy(&target, &target).is_empty());
    }

    #[test]
    fn the_newest_one_has_the_last_name_whatever_the_clock_says() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("db.sqlite3");
        let future = with_suffix(&target, ".before-restore-20990101T000000.999Z");
        std::fs::write(&future, "old").unwrap();
        let newest = name(&target);
        assert_eq!(newest, with_suffix(&target, ".before-restore-20990101T000001.000Z"));
        std::fs::write(&newest, "newest").unwrap();
        assert_eq!(retain(&target, &target, 1).len(), 1);
        assert_eq!(all(&target), [newest]);
    }

    #[test]
    fn a_kept_database_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("db.sqlite3");
        let kept = name(&target);
        std::fs::write(&kept, "old").unwrap();
        assert!(tidy(&target, &target).is_empty(), "there is no database");
        std::fs::write(&target, "new").unwrap();
        std::fs::write(part(&kept), "half").unwrap();
        assert_eq!(tidy(&target, &target).len(), 1);
        assert_eq!(all(&target), [kept]);
    }
}
