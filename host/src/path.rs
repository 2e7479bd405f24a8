//! Paths: absolute ones from what a user wrote, and those of the files beside a database.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use crate::environment::Environment;

/// `~/x` with the home folder put in; everything else as it is.
pub(crate) fn expand_home(text: &str, environment: &Environment) -> PathBuf {
    match (text.strip_prefix("~/"), environment.get("HOME")) {
        (Some(rest), Some(home)) => Path::new(home).join(rest),
        _ => PathBuf::from(text),
    }
}

/// `path`, resolved against `base` when it is relative, without `.` and `..`.
///
/// Litestream cleans paths by their text alone, and knows a database by the
/// cleaned path only; so does this, except that the folder before a `..` is
/// resolved first when it is there, because it may be a symbolic link.
pub(crate) fn absolute(base: &Path, path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in base.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                if clean.is_symlink()
                    && let Ok(real) = clean.canonicalize()
                {
                    clean = real;
                }
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}

/// Equal for two paths of the same file, also when the file does not exist yet:
/// symbolic links are resolved as far as the path exists.
pub(crate) fn identity(path: &Path) -> PathBuf {
    #[cfg(test)]
    ASKED.with(|asked| asked.set(asked.get() + 1));
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => identity(parent).join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
thread_local! {
    /// How often [`identity`] was asked for: each time costs several system calls.
    pub(crate) static ASKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// [`identity`] of many paths: their folders are resolved once.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    folders: HashMap<PathBuf, PathBuf>,
}

impl Identities {
    /// What [`identity`] gives.
    pub(crate) fn of(&mut self, path: &Path) -> PathBuf {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return identity(path);
        };
        if path.is_symlink() {
            return identity(path);
        }
        if let Some(folder) = self.folders.get(parent) {
            return folder.join(name);
        }
        let folder = identity(parent);
        let whole = folder.join(name);
        self.folders.insert(parent.to_owned(), folder);
        whole
    }
}

/// A file that SQLite keeps beside a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sidecar {
    /// The write-ahead log.
    Wal,
    /// The index of the write-ahead log, in which its locks are.
    Shm,
    /// The rollback journal.
    Journal,
}

impl Sidecar {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Wal, Self::Shm, Self::Journal];

    /// What its name adds to that of the database.
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Wal => "-wal",
            Self::Shm => "-shm",
            Self::Journal => "-journal",
        }
    }

    /// That of `database`.
    pub(crate) fn of(self, database: &Path) -> PathBuf {
        with_suffix(database, self.suffix())
    }
}

/// `path` with more after its last letter.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Identities, absolute, expand_home, identity};
    use crate::environment::Environment;

    #[test]
    fn dots_are_cleaned() {
        let base = Path::new("/srv/app");
        assert_eq!(absolute(base, Path::new("./db")), PathBuf::from("/srv/app/db"));
        assert_eq!(absolute(base, Path::new("../x/./db")), PathBuf::from("/srv/x/db"));
        assert_eq!(absolute(base, Path::new("/a//b/")), PathBuf::from("/a/b"));
    }

    #[test]
    fn a_link_is_followed_before_a_parent_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("real/deep")).unwrap();
        std::os::unix::fs::symlink(root.join("real/deep"), root.join("link")).unwrap();
        assert_eq!(absolute(&root, Path::new("link/../db")), root.join("real/db"));
        std::os::unix::fs::symlink("deep/x.db", root.join("real/x.db")).unwrap();
        let mut many = Identities::default();
        for (path, real) in [
            ("link/new.db", "real/deep/new.db"),
            ("link/other.db", "real/deep/other.db"),
            ("real/x.db", "real/x.db"),
            ("link", "real/deep"),
            ("gone/x.db", "gone/x.db"),
        ] {
            assert_eq!(identity(&root.join(path)), root.join(real));
            assert_eq!(many.of(&root.join(path)), root.join(real));
        }
    }

    #[test]
    fn home_is_put_in_for_a_leading_tilde_only() {
        let environment = Environment::from_iter([("HOME", "/home/me")]);
        assert_eq!(expand_home("~/db", &environment), PathBuf::from("/home/me/db"));
        assert_eq!(expand_home("a/~/db", &environment), PathBuf::from("a/~/db"));
        assert_eq!(expand_home("~x", &environment), PathBuf::from("~x"));
    }
}
