//! Files of a plugins folder: whatever they are, they are read or refused, and what links
//! imports nothing but what plugins are offered.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lsrun::testing::fuzz::{component, imports, link};

/// Components that are larger take too long to compile.
const MOST: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    let read = component(bytes);
    let imports = imports(bytes);
    if let Err(error) = &read {
        assert!(!error.to_string().is_empty());
    }
    // Text as well, so that a component can be written by chance.
    let text = std::str::from_utf8(bytes).ok().and_then(|text| wat::parse_str(text).ok());
    if let Some(binary) = &text {
        let (_, exports) = component(binary).unwrap();
        let _linked = binary.len() <= MOST && link(binary).is_ok();
        let again = component(binary).unwrap().1;
        assert_eq!(exports, again);
    }
    if bytes.len() <= MOST && link(bytes).is_ok() {
        let (_, exports) = read.unwrap();
        assert!(exports.is_some(), "what links is a component");
        for import in imports {
            assert!(
                import.starts_with("lsrun:host/") || import.starts_with("wasi:"),
                "{import} is offered by nobody"
            );
        }
    }
});
