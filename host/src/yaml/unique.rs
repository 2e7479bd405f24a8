//! Finds a key that its mapping already has.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Walks the whole document and stops at a key that its mapping already has.
#[derive(Clone, Copy)]
pub(super) struct Unique<'f> {
    pub(super) found: &'f RefCell<Option<String>>,
}

impl<'de> DeserializeSeed<'de> for Unique<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_enum<A: serde::de::EnumAccess<'de>>(
        self,
        access: A,
    ) -> std::result::Result<(), A::Error> {
        let (_, variant): (IgnoredAny, _) = access.variant()?;
        serde::de::VariantAccess::newtype_variant_seed(variant, self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<(), A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> std::result::Result<(), A::Error> {
        let seen = RefCell::new(HashSet::new());
        let key = UniqueKey { found: self.found, seen: &seen };
        while entries.next_key_seed(key)?.is_some() {
            entries.next_value_seed(self)?;
        }
        Ok(())
    }
}

/// Reads one key and stops when it was seen before.
#[derive(Clone, Copy)]
struct UniqueKey<'f> {
    found: &'f RefCell<Option<String>>,
    seen: &'f RefCell<HashSet<String>>,
}

impl<'de> DeserializeSeed<'de> for UniqueKey<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for UniqueKey<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text as the key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> std::result::Result<(), E> {
        if self.seen.borrow_mut().insert(key.to_owned()) {
            return Ok(());
        }
        *self.found.borrow_mut() = Some(key.to_owned());
        Err(E::custom("duplicate key"))
    }
}
