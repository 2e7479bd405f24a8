//! Folders of LTX files: a database's local state and file replicas.

use std::path::{Path, PathBuf};

use crate::litestream::replica::txid::Txid;
use crate::ltx::Header;

/// The last transaction in a folder that holds `ltx/0/<min>-<max>.ltx` files:
/// the daemon's local state, or a file replica.
#[must_use]
pub(crate) fn local_txid(folder: &Path) -> Option<Txid> {
    last_transaction(folder).map(|(txid, _file)| txid)
}

/// The last transaction of a folder and its file.
pub(crate) fn last_transaction(folder: &Path) -> Option<(Txid, PathBuf)> {
    transactions(folder).max()
}

/// The file of a transaction in a folder.
pub(crate) fn transaction(folder: &Path, txid: Txid) -> Option<PathBuf> {
    transactions(folder).find(|(other, _file)| *other == txid).map(|(_txid, file)| file)
}

/// The header of the file of only this transaction in a folder.
pub(crate) fn header(folder: &Path, txid: Txid) -> Option<Header> {
    let file = folder.join("ltx").join("0").join(format!("{txid}-{txid}.ltx"));
    Header::read(&file).filter(|header| header.max_txid == txid.0)
}

/// The files of a folder, each with its last transaction.
pub(crate) fn transactions(folder: &Path) -> impl Iterator<Item = (Txid, PathBuf)> {
    let entries = std::fs::read_dir(folder.join("ltx").join("0")).into_iter().flatten();
    entries.flatten().filter_map(|entry| {
        let name = entry.file_name();
        let (_, max) = name.to_str()?.strip_suffix(".ltx")?.split_once('-')?;
        Some((max.parse::<Txid>().ok()?, entry.path()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_transaction_of_a_folder_is_read_from_its_file_names() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(local_txid(folder.path()), None);
        let level = folder.path().join("ltx/0");
        std::fs::create_dir_all(&level).unwrap();
        for name in [
            "0000000000000001-0000000000000009.ltx",
            "000000000000000a-000000000000000a.ltx",
            "000000000000000b-000000000000000b.ltx.tmp",
            "notes.txt",
        ] {
            std::fs::write(level.join(name), "").unwrap();
        }
        assert_eq!(local_txid(folder.path()), Some(Txid(10)));
    }
}
