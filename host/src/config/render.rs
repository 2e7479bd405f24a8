//! Writing the tree as YAML that a YAML 1.1 parser (Litestream's) reads as
//! intended, and as JSON.
//!
//! Litestream replaces `$NAME` in the text of the file before it parses it, with
//! no way to escape a `$`. In a child's file every text that holds a `$`, a
//! secret or something from the environment is therefore written as
//! `"${LSRUN_V_1}"`, and the variable holds its content already escaped for the
//! inside of double quotes.

use serde_json::Value;

use super::printed::{DOLLAR, Printer};
use super::scalar::{escaped, quoted};
use super::tree::{Map, Node, Text, TextRole};
use crate::redact::hide_in_url;
use crate::secret::Secret;

/// `map` as YAML; `scalar` writes the texts, keys included.
pub(super) fn yaml(map: &Map, scalar: &mut dyn FnMut(&Text) -> String) -> String {
    let mut out = String::new();
    write_map(map, 0, &mut out, scalar);
    if out.is_empty() { "{}\n".to_owned() } else { out }
}

fn write_map(map: &Map, indent: usize, out: &mut String, scalar: &mut dyn FnMut(&Text) -> String) {
    for (key, node) in &map.0 {
        out.push_str(&" ".repeat(indent));
        out.push_str(&scalar(&Text::literal(key.as_str(), TextRole::Plain)));
        out.push(':');
        write_value(node, indent + 2, out, scalar);
    }
}

fn write_value(
    node: &Node,
    indent: usize,
    out: &mut String,
    scalar: &mut dyn FnMut(&Text) -> String,
) {
    match node {
        Node::Map(map) if map.0.is_empty() => out.push_str(" {}\n"),
        Node::Map(map) => {
            out.push('\n');
            write_map(map, indent, out, scalar);
        }
        Node::List(items) if items.is_empty() => out.push_str(" []\n"),
        Node::List(items) => {
            out.push('\n');
            for item in items {
                write_item(item, indent, out, scalar);
            }
        }
        Node::Null => out.push_str(" null\n"),
        Node::Bool(truth) => out.push_str(&format!(" {truth}\n")),
        Node::Number(number) => out.push_str(&format!(" {number}\n")),
        Node::Text(text) => out.push_str(&format!(" {}\n", scalar(text))),
    }
}

fn write_item(
    item: &Node,
    indent: usize,
    out: &mut String,
    scalar: &mut dyn FnMut(&Text) -> String,
) {
    let pad = " ".repeat(indent);
    match item {
        Node::Map(map) if !map.0.is_empty() => {
            let mut block = String::new();
            write_map(map, indent + 2, &mut block, scalar);
            out.push_str(&format!("{pad}- {}", block.trim_start_matches(' ')));
        }
        other => {
            out.push_str(&format!("{pad}-"));
            write_value(other, indent + 2, out, scalar);
        }
    }
}

/// The variables of a child, filled while its file is written.
#[derive(Debug, Default)]
pub(super) struct Variables {
    pub(super) all: Vec<(String, Secret)>,
}

impl Variables {
    /// `${LSRUN_V_1}`, which replaces `content` in the file.
    fn stand_in(&mut self, content: String) -> String {
        let name = format!("LSRUN_V_{}", self.all.len() + 1);
        let reference = format!("${{{name}}}");
        self.all.push((name, Secret::new(content)));
        reference
    }

    /// A text with its references resolved, as it goes into a child's file.
    /// `parts` are its pieces: a text and whether it must not be in the file;
    /// `None` is a reference that Litestream alone can resolve (`$PID`).
    pub(super) fn scalar(&mut self, parts: &[Option<(String, bool)>], role: TextRole) -> String {
        let hidden = |text: &str, from_environment: bool| {
            from_environment
                || role == TextRole::Secret
                || text.contains('$')
                || hide_in_url(text) != text
        };
        if let [Some((text, from_environment))] = parts {
            let hide = hidden(text, *from_environment);
            let bare = text.chars().all(|c| c.is_ascii_alphanumeric() || "+-._".contains(c));
            if role == TextRole::Typed && bare && !text.is_empty() {
                return if hide { self.stand_in(text.clone()) } else { text.clone() };
            }
            if !hide {
                return quoted(text);
            }
        }
        let mut out = String::from("\"");
        for part in parts {
            match part {
                None => out.push_str("${PID}"),
                Some((text, from_environment)) if hidden(text, *from_environment) => {
                    out.push_str(&self.stand_in(escaped(text)));
                }
                Some((text, _)) => out.push_str(&escaped(text)),
            }
        }
        out.push('"');
        out
    }
}

/// The tree as JSON, as `printer` has its texts.
pub(super) fn json(map: &Map, printer: &Printer<'_>) -> String {
    let value = object(map, printer);
    // JSON has an escape that Litestream's reader of YAML knows as well.
    format!("{value:#}\n").replace(DOLLAR, "\\u0024")
}

fn object(map: &Map, printer: &Printer<'_>) -> Value {
    let key = |key: &str| printer.words(&Text::literal(key, TextRole::Plain));
    Value::Object(map.0.iter().map(|(name, node)| (key(name), json_node(node, printer))).collect())
}

fn json_node(node: &Node, printer: &Printer<'_>) -> Value {
    match node {
        Node::Null => Value::Null,
        Node::Bool(truth) => Value::Bool(*truth),
        Node::Number(number) => serde_json::to_value(number).unwrap_or_default(),
        Node::Text(text) => {
            let words = printer.words(text);
            match (text.role, words.parse()) {
                // A default that became the value.
                (TextRole::Typed, Ok(truth)) => Value::Bool(truth),
                _ => Value::String(words),
            }
        }
        Node::List(items) => items.iter().map(|item| json_node(item, printer)).collect(),
        Node::Map(map) => object(map, printer),
    }
}
