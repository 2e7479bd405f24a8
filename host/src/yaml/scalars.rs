//! The numbers and truth values of a YAML file as written: `0600`, `1e5`.
//! The parsed value has lost this form. One walk finds all of them.

use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_yaml::Value;

use super::step::Step;

/// Every one of them, by its path.
pub(super) fn of(text: &str) -> HashMap<Vec<Step>, String> {
    let mut found = HashMap::new();
    // With its merge keys unapplied, as the walk meets them.
    let Ok(value) = serde_yaml::from_str::<Value>(text) else { return found };
    let walk = ScalarWalk { value: &value, path: Vec::new(), found: &mut found };
    drop(walk.deserialize(serde_yaml::Deserializer::from_str(text)));
    found
}

/// Walks along with the parsed value, which says what comes next.
struct ScalarWalk<'w> {
    value: &'w Value,
    path: Vec<Step>,
    found: &'w mut HashMap<Vec<Step>, String>,
}

impl<'de> DeserializeSeed<'de> for ScalarWalk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.value {
            Value::Number(_) | Value::Bool(_) => deserializer.deserialize_str(self),
            Value::Mapping(_) => deserializer.deserialize_map(self),
            Value::Sequence(_) => deserializer.deserialize_seq(self),
            _ => deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ()),
        }
    }
}

impl<'de> Visitor<'de> for ScalarWalk<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("what was parsed before")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.found.insert(self.path, text.to_owned());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for (index, value) in self.value.as_sequence().into_iter().flatten().enumerate() {
            let mut path = self.path.clone();
            path.push(Step::Index(index));
            items.next_element_seed(ScalarWalk { value, path, found: &mut *self.found })?;
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(key) = entries.next_key::<String>()? {
            let Some(value) = self.value.get(key.as_str()) else {
                entries.next_value::<IgnoredAny>()?;
                continue;
            };
            let mut path = self.path.clone();
            path.push(Step::Key(key));
            entries.next_value_seed(ScalarWalk { value, path, found: &mut *self.found })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::step::Step;

    #[test]
    fn they_are_found_at_any_depth_and_behind_a_name() {
        let text = "a: [1e5, {b: 0x10}]\nc: &x 0.10\nd: *x\ne: {<<: {f: 1}, g: True}\nh: text\n";
        let found = super::of(text);
        let key = |key: &str| Step::Key(key.to_owned());
        let at = |path: &[Step]| found.get(path).map(String::as_str);
        assert_eq!(at(&[key("a"), Step::Index(0)]), Some("1e5"));
        assert_eq!(at(&[key("a"), Step::Index(1), key("b")]), Some("0x10"));
        assert_eq!((at(&[key("c")]), at(&[key("d")])), (Some("0.10"), Some("0.10")));
        assert_eq!(at(&[key("e"), key("g")]), Some("True"));
        assert_eq!(at(&[key("h")]), None);
    }
}
