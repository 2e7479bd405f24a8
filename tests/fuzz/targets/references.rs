//! Texts with references to variables: `$NAME`, `${NAME}`, `${NAME:-default}`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lsrun::testing::fuzz::{Piece, as_written, parse, resolve};

fuzz_target!(|text: &str| {
    let pieces = parse(text);
    // Nothing is lost, and the same text means the same again.
    assert_eq!(as_written(&pieces), text);
    assert_eq!(parse(&as_written(&pieces)), pieces);
    assert!(!pieces.is_empty());
    for piece in &pieces {
        if let Piece::Reference(reference) = piece {
            // A reference by itself is that reference.
            assert_eq!(parse(&reference.raw), std::slice::from_ref(piece));
            assert!(!reference.name.is_empty());
        }
    }
    let is_literal = pieces.iter().all(|piece| matches!(piece, Piece::Literal(_)));
    // Where every variable is set, there is a value, and only references change.
    let set = resolve(&pieces, &|_| Some("v")).unwrap();
    assert_eq!(set.from_environment, !is_literal);
    if is_literal {
        assert_eq!(set.text, text);
    }
    // Where none is, the defaults are the value, or a variable of the text is missing.
    match resolve(&pieces, &|_| None) {
        Ok(unset) => assert!(!unset.from_environment && unset.text.len() <= text.len()),
        Err(name) => assert!(text.contains(&name)),
    }
});
