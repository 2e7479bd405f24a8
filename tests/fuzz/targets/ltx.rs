//! Whole LTX files, as lsrun's own reader takes them: whatever is in them, it ends, and it
//! takes no more memory than a page and a buffer.

#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use lsrun::testing::fuzz::ltx_file;

/// A file that begins like one of litestream's.
#[derive(Debug, Arbitrary)]
struct Input {
    /// 512, doubled up to seven times.
    page_size: u8,
    commit: u32,
    txids: (u64, u64),
    frames: Vec<Frame>,
    /// Bytes that nobody has made up.
    rest: Vec<u8>,
}

#[derive(Debug, Arbitrary)]
struct Frame {
    number: u32,
    flags: u16,
    /// Instead of the size of the block.
    size: Option<u32>,
    block: Vec<u8>,
}

fuzz_target!(|input: Input| {
    let mut file = b"LTX1".to_vec();
    for number in [2, 512 << (input.page_size % 8), input.commit] {
        file.extend(number.to_be_bytes());
    }
    file.extend(input.txids.0.to_be_bytes());
    file.extend(input.txids.1.to_be_bytes());
    file.resize(100, 0);
    for frame in &input.frames {
        let size = frame.size.unwrap_or_else(|| frame.block.len().try_into().unwrap());
        file.extend(frame.number.to_be_bytes());
        file.extend(frame.flags.to_be_bytes());
        file.extend(size.to_be_bytes());
        file.extend(&frame.block);
    }
    file.extend(&input.rest);
    if let Some((commit, pages)) = ltx_file(&file) {
        // What is accepted has a right checksum of all of it.
        assert!(commit > 0 && pages <= input.frames.len() as u64);
        let last = file.len() - 1;
        file[last] ^= 1;
        assert_eq!(ltx_file(&file), None);
    }
    let _any = ltx_file(&input.rest);
});
