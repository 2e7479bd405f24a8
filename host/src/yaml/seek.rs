//! Finds where in a YAML file a value is.

use std::cell::RefCell;
use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::step::Step;

/// Walks to one value and stops there with an error, whose place is the
/// parser's own; no other way leads to a position in an untyped document.
#[derive(Clone, Copy)]
pub(super) struct Seek<'p> {
    pub(super) path: &'p [Step],
    pub(super) of_key: bool,
    /// Set at the target.
    pub(super) reached: &'p RefCell<Option<()>>,
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<(), D::Error> {
        if self.path.is_empty() {
            *self.reached.borrow_mut() = Some(());
            return deserializer.deserialize_str(Here);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list or a mapping")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<(), A::Error> {
        let Some((Step::Index(wanted), rest)) = self.path.split_first() else {
            return Err(A::Error::custom("no such item"));
        };
        for _ in 0..*wanted {
            items.next_element::<IgnoredAny>()?;
        }
        items.next_element_seed(Seek { path: rest, ..self })?;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<(), A::Error> {
        let Some((Step::Key(wanted), rest)) = self.path.split_first() else {
            return Err(A::Error::custom("no such key"));
        };
        let stop = self.of_key && rest.is_empty();
        let key = WantedKey { wanted, stop, reached: self.reached };
        while let Some(is_it) = entries.next_key_seed(key)? {
            if is_it {
                entries.next_value_seed(Seek { path: rest, ..self })?;
                return Ok(());
            }
            entries.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Returns whether a key is the wanted one, or stops at it.
#[derive(Clone, Copy)]
struct WantedKey<'p> {
    wanted: &'p str,
    stop: bool,
    reached: &'p RefCell<Option<()>>,
}

impl<'de> DeserializeSeed<'de> for WantedKey<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for WantedKey<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text as the key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> std::result::Result<bool, E> {
        if key == self.wanted && self.stop {
            *self.reached.borrow_mut() = Some(());
            return Err(E::custom("here"));
        }
        Ok(key == self.wanted)
    }
}

/// Stops at a value.
struct Here;

impl Visitor<'_> for Here {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the value that is looked for")
    }

    fn visit_str<E: serde::de::Error>(self, _text: &str) -> std::result::Result<(), E> {
        Err(E::custom("here"))
    }
}
