//! The command line: the options of every command before it and after it, and flags in
//! Litestream's style. Words are lines.

#![no_main]

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lsrun::testing::fuzz::{
    ParsedManifest, litestream_line, manifest, options_after, options_and_command, options_of,
};

static BUILTIN: LazyLock<[ParsedManifest; 3]> = LazyLock::new(|| {
    [
        include_str!("../../../plugins/config/manifest.yml"),
        include_str!("../../../plugins/restore/manifest.yml"),
        include_str!("../../../plugins/verify/manifest.yml"),
    ]
    .map(|yaml| manifest(yaml).unwrap())
});

fuzz_target!(|bytes: &[u8]| {
    let words: Vec<OsString> =
        bytes.split(|byte| *byte == b'\n').map(|word| OsString::from_vec(word.to_vec())).collect();

    if let Some((_options, command)) = options_and_command(&words) {
        // The command begins somewhere, and everything after it is its own.
        assert!(words.ends_with(&command), "{words:?} {command:?}");
    }
    // What is read before the command is known is what the command reads. `-config` names
    // the project for some commands and is left to them.
    let is_config = |word: &OsString| {
        let word = word.as_bytes();
        word.starts_with(b"-config") || word.starts_with(b"--config")
    };
    for manifest in BUILTIN.iter().filter(|_| !words.iter().any(is_config)) {
        if let Some(options) = options_of(manifest, &words) {
            assert_eq!(options, options_after(&words), "{words:?}");
        }
    }
    for verb in ["replicate", "ltx", "sync", "status"] {
        let [flags, positionals, rest] = litestream_line(verb, &words).unwrap();
        // Every word is somewhere, once.
        let marks = usize::from(words.contains(&"--".into()));
        let read = flags.len() + positionals.len() + rest.len();
        assert!((words.len() - marks..=words.len()).contains(&read), "{words:?}");
        assert!(words.ends_with(&rest), "{words:?}");
    }
});
