use std::path::PathBuf;

use super::*;
use crate::litestream::replica::listing;
use crate::ltx::digest;
use crate::ltx::written::Written;

const SIZE: u32 = 512;
const PLACE: &str = "file replica";

/// A replica in a folder, and what is remembered of it.
struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, level: u8, txids: (u64, u64)) -> PathBuf {
        let level = self.folder.path().join(format!("replica/ltx/{level}"));
        std::fs::create_dir_all(&level).unwrap();
        level.join(format!("{:016x}-{:016x}.ltx", txids.0, txids.1))
    }

    fn write(&self, level: u8, txids: (u64, u64), commit: u32, pages: &[(u32, u8)]) {
        let written = Written { page_size: SIZE, commit, txids, pages: pages.to_vec() };
        std::fs::write(self.file(level, txids), written.bytes()).unwrap();
    }

    fn remove(&self, level: u8, txids: (u64, u64)) {
        std::fs::remove_file(self.file(level, txids)).unwrap();
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state/proof")
    }

    /// Proves it as a run does; whether it was read from nothing comes with it.
    fn prove(&self) -> Result<Proof, FileFault> {
        let store = Store::in_folder(self.folder.path().join("replica"));
        let plan = listing::read(&self.folder.path().join("replica")).plan(Until::Newest).unwrap();
        let (state, reading) = (self.state(), Reading::default());
        let proving = Proving {
            store: &store,
            plan: &plan,
            reading: &reading,
            scratch: self.folder.path(),
            state: Some(&state),
        };
        let known = Known::read(&state, PLACE);
        let proved = match known.map(|known| proving.incremental(&known)).transpose()?.flatten() {
            Some(proved) => proved,
            None => proving.whole()?,
        };
        Ok(proved.remember(Some(&state), PLACE))
    }
}

/// How many files were read, how many known, and what each page is filled with.
#[track_caller]
fn assert_proved(proof: &Proof, files: (u32, u32), contents: &[u8]) {
    assert_eq!((proof.read.files, proof.known.files), files);
    assert_eq!(proof.table.pages as usize, contents.len());
    for (number, content) in (0_u64..).zip(contents) {
        let mut entry = [0; ENTRY];
        let at = proof.table.at + number * ENTRY as u64;
        proof.table.file.read_exact_at(&mut entry, at).unwrap();
        assert_eq!(entry[..16], digest(&vec![*content; SIZE as usize]), "page {}", number + 1);
    }
}

#[test]
fn only_what_is_new_is_read() {
    let folder = Folder::new();
    folder.write(9, (1, 1), 3, &[(1, 1), (2, 2), (3, 3)]);
    assert_proved(&folder.prove().unwrap(), (1, 0), &[1, 2, 3]);
    folder.write(0, (2, 2), 3, &[(2, 20)]);
    folder.write(0, (3, 3), 4, &[(4, 40)]);
    assert_proved(&folder.prove().unwrap(), (2, 1), &[1, 20, 3, 40]);
    let again = folder.prove().unwrap();
    assert_proved(&again, (0, 3), &[1, 20, 3, 40]);
    assert!(again.known_since.is_some() && again.txid == Txid(3));
    // It shrinks, and grows again.
    folder.write(0, (4, 4), 2, &[(1, 10)]);
    assert_proved(&folder.prove().unwrap(), (1, 3), &[10, 20]);
    folder.write(0, (5, 5), 3, &[(3, 33)]);
    assert_proved(&folder.prove().unwrap(), (1, 4), &[10, 20, 33]);
}

#[test]
fn files_that_were_merged_are_read_and_nothing_else() {
    let folder = Folder::new();
    folder.write(9, (1, 1), 3, &[(1, 1), (2, 2), (3, 3)]);
    folder.write(0, (2, 2), 3, &[(2, 20)]);
    folder.write(0, (3, 3), 3, &[(3, 30)]);
    folder.prove().unwrap();
    folder.write(1, (2, 3), 3, &[(2, 20), (3, 30)]);
    folder.write(0, (4, 4), 3, &[(1, 10)]);
    assert_proved(&folder.prove().unwrap(), (2, 1), &[10, 20, 30]);
    // And the single ones are gone.
    folder.remove(0, (2, 2));
    folder.remove(0, (3, 3));
    folder.write(2, (2, 4), 3, &[(1, 10), (2, 20), (3, 30)]);
    assert_proved(&folder.prove().unwrap(), (1, 1), &[10, 20, 30]);
    // A new snapshot is new bytes.
    folder.write(9, (1, 4), 3, &[(1, 10), (2, 20), (3, 30)]);
    assert_proved(&folder.prove().unwrap(), (1, 0), &[10, 20, 30]);
}

#[test]
fn a_page_that_merging_has_lost_is_not_taken_from_what_was_known() {
    let folder = Folder::new();
    folder.write(9, (1, 1), 3, &[(1, 1), (2, 2), (3, 3)]);
    folder.write(0, (2, 2), 3, &[(2, 20)]);
    folder.write(0, (3, 3), 3, &[(3, 30)]);
    assert_proved(&folder.prove().unwrap(), (3, 0), &[1, 20, 30]);
    // Its checksum is right, and page 3 is not in it.
    folder.write(1, (2, 3), 3, &[(2, 20)]);
    // What litestream restores has the old page, and so has the proof.
    assert_proved(&folder.prove().unwrap(), (2, 0), &[1, 20, 3]);
}

#[test]
fn a_file_that_is_another_one_is_read_again() {
    let folder = Folder::new();
    folder.write(9, (1, 1), 2, &[(1, 1), (2, 2)]);
    folder.write(0, (2, 2), 2, &[(2, 20)]);
    folder.prove().unwrap();
    // With the same name, size and time.
    let name = folder.file(0, (2, 2));
    let time = std::fs::metadata(&name).unwrap().modified().unwrap();
    folder.write(0, (2, 2), 2, &[(2, 21)]);
    std::fs::File::options().write(true).open(&name).unwrap().set_modified(time).unwrap();
    assert_proved(&folder.prove().unwrap(), (1, 1), &[1, 21]);
    // And one that is damaged is not a backup.
    let mut bytes = std::fs::read(&name).unwrap();
    bytes[200] ^= 1;
    std::fs::write(&name, bytes).unwrap();
    let (file, fault) = folder.prove().unwrap_err();
    assert!(file.ends_with("0000000000000002-0000000000000002.ltx"), "{file}");
    assert!(matches!(fault, LtxFault::Damaged(_)), "{fault:?}");
}

#[test]
fn after_a_reset_or_with_a_doubtful_state_everything_is_read() {
    let folder = Folder::new();
    folder.write(9, (1, 5), 2, &[(1, 1), (2, 2)]);
    folder.write(0, (6, 6), 2, &[(2, 20)]);
    folder.prove().unwrap();
    // The snapshot is known, and the replica ends before what is known.
    folder.remove(0, (6, 6));
    assert_proved(&folder.prove().unwrap(), (1, 0), &[1, 2]);
    assert_proved(&folder.prove().unwrap(), (0, 1), &[1, 2]);
    let state = std::fs::read(folder.state()).unwrap();
    for at in (0..state.len()).step_by(7) {
        let mut bytes = state.clone();
        bytes[at] ^= 4;
        std::fs::write(folder.state(), &bytes).unwrap();
        assert!(Known::read(&folder.state(), PLACE).is_none(), "byte {at}");
        std::fs::write(folder.state(), &state[..at]).unwrap();
        assert!(Known::read(&folder.state(), PLACE).is_none(), "cut at {at}");
    }
    std::fs::write(folder.state(), &state).unwrap();
    assert!(Known::read(&folder.state(), "another replica").is_none());
    assert!(Known::read(&folder.state(), PLACE).is_some());
    // It is this user's alone.
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(folder.state()).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}
