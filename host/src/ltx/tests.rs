use std::fs::File;
use std::sync::atomic::Ordering;

use super::written::Written;
use super::{Assembly, Form, LtxFault, NextFile, PageFile, Reading};

const SIZE: u32 = 512;

fn file(txids: (u64, u64), commit: u32, pages: &[(u32, u8)]) -> Written {
    Written { page_size: SIZE, commit, txids, pages: pages.to_vec() }
}

/// Puts files together, each with the transactions that its name has.
fn assembled(files: &[((u64, u64), Vec<u8>)]) -> Result<Vec<u8>, LtxFault> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy");
    let (mut assembly, reading) = (Assembly::default(), Reading::default());
    let mut copy = PageFile::new(File::create_new(&path).unwrap(), Form::Content).unwrap();
    for ((min_txid, max_txid), bytes) in files {
        let part = NextFile { min_txid: *min_txid, max_txid: *max_txid, source: bytes.as_slice() };
        assembly.add(part, &mut copy, &reading)?;
    }
    copy.finish(false)?;
    let found = std::fs::read(&path).unwrap();
    assert_eq!(found.len() as u64, u64::from(assembly.pages) * u64::from(assembly.page_size));
    let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(reading.bytes.load(Ordering::Relaxed), bytes as u64);
    Ok(found)
}

fn of(files: &[Written]) -> Result<Vec<u8>, LtxFault> {
    let files: Vec<_> = files.iter().map(|file| (file.txids, file.bytes())).collect();
    assembled(&files)
}

fn pages(contents: &[u8]) -> Vec<u8> {
    contents.iter().flat_map(|content| vec![*content; SIZE as usize]).collect()
}

#[test]
fn later_pages_take_the_place_of_earlier_ones() {
    let snapshot = file((1, 3), 3, &[(1, 1), (2, 2), (3, 3)]);
    assert_eq!(of(std::slice::from_ref(&snapshot)).unwrap(), pages(&[1, 2, 3]));
    let more = file((4, 4), 4, &[(2, 20), (4, 4)]);
    assert_eq!(of(&[snapshot.clone(), more.clone()]).unwrap(), pages(&[1, 20, 3, 4]));
    // What overlaps is applied again.
    let wide = file((2, 5), 4, &[(1, 10), (4, 40)]);
    assert_eq!(of(&[snapshot, more, wide]).unwrap(), pages(&[10, 20, 3, 40]));
}

#[test]
fn what_was_cut_off_does_not_come_back() {
    let files = [
        file((1, 1), 4, &[(1, 1), (2, 2), (3, 3), (4, 4)]),
        file((2, 2), 2, &[(1, 10)]),
        file((3, 3), 3, &[(3, 30)]),
    ];
    assert_eq!(of(&files[..2]).unwrap(), pages(&[10, 2]));
    assert_eq!(of(&files).unwrap(), pages(&[10, 2, 30]));
    let short = file((3, 3), 4, &[(4, 40)]);
    let fault = of(&[files[0].clone(), files[1].clone(), short]).unwrap_err();
    assert!(fault.to_string().contains("page 3 is in none of the files"), "{fault}");
    // A page behind the end of its own file is none.
    let behind = file((2, 2), 2, &[(1, 10), (4, 40)]);
    assert_eq!(of(&[files[0].clone(), behind]).unwrap(), pages(&[10, 2]));
}

#[test]
fn the_page_of_the_locks_is_zero_and_not_needed() {
    let locks = super::lock_page(65536);
    assert_eq!(locks, 0x4001);
    let all: Vec<(u32, u8)> = (1..locks).map(|number| (number, 1)).collect();
    let one = Written { page_size: 65536, commit: locks, txids: (1, 1), pages: all };
    let mut assembly = Assembly::default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy");
    let mut copy = PageFile::new(File::create_new(&path).unwrap(), Form::Content).unwrap();
    let bytes = one.bytes();
    let part = NextFile { min_txid: 1, max_txid: 1, source: bytes.as_slice() };
    assembly.add(part, &mut copy, &Reading::default()).unwrap();
    copy.finish(false).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), u64::from(locks) * 65536);
    let with = Written { commit: locks + 1, pages: vec![(locks, 1)], ..one };
    let part = NextFile { min_txid: 1, max_txid: 1, source: &with.bytes()[..] };
    let mut copy = PageFile::new(tempfile::tempfile().unwrap(), Form::Content).unwrap();
    let fault = Assembly::default().add(part, &mut copy, &Reading::default()).unwrap_err();
    assert!(fault.to_string().contains("locks"), "{fault}");
}

#[test]
fn what_is_not_needed_at_the_end_is_not_written() {
    let files = [
        file((1, 1), 90, &(1..=90).map(|number| (number, 1)).collect::<Vec<_>>()),
        file((2, 2), 2, &[(1, 10)]),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy");
    let mut copy = PageFile::new(File::create_new(&path).unwrap(), Form::Content).unwrap();
    copy.end_at(2);
    let mut assembly = Assembly::default();
    for file in &files {
        let bytes = file.bytes();
        let next = NextFile { min_txid: file.txids.0, max_txid: file.txids.1, source: &bytes[..] };
        assembly.add(next, &mut copy, &Reading::default()).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() <= 2 * u64::from(SIZE));
    }
    copy.finish(false).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), pages(&[10, 1]));
}

#[test]
fn files_that_do_not_follow_each_other_are_refused() {
    let first = file((1, 2), 1, &[(1, 1)]);
    let hole = file((4, 4), 1, &[(1, 4)]);
    let wrong = |files: &[Written], words: &str| {
        let fault = of(files).unwrap_err();
        assert!(fault.to_string().contains(words), "{fault}");
    };
    wrong(&[first.clone(), hole], "does not continue");
    wrong(&[first.clone(), first.clone()], "does not continue");
    wrong(&[file((2, 2), 1, &[(1, 1)])], "does not begin with the first");
    let other = Written { page_size: 1024, ..file((3, 3), 1, &[(1, 1)]) };
    wrong(&[first.clone(), other], "another size");
    wrong(&[file((1, 1), 2, &[(2, 2)])], "page 1 is in none");
    let named = assembled(&[((1, 3), first.bytes())]).unwrap_err();
    assert!(named.to_string().contains("its name others"), "{named}");
}

#[test]
fn every_bit_and_every_length_counts() {
    /// Without a file and its thread: this reads some ten thousand times.
    struct Nothing;
    impl super::image::Pages for Nothing {
        fn begin(&mut self, _header: &super::Header) {}
        fn page(&mut self, _number: u32, _page: &[u8]) -> Result<(), LtxFault> {
            Ok(())
        }
        fn commit(&mut self, _pages: u32) -> Result<(), LtxFault> {
            Ok(())
        }
    }
    let read = |bytes: &[u8]| {
        let next = NextFile { min_txid: 1, max_txid: 2, source: bytes };
        Assembly::default().add(next, &mut Nothing, &Reading::default())
    };
    let whole = file((1, 2), 3, &[(1, 1), (2, 200), (3, 0)]).bytes();
    assert!(read(&whole).is_ok());
    // The last sequence of an LZ4 block has no match: half of its token says nothing.
    let block = 10 + 1 + 2 + SIZE as usize;
    let says_nothing =
        |at, bit| at >= 100 && (at - 100) % block == 10 && at < 400 + 3 * block && bit < 4;
    for at in 0..whole.len() {
        for bit in (0..8).filter(|bit| !says_nothing(at, *bit)) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            assert!(read(&bytes).is_err(), "byte {at}, bit {bit}");
        }
        assert!(read(&whole[..at]).is_err(), "cut at {at}");
    }
    let more = [whole.as_slice(), &[0]].concat();
    assert!(read(&more).is_err());
}

#[test]
fn what_is_unknown_is_refused_with_a_good_checksum() {
    let summed = |change: &dyn Fn(&mut Vec<u8>)| {
        let one = file((1, 1), 1, &[(1, 7)]);
        let mut bytes = one.bytes();
        change(&mut bytes);
        let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64GoIso);
        digest.update(&bytes[..110]);
        digest.update(&[7; SIZE as usize]);
        let frames = bytes.len() - 24 - 6;
        let end = bytes.len() - 8;
        let index = (0..frames).rev().find(|at| bytes[*at..].starts_with(&[0; 6])).unwrap();
        digest.update(&bytes[index..end]);
        let sum = (digest.finalize() | 1 << 63).to_be_bytes();
        bytes[end..].copy_from_slice(&sum);
        assembled(&[((1, 1), bytes)])
    };
    assert!(summed(&|_| {}).is_ok(), "the test's own checksum");
    let refused = |words: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let fault = summed(change).unwrap_err();
        assert!(matches!(fault, LtxFault::Unknown(_)), "{fault:?}");
        assert!(fault.to_string().contains(words), "{fault}");
    };
    refused("flags", &|bytes| bytes[7] = 0);
    refused("page size", &|bytes| bytes[10] = 3);
    refused("does not use", &|bytes| bytes[40] = 0x80);
    refused("does not use", &|bytes| bytes[99] = 1);
    refused("without pages", &|bytes| bytes[12..16].fill(0));
    refused("page 1 has the flags", &|bytes| bytes[105] = 0);
    refused("checksum of the database", &|bytes| {
        let at = bytes.len() - 16;
        bytes[at] = 0x80;
    });
}

#[test]
fn a_reading_that_nobody_wants_ends() {
    let one = file((1, 1), 1, &[(1, 1)]).bytes();
    let reading = Reading::default();
    reading.unwanted.store(true, Ordering::Relaxed);
    let part = NextFile { min_txid: 1, max_txid: 1, source: one.as_slice() };
    let mut copy = PageFile::new(tempfile::tempfile().unwrap(), Form::Content).unwrap();
    let fault = Assembly::default().add(part, &mut copy, &reading).unwrap_err();
    assert!(matches!(fault, LtxFault::Stopped), "{fault:?}");
}

#[test]
fn a_disk_that_is_full_is_told() {
    // Opened for reading only, it takes nothing.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy");
    std::fs::write(&path, "").unwrap();
    let mut copy = PageFile::new(File::open(&path).unwrap(), Form::Content).unwrap();
    let one = file((1, 1), 1, &[(1, 1)]).bytes();
    let part = NextFile { min_txid: 1, max_txid: 1, source: one.as_slice() };
    Assembly::default().add(part, &mut copy, &Reading::default()).unwrap();
    let fault = copy.finish(false).map(|_| ()).unwrap_err();
    assert!(matches!(fault, LtxFault::Unwritable(_)), "{fault:?}");
}
