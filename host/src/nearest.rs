//! The known word that is most like a mistyped one. The caller decides what to do
//! with it.

/// The candidate that `word` was most likely meant to be, or `None` when nothing is
/// close: at most one edit in three letters. Case, and `-` or `_`, do not matter.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let folded = fold(word);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &fold(candidate)), candidate))
        .filter(|(distance, candidate)| {
            *distance <= (folded.chars().count().max(candidate.chars().count()) / 3).max(1)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> String {
    word.to_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typing_mistake_is_recognised_and_another_word_is_not() {
        assert_eq!(nearest("defualt", ["cache", "default"]), Some("default"));
        assert_eq!(nearest("mcp_addr", ["addr", "mcp-addr"]), Some("mcp-addr"));
        assert_eq!(nearest("sqlite", ["cache", "default"]), None);
        assert_eq!(nearest("x", ["y"]), Some("y"));
    }
}
