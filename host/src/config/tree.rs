//! The configuration as a tree that knows which parts of its texts are
//! references and which texts are secrets.

use serde_yaml::Number;

use crate::reference::{Piece, Reference, as_written, parse};

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(Number),
    Text(Text),
    List(Vec<Node>),
    Map(Map),
}

impl Node {
    pub(super) fn map(&self) -> Option<&Map> {
        if let Self::Map(map) = self { Some(map) } else { None }
    }

    pub(super) fn text(&self) -> Option<&Text> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

/// What a text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextRole {
    Plain,
    Secret,
    /// Of the local disk.
    Path,
    /// Where Litestream wants a number or a truth value: written without quotes.
    Typed,
}

/// A text, parsed at its references.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub(super) pieces: Vec<Piece>,
    pub(super) role: TextRole,
}

impl Text {
    /// Text in which `$` is a character.
    pub(super) fn literal(text: impl Into<String>, role: TextRole) -> Self {
        Self { pieces: vec![Piece::Literal(text.into())], role }
    }

    /// Text in which `$NAME` and `${NAME}` are references. A secret is one only as
    /// a whole: a `$` inside a password is far more often just a character.
    pub(super) fn with_references(text: &str, role: TextRole) -> Self {
        let pieces = parse(text);
        let whole = matches!(pieces.as_slice(), [Piece::Reference(_)]);
        if role == TextRole::Secret && !whole {
            return Self::literal(text, role);
        }
        Self { pieces, role }
    }

    pub(super) fn reference(name: &str, role: TextRole) -> Self {
        let raw = format!("${name}");
        let reference = Reference { raw, name: name.to_owned(), default: None };
        Self { pieces: vec![Piece::Reference(reference)], role }
    }

    pub(super) fn as_written(&self) -> String {
        as_written(&self.pieces)
    }

    pub(super) fn has_reference(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Reference(_)))
    }

    /// Appends `/relative`, before the `?` of a URL.
    pub(super) fn join(&mut self, relative: &str) {
        let has_query = |piece: &Piece| matches!(piece, Piece::Literal(text) if text.contains('?'));
        let at = self.pieces.iter().position(has_query);
        let (before, query) = match at.and_then(|at| self.pieces.get(at)) {
            Some(Piece::Literal(text)) => match text.split_once('?') {
                Some((before, query)) => (before.to_owned(), Some(format!("?{query}"))),
                None => (text.clone(), None),
            },
            _ => (String::new(), None),
        };
        let rest = at.map(|at| self.pieces.split_off(at)).unwrap_or_default();
        if !before.is_empty() {
            self.pieces.push(Piece::Literal(before));
        }
        if let Some(Piece::Literal(last)) = self.pieces.last_mut() {
            last.truncate(last.trim_end_matches('/').len());
        }
        self.pieces.push(Piece::Literal(format!("/{relative}")));
        self.pieces.extend(query.map(Piece::Literal));
        self.pieces.extend(rest.into_iter().skip(1));
    }
}

/// A mapping with the order of its keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Map(pub(super) Vec<(String, Node)>);

impl Map {
    /// The value of `key`; a null counts as nothing.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map(|(_, node)| node).filter(|node| !matches!(node, Node::Null))
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.0.iter_mut().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    pub(super) fn text(&self, key: &str) -> Option<&Text> {
        self.get(key)?.text()
    }

    pub(super) fn text_mut(&mut self, key: &str) -> Option<&mut Text> {
        match self.get_mut(key)? {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Replaces the value of `key` in its position, or appends it.
    pub(super) fn set(&mut self, key: &str, node: Node) {
        match self.get_mut(key) {
            Some(present) => *present = node,
            None => self.0.push((key.to_owned(), node)),
        }
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.0.retain(|(name, _)| name != key);
    }
}

#[cfg(test)]
mod tests {
    use super::{Text, TextRole};

    #[test]
    fn a_secret_is_a_reference_only_as_a_whole() {
        assert!(Text::with_references("$PW", TextRole::Secret).has_reference());
        assert!(Text::with_references("${PW}", TextRole::Secret).has_reference());
        assert!(!Text::with_references("a$PW", TextRole::Secret).has_reference());
        assert!(Text::with_references("a$PW", TextRole::Plain).has_reference());
    }

    #[test]
    fn a_relative_path_goes_before_the_query() {
        for (text, joined) in [
            ("backup/", "backup/a.db"),
            ("$DIR", "$DIR/a.db"),
            ("s3://b/p?endpoint=x", "s3://b/p/a.db?endpoint=x"),
            ("s3://$B?endpoint=$E&x", "s3://$B/a.db?endpoint=$E&x"),
        ] {
            let mut text = Text::with_references(text, TextRole::Plain);
            text.join("a.db");
            assert_eq!(text.as_written(), joined);
        }
    }
}
