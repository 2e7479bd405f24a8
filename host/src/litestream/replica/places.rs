//! Where in the write-ahead log litestream's transactions ended: read from its files
//! beside the database, and remembered while a restore takes longer than litestream
//! keeps them (five minutes unless configured).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::litestream::replica::ltx;
use crate::litestream::replica::txid::Txid;
use crate::ltx::Header;

/// Time between two checks. Shorter than litestream's own, 15 s.
const LOOK: Duration = Duration::from_secs(2);

/// The transactions of one database, from a moment on.
pub(crate) struct Places {
    /// Litestream's state, and the replica where that is a folder.
    folders: Vec<PathBuf>,
    known: Arc<Mutex<BTreeMap<Txid, Header>>>,
    watch: JoinHandle<()>,
}

impl Places {
    /// Remembers those of now and of what comes.
    pub(crate) fn watch(folders: Vec<PathBuf>) -> Self {
        let known = Arc::<Mutex<BTreeMap<_, _>>>::default();
        let (seen, state) = (Arc::clone(&known), folders.first().cloned());
        let watch = tokio::spawn(async move {
            let Some(state) = state else { return };
            loop {
                // Most runs have ended at that point.
                tokio::time::sleep(LOOK).await;
                let (seen, state) = (Arc::clone(&seen), state.clone());
                let look = tokio::task::spawn_blocking(move || remember(&state, &seen));
                let _stopped = look.await;
            }
        });
        Self { folders, known, watch }
    }

    /// Of this transaction and all later ones. Fails with `inconclusive` if one of
    /// them is missing.
    pub(crate) fn from(&self, txid: Txid) -> Result<Vec<Header>> {
        let last = self.folders.first().and_then(|state| ltx::local_txid(state));
        let known = lock(&self.known);
        let header = |txid: Txid| {
            let file = || self.folders.iter().find_map(|folder| ltx::header(folder, txid));
            known.get(&txid).cloned().or_else(file)
        };
        let headers: Vec<_> = (txid.0..).map_while(|number| header(Txid(number))).collect();
        let next = txid.0 + headers.len() as u64;
        if headers.is_empty() || last.is_some_and(|last| next <= last.0) {
            let next = Txid(next);
            return Err(Error::inconclusive(format!(
                "litestream no longer has a file of TXID {next} alone"
            )));
        }
        Ok(headers)
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

fn remember(state: &Path, known: &Mutex<BTreeMap<Txid, Header>>) {
    let after = lock(known).keys().next_back().copied();
    for (txid, file) in ltx::transactions(state) {
        if Some(txid) > after
            && let Some(header) = Header::read(&file)
        {
            lock(known).insert(txid, header);
        }
    }
}

fn lock(known: &Mutex<BTreeMap<Txid, Header>>) -> MutexGuard<'_, BTreeMap<Txid, Header>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, number: u64) -> PathBuf {
        let txid = Txid(number);
        let mut header = vec![0; 100];
        header[..4].copy_from_slice(b"LTX1");
        header[24..32].copy_from_slice(&number.to_be_bytes());
        let level = folder.join("ltx/0");
        std::fs::create_dir_all(&level).unwrap();
        let path = level.join(format!("{txid}-{txid}.ltx"));
        std::fs::write(&path, header).unwrap();
        path
    }

    #[tokio::test]
    async fn all_from_one_on_are_found_or_it_is_said_which_is_missing() {
        let (state, replica) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folders = vec![state.path().to_owned(), replica.path().to_owned()];
        let places = Places::watch(folders.clone());
        let found = |number| -> Result<Vec<u64>> {
            Ok(places.from(Txid(number))?.iter().map(|header| header.max_txid).collect())
        };
        assert!(found(1).is_err());
        let files: Vec<_> = (3..=6).map(|number| file(state.path(), number)).collect();
        assert_eq!(found(4).unwrap(), [4, 5, 6]);
        assert_eq!(found(6).unwrap(), [6]);
        assert!(found(7).is_err());
        assert!(found(2).unwrap_err().one_line().contains("0000000000000002"));
        // The replica may have what the state has no more.
        std::fs::remove_file(&files[1]).unwrap();
        assert!(found(3).unwrap_err().one_line().contains("0000000000000004"));
        file(replica.path(), 4);
        assert_eq!(found(3).unwrap(), [3, 4, 5, 6]);
    }

    #[tokio::test]
    async fn what_was_seen_is_remembered() {
        let state = tempfile::tempdir().unwrap();
        let files: Vec<_> = (3..=4).map(|number| file(state.path(), number)).collect();
        let places = Places::watch(vec![state.path().to_owned()]);
        remember(state.path(), &places.known);
        files.iter().for_each(|file| std::fs::remove_file(file).unwrap());
        file(state.path(), 5);
        remember(state.path(), &places.known);
        assert_eq!(places.from(Txid(3)).unwrap().len(), 3);
    }
}
