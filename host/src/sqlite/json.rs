//! Rows as JSON, for guests in whose language taking values one by one is slow.

use std::fmt::Write;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::value::Value;

/// Integers up to this are numbers in every reader of JSON: 2^53, of ECMAScript's
/// `Number.MAX_SAFE_INTEGER` one more.
const EXACT: u64 = 1 << 53;

/// An array of arrays. Blobs, integers beyond 2^53 and infinite numbers are objects of one
/// key (`sqlite.wit`).
#[must_use]
pub(crate) fn rows_as_json(rows: &[Vec<Value>]) -> String {
    let rows: Vec<Vec<JsonValue<'_>>> =
        rows.iter().map(|row| row.iter().map(JsonValue).collect()).collect();
    // Values, lists and maps with string keys always serialise.
    serde_json::to_string(&rows).unwrap_or_default()
}

struct JsonValue<'a>(&'a Value);

impl Serialize for JsonValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let object = |serializer: S, key: &str, text: &str| {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(key, text)?;
            map.end()
        };
        match self.0 {
            Value::Null => serializer.serialize_unit(),
            Value::Integer(integer) if integer.unsigned_abs() > EXACT => {
                object(serializer, "integer", &integer.to_string())
            }
            Value::Integer(integer) => serializer.serialize_i64(*integer),
            // SQLite makes NULL of what is not a number.
            Value::Real(real) if real.is_infinite() => {
                object(serializer, "real", if *real > 0.0 { "inf" } else { "-inf" })
            }
            Value::Real(real) => serializer.serialize_f64(*real),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Blob(bytes) => {
                let mut digits = String::with_capacity(bytes.len() * 2);
                for byte in bytes {
                    let _infallible = write!(digits, "{byte:02x}");
                }
                object(serializer, "blob", &digits)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_form_that_can_be_read_back() {
        let row = vec![
            Value::Null,
            Value::Integer(-9_007_199_254_740_992),
            Value::Integer(9_007_199_254_740_993),
            Value::Integer(i64::MIN),
            Value::Real(0.5),
            Value::Real(1.0),
            Value::Real(f64::NEG_INFINITY),
            Value::Text("a\"\u{1}é".into()),
            Value::Blob(vec![0, 255]),
        ];
        assert_eq!(
            rows_as_json(&[row, Vec::new()]),
            concat!(
                r#"[[null,-9007199254740992,{"integer":"9007199254740993"},"#,
                r#"{"integer":"-9223372036854775808"},0.5,1.0,{"real":"-inf"},"#,
                r#""a\"\u0001é",{"blob":"00ff"}],[]]"#
            )
        );
        assert_eq!(rows_as_json(&[]), "[]");
    }
}
