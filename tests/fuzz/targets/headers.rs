//! The headers of LTX files, and SQLite's write-ahead log.

#![no_main]

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use lsrun::testing::fuzz::{ltx, newest_frames};
use tempfile::TempDir;

/// A log that SQLite could have written, and what happens to its file.
#[derive(Debug, Arbitrary)]
struct Input {
    big_endian: bool,
    /// 512, doubled up to three times.
    page_size: u8,
    salts: [u32; 2],
    /// Page number, size of the database after it, and what the page is filled with.
    frames: Vec<(u8, u8, u8)>,
    /// A byte of the file that is changed.
    change: Option<(u16, u8)>,
    /// The file ends here.
    length: Option<u16>,
    /// Bytes that nobody has made up.
    raw: Vec<u8>,
}

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

fuzz_target!(|input: Input| {
    let mut input = input;
    input.frames.truncate(64);
    of_ltx(&input.raw);
    let (page_size, mut log) = log(&input);
    let frame_size = 24 + page_size;
    let frames = u32::try_from(input.frames.len()).unwrap();
    // What has to be read of it.
    let needed = 32 + input.frames.len() * frame_size;
    let mut is_whole = true;
    if let Some((at, change)) = input.change.filter(|(_, change)| *change != 0) {
        if let Some(byte) = log.get_mut(usize::from(at)) {
            *byte ^= change;
            is_whole = false;
        }
    }
    if let Some(length) = input.length {
        log.truncate(usize::from(length));
        is_whole &= log.len() >= needed;
    }
    log.extend_from_slice(&input.raw);
    let pages: Vec<u32> = (0..=255).collect();
    let found = newest_frames(&write(&log), frames, &pages);

    let commits = input.frames.last().is_some_and(|(_, size, _)| *size > 0);
    // One changed byte, or one that is missing, is always seen.
    assert_eq!(found.is_some(), is_whole && commits, "{input:?}");
    if let Some(found) = found {
        let numbered = input.frames.iter().zip(1_u32..);
        let newest: HashMap<u32, u32> =
            numbered.map(|((page, ..), frame)| (u32::from(*page), frame)).collect();
        let wanted: Vec<_> = pages.iter().map(|page| newest.get(page).copied()).collect();
        assert_eq!(found, wanted);
    }
    // What begins like nothing in particular.
    let _any = newest_frames(&write(&input.raw), frames, &pages);
});

fn write(log: &[u8]) -> PathBuf {
    let path = FOLDER.path().join("db-wal");
    std::fs::write(&path, log).unwrap();
    path
}

fn of_ltx(raw: &[u8]) {
    let with_magic = [b"LTX1", raw].concat();
    for bytes in [raw, &with_magic] {
        let Some((page_size, max_txid, end)) = ltx(bytes) else { continue };
        assert!(bytes.len() >= 100 && bytes.starts_with(b"LTX1"));
        assert_eq!(bytes[8..12], page_size.to_be_bytes());
        assert_eq!(bytes[24..32], max_txid.to_be_bytes());
        let number = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!(number(48).checked_add(number(56)), Some(end));
        // Nothing after the header changes what it says.
        assert_eq!(ltx(&bytes[..100]), ltx(bytes));
    }
    assert_eq!(ltx(&with_magic[..with_magic.len().min(99)]), None);
}

/// As <https://www.sqlite.org/fileformat2.html#walformat> has it, written a second time.
fn log(input: &Input) -> (usize, Vec<u8>) {
    let page_size = 512 << (input.page_size % 4);
    let mut log = Vec::new();
    let mut sums = [0_u32; 2];
    let add = |sums: &mut [u32; 2], bytes: &[u8]| {
        for pair in bytes.chunks(8) {
            let number = |at: usize| {
                let four = pair[at..at + 4].try_into().unwrap();
                if input.big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
            };
            sums[0] = sums[0].wrapping_add(number(0)).wrapping_add(sums[1]);
            sums[1] = sums[1].wrapping_add(number(4)).wrapping_add(sums[0]);
        }
    };
    let numbers = |numbers: &[u32]| -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    };
    let [one, two] = input.salts;
    let magic = 0x377f_0682 | u32::from(input.big_endian);
    log.extend(numbers(&[magic, 3_007_000, page_size, 0, one, two]));
    add(&mut sums, &log);
    log.extend(numbers(&sums));
    for &(page, size, content) in &input.frames {
        let header = numbers(&[page.into(), size.into()]);
        let content = vec![content; page_size as usize];
        add(&mut sums, &header);
        add(&mut sums, &content);
        log.extend([header, numbers(&[one, two]), numbers(&sums), content].concat());
    }
    (page_size as usize, log)
}
