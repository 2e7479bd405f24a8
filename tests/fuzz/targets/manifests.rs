//! What plugins say about themselves.

#![no_main]

use std::ffi::OsString;

use libfuzzer_sys::fuzz_target;
use lsrun::testing::fuzz::{component, manifest, options_of};

fuzz_target!(|bytes: &[u8]| {
    // Whatever a file of a plugins folder is, it is read or refused.
    if let Err(error) = component(bytes) {
        assert!(!error.to_string().is_empty());
    }
    let Ok(yaml) = std::str::from_utf8(bytes) else { return };
    let beside = manifest(yaml);
    // In a component, core or not, a manifest says what it says beside one.
    for version in [[0x01, 0, 0, 0], [0x0d, 0, 1, 0]] {
        let within = component(&[b"\0asm", &version[..], &section(yaml)].concat());
        match (&beside, within) {
            (Ok(beside), Ok((Some(within), _))) => {
                assert_eq!(format!("{beside:?}"), format!("{within:?}"));
            }
            (Err(_), Err(_)) => {}
            (beside, within) => panic!("{beside:?} is not {within:?}"),
        }
    }
    if let Ok(manifest) = beside {
        // Its command line can be read and explained.
        for words in [&["--help"][..], &[], &["a", "--all"], &["-q", "--jobs", "2"]] {
            let words: Vec<OsString> = words.iter().map(Into::into).collect();
            let _options = options_of(&manifest, &words);
        }
    }
});

/// The custom section of a manifest.
fn section(yaml: &str) -> Vec<u8> {
    let name = b"lsrun:manifest";
    let content = [&length(name.len()), &name[..], yaml.as_bytes()].concat();
    [&[0][..], &length(content.len()), &content].concat()
}

/// LEB128.
fn length(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(0x80 | (number & 0x7f) as u8);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
