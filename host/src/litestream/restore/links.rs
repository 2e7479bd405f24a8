//! Which file a target is when there are links on the way to it.
//!
//! A link of this user or of root is followed. A link that another user has made is
//! followed only to that user's own files.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use crate::code::Code;
use crate::error::{Error, Result};
use crate::litestream::restore::refusal::io;

/// As many as Linux follows.
const MOST: usize = 40;

/// The absolute path without links that a target has; what is missing stays as it is
/// written.
///
/// Fails for a link of another user's that leads to a file which is not theirs.
pub(crate) fn locate(given: &Path) -> Result<PathBuf> {
    let failed = |error: std::io::Error| io("find", given, &error);
    let given = &std::path::absolute(given).map_err(failed)?;
    let me = rustix::process::geteuid().as_raw();
    let mut found = PathBuf::from("/");
    let mut rest: VecDeque<OsString> = steps(given).collect();
    let (mut followed, mut maker) = (0, None);
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            found.pop();
            continue;
        }
        let path = found.join(&name);
        let Some((link, to)) = read(&path).map_err(failed)? else {
            found = path;
            continue;
        };
        followed += 1;
        if followed > MOST {
            return Err(failed(std::io::Error::other("too many links")));
        }
        if ![0, me].contains(&link.uid()) {
            maker = Some((path, link.uid()));
        }
        if to.is_absolute() {
            found = PathBuf::from("/");
        }
        for step in steps(&to).collect::<Vec<_>>().into_iter().rev() {
            rest.push_front(step);
        }
    }
    match maker {
        Some((link, user)) if owner(&found) != Some(user) => {
            Err(Error::new(Code::Io, format!("{} is not followed", link.display()))
                .cause(format!(
                    "it is a link of user {user}, to a file that is not theirs: {}",
                    found.display()
                ))
                .hint("name the file itself: in lsrun.yml, or with -o"))
        }
        _ => Ok(found),
    }
}

/// The names on a path, from the outermost.
fn steps(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// Who owns the file, or the first folder above it that is there.
fn owner(path: &Path) -> Option<u32> {
    let first = path.ancestors().find_map(|it| std::fs::symlink_metadata(it).ok());
    first.map(|it| it.uid())
}

/// A link and where it leads; none for what is not a link.
#[cfg(target_os = "linux")]
fn read(path: &Path) -> std::io::Result<Option<(Metadata, PathBuf)>> {
    use std::os::unix::ffi::OsStringExt;

    use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // Its owner and its target are those of one link, whatever has the name meanwhile.
    let link = match openat(CWD, path, flags, Mode::empty()) {
        Ok(link) => std::fs::File::from(link),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let metadata = link.metadata()?;
    if !metadata.is_symlink() {
        return Ok(None);
    }
    let to = readlinkat(&link, "", Vec::new())?;
    Ok(Some((metadata, OsString::from_vec(to.into_bytes()).into())))
}

#[cfg(not(target_os = "linux"))]
fn read(path: &Path) -> std::io::Result<Option<(Metadata, PathBuf)>> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_symlink() => Ok(Some((metadata, std::fs::read_link(path)?))),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_also_to_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let folder = std::fs::canonicalize(folder.path()).unwrap();
        std::fs::create_dir(folder.join("real")).unwrap();
        std::fs::write(folder.join("real/db"), "").unwrap();
        symlink("real", folder.join("data")).unwrap();
        symlink("../real/db", folder.join("real/relative")).unwrap();
        symlink(folder.join("real/gone"), folder.join("lost")).unwrap();
        symlink("loop", folder.join("loop")).unwrap();
        for (given, wanted) in [
            ("real/db", "real/db"),
            ("data/db", "real/db"),
            ("data/relative", "real/db"),
            ("lost", "real/gone"),
            ("data/../data/new/copy", "real/new/copy"),
        ] {
            assert_eq!(locate(&folder.join(given)).unwrap(), folder.join(wanted), "{given}");
        }
        assert!(locate(&folder.join("loop")).is_err());
    }

    #[test]
    fn a_link_of_somebody_else_leads_to_their_files_only() {
        let folder = tempfile::tempdir().unwrap();
        let folder = std::fs::canonicalize(folder.path()).unwrap();
        for name in ["own", "theirs"] {
            std::fs::write(folder.join(name), "").unwrap();
            symlink(name, folder.join(format!("to-{name}"))).unwrap();
        }
        let chown = |name: &str| std::os::unix::fs::lchown(folder.join(name), Some(47_113), None);
        if ["theirs", "to-own", "to-theirs"].map(chown).iter().any(Result::is_err) {
            // Only root can make a link that belongs to another user.
            assert!(!rustix::process::geteuid().is_root());
            assert_eq!(locate(&folder.join("to-own")).unwrap(), folder.join("own"));
            return;
        }
        assert_eq!(locate(&folder.join("to-theirs")).unwrap(), folder.join("theirs"));
        let error = locate(&folder.join("to-own")).unwrap_err();
        assert!(error.one_line().contains("a link of user 47113"), "{error:?}");
    }
}
