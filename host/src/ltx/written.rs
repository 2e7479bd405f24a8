//! LTX files, written for tests as litestream writes them, but for the compression: an
//! LZ4 block of nothing but literals.

use crc_fast::{CrcAlgorithm, Digest};

/// What a file is to hold.
#[derive(Clone)]
pub(crate) struct Written {
    pub(crate) page_size: u32,
    pub(crate) commit: u32,
    pub(crate) txids: (u64, u64),
    /// Numbers, and the byte that the page is filled with.
    pub(crate) pages: Vec<(u32, u8)>,
}

impl Written {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut file = Vec::new();
        file.extend(b"LTX1");
        for number in [2, self.page_size, self.commit] {
            file.extend(number.to_be_bytes());
        }
        for number in [self.txids.0, self.txids.1, 1_700_000_000_000] {
            file.extend(number.to_be_bytes());
        }
        file.resize(100, 0);
        let mut digest = Digest::new(CrcAlgorithm::Crc64GoIso);
        digest.update(&file);
        let mut index = Vec::new();
        for (number, content) in &self.pages {
            let page = vec![*content; self.page_size as usize];
            let block = literals(&page);
            let at = file.len();
            file.extend(number.to_be_bytes());
            file.extend(1_u16.to_be_bytes());
            file.extend(u32::try_from(block.len()).unwrap().to_be_bytes());
            digest.update(&file[at..]);
            digest.update(&page);
            file.extend(block);
            for number in [u64::from(*number), at as u64, (file.len() - at) as u64] {
                index.extend(variable(number));
            }
        }
        index.push(0);
        let rest = file.len();
        file.extend([0; 6]);
        file.extend(&index);
        file.extend((index.len() as u64).to_be_bytes());
        file.extend([0; 8]);
        digest.update(&file[rest..]);
        file.extend((digest.finalize() | 1 << 63).to_be_bytes());
        file
    }
}

/// <https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md>
fn literals(bytes: &[u8]) -> Vec<u8> {
    let mut block = vec![0xf0];
    let mut rest = bytes.len() - 15;
    while rest >= 255 {
        block.push(255);
        rest -= 255;
    }
    block.push(u8::try_from(rest).unwrap());
    block.extend(bytes);
    block
}

fn variable(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}
