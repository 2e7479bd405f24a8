//! The identity of a file, whatever its current name.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Device and number of a file.
pub(super) type Identity = (u64, u64);

/// None if there is no file.
pub(super) fn identity(path: &Path) -> Option<Identity> {
    std::fs::metadata(path).ok().map(|metadata| of(&metadata))
}

pub(super) fn of(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}
