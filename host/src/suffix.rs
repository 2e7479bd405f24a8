//! The files beside a database have its name with more behind it.

use std::path::{Path, PathBuf};

/// `path` with more behind its last letter.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
