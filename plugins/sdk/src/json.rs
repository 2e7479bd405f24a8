//! A little JSON, for `report.fact` and `report.data`: a JSON crate would be a
//! third of a small component.

/// A string in JSON.
#[must_use]
pub fn string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            control if u32::from(control) < 0x20 => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// A string, or null.
#[must_use]
pub fn optional(text: Option<&str>) -> String {
    text.map_or_else(null, string)
}

/// A number, or null.
#[must_use]
pub fn number(number: Option<u64>) -> String {
    number.map_or_else(null, |number| number.to_string())
}

/// A list of strings.
#[must_use]
pub fn list(texts: &[String]) -> String {
    let all: Vec<String> = texts.iter().map(|text| string(text)).collect();
    format!("[{}]", all.join(","))
}

/// An object of values that are JSON already.
#[must_use]
pub fn object(fields: &[(&str, String)]) -> String {
    let fields = fields.iter().map(|(key, value)| format!("{}:{value}", string(key)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

/// A list of values that are JSON already.
#[must_use]
pub fn array(values: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", values.into_iter().collect::<Vec<_>>().join(","))
}

/// A JSON pointer (RFC 6901) to what has these keys, for `settings.at`.
#[must_use]
pub fn pointer(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("/{}", key.replace('~', "~0").replace('/', "~1"))).collect()
}

fn null() -> String {
    "null".to_owned()
}
