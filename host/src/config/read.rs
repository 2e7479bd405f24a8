//! Reading the user's `litestream` part into the tree, with everything that is
//! wrong or odd about its keys and values. How entries relate to each other is
//! not checked here.

use serde_yaml::Value;

use super::keys::{Kind, OWN, TOP, Table, sounds_secret};
use super::tree::{Map, Node, Text, TextRole};
use crate::error::{Error, Result};
use crate::nearest::nearest;
use crate::yaml::Cursor;

/// Collects what it finds on the way.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// `$NAME` is a reference.
    pub(super) expand: bool,
    pub(super) warnings: Vec<String>,
    pub(super) problems: Vec<Error>,
}

impl Reader {
    /// A mapping with the keys of `table`, under the names that Litestream has for
    /// them; a null is an empty one.
    pub(super) fn map(&mut self, cursor: &Cursor<'_>, table: &'static Table) -> Map {
        let mut map = Map::default();
        if cursor.value().is_null() {
            return map;
        }
        let entries = match cursor.entries("a mapping") {
            Ok(entries) => entries,
            Err(error) => {
                self.problems.push(error);
                return map;
            }
        };
        let top = std::ptr::eq(table, &raw const TOP);
        for (key, value) in entries {
            if top && (OWN.contains(&key) || key == "dbs") {
                continue;
            }
            if key == "age" {
                self.problems.push(
                    value
                        .wrong("asks for encryption, which Litestream 0.5 no longer has")
                        .hint("remove it, or stay with Litestream 0.3; it would refuse to start"),
                );
                continue;
            }
            let (name, kind) = self.key(key, &value, table);
            if map.get(&name).is_some() {
                self.problems.push(value.wrong(format!("appears twice, as `{name}`")));
                continue;
            }
            let node = self.node(&value, kind);
            map.set(&name, node);
        }
        map
    }

    /// The name that Litestream has for `key`, and what it holds.
    fn key(&mut self, key: &str, value: &Cursor<'_>, table: &Table) -> (String, Kind) {
        if let Some(kind) = table.kind(key) {
            return (key.to_owned(), kind);
        }
        let hyphens = key.replace('_', "-");
        if let Some(kind) = table.kind(&hyphens) {
            self.warnings.push(format!(
                "{}: {} is written `{hyphens}` for Litestream",
                value.key_place(),
                value.dotted()
            ));
            return (hyphens, kind);
        }
        let hint = match nearest(key, table.names()) {
            Some(close) => format!("; did you mean `{close}`?"),
            None => String::new(),
        };
        self.warnings.push(format!(
            "{}: {} is not a key of {}: Litestream ignores it{hint}",
            value.key_place(),
            value.dotted(),
            table.what
        ));
        let secret = sounds_secret(key) && is_scalar(value.value());
        (key.to_owned(), if secret { Kind::Secret } else { Kind::Any })
    }

    fn node(&mut self, cursor: &Cursor<'_>, kind: Kind) -> Node {
        match self.checked(cursor, kind) {
            Ok(node) => node,
            Err(error) => {
                self.problems.push(error);
                Node::Null
            }
        }
    }

    fn checked(&mut self, cursor: &Cursor<'_>, kind: Kind) -> Result<Node> {
        if cursor.value().is_null() {
            return Ok(Node::Null);
        }
        Ok(match kind {
            Kind::Text => Node::Text(self.text(&cursor.text("a text")?, TextRole::Plain)),
            Kind::Secret => Node::Text(self.text(&cursor.text("a text")?, TextRole::Secret)),
            Kind::Path => Node::Text(self.text(&cursor.text("a path")?, TextRole::Path)),
            Kind::Bool => self.boolean(cursor)?,
            Kind::Int => self.integer(cursor)?,
            Kind::Duration => self.duration(cursor)?,
            Kind::Map(table) => {
                cursor.entries("a mapping")?;
                Node::Map(self.map(cursor, table))
            }
            Kind::List(of) => {
                let items = cursor.items("a list")?;
                Node::List(items.iter().map(|item| self.node(item, *of)).collect())
            }
            Kind::Any => self.any(cursor)?,
        })
    }

    fn text(&self, text: &str, role: TextRole) -> Text {
        if self.expand { Text::with_references(text, role) } else { Text::literal(text, role) }
    }

    fn boolean(&self, cursor: &Cursor<'_>) -> Result<Node> {
        if let Value::Bool(truth) = cursor.value() {
            return Ok(Node::Bool(*truth));
        }
        let text = match cursor.value() {
            Value::String(text) => self.text(text, TextRole::Typed),
            _ => return Err(cursor.expected("true or false")),
        };
        if text.has_reference() {
            return Ok(Node::Text(text));
        }
        // The truth values of YAML 1.1, which Litestream's parser follows.
        match text.as_written().to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" | "true" => Ok(Node::Bool(true)),
            "no" | "off" | "n" | "false" => Ok(Node::Bool(false)),
            _ => Err(cursor.expected("true or false")),
        }
    }

    fn integer(&self, cursor: &Cursor<'_>) -> Result<Node> {
        match cursor.value() {
            Value::Number(number) if number.is_i64() || number.is_u64() => {
                Ok(Node::Number(number.clone()))
            }
            Value::String(written) => {
                let text = self.text(written, TextRole::Typed);
                // `0600`, an octal number to Litestream.
                let digits = !written.is_empty()
                    && written.chars().all(|letter| letter.is_ascii_digit() || letter == '_');
                if digits || text.has_reference() {
                    Ok(Node::Text(text))
                } else {
                    Err(cursor.expected("a whole number"))
                }
            }
            _ => Err(cursor.expected("a whole number")),
        }
    }

    fn duration(&mut self, cursor: &Cursor<'_>) -> Result<Node> {
        if let Value::Number(number) = cursor.value() {
            if number.as_f64() != Some(0.0) {
                self.warnings.push(format!(
                    "{} is {number} without a unit: Litestream reads it as nanoseconds; \
                     write `{number}s` for seconds",
                    cursor.dotted()
                ));
            }
            return Ok(Node::Number(number.clone()));
        }
        let written = cursor.text("a duration such as 30s")?;
        let text = self.text(&written, TextRole::Plain);
        if !text.has_reference() && go_duration(&written).is_none() {
            let error = cursor
                .wrong(format!("is `{written}`, which Litestream does not read as a duration"));
            return Err(match days(&written) {
                Some(days) => error.hint(format!("write `{}h`", days * 24)),
                None => error.hint("write it like `30s`, `5m`, `1h30m` or `500ms`"),
            });
        }
        Ok(Node::Text(text))
    }

    fn any(&mut self, cursor: &Cursor<'_>) -> Result<Node> {
        Ok(match cursor.value() {
            Value::Null => Node::Null,
            Value::Bool(truth) => Node::Bool(*truth),
            Value::Number(number) => Node::Number(number.clone()),
            Value::String(text) => Node::Text(self.text(text, TextRole::Plain)),
            Value::Sequence(_) => {
                let items = cursor.items("a list")?;
                Node::List(items.iter().map(|item| self.node(item, Kind::Any)).collect())
            }
            Value::Mapping(_) => {
                let mut map = Map::default();
                for (key, value) in cursor.entries("a mapping")? {
                    let kind = if sounds_secret(key) { Kind::Secret } else { Kind::Any };
                    let kind = if is_scalar(value.value()) { kind } else { Kind::Any };
                    map.set(key, self.node(&value, kind));
                }
                Node::Map(map)
            }
            Value::Tagged(_) => return Err(cursor.expected("a value without a tag")),
        })
    }
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_))
}

/// `7d` as 7.
fn days(text: &str) -> Option<u64> {
    text.strip_suffix('d')?.parse().ok()
}

/// Nanoseconds of a Go duration: `300ms`, `-1.5h`, `2h45m`.
pub(super) fn go_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(digits)?;
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end)?;
        let nanoseconds = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 6e10,
            "h" => 3.6e12,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * nanoseconds;
        rest = after;
    }
    // Go's durations end at 2^63 nanoseconds, some 292 years.
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    (total < 9.2e18).then_some(if negative { -total as i64 } else { total as i64 })
}

#[cfg(test)]
mod tests {
    use super::go_duration;

    #[test]
    fn durations_are_gos() {
        assert_eq!(go_duration("1h30m"), Some(5_400_000_000_000));
        assert_eq!(go_duration("1.5s"), Some(1_500_000_000));
        assert_eq!(go_duration("-10ms"), Some(-10_000_000));
        assert_eq!(go_duration("0"), Some(0));
        for wrong in ["", "1d", "10", "s", "1s ", ".", "."] {
            assert_eq!(go_duration(wrong), None, "{wrong}");
        }
    }
}
