//! Digests as text.

use std::fmt::{self, Write};

use sha2::{Digest as _, Sha256};

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    /// Parses 64 hexadecimal digits, in either case.
    pub(crate) fn parse(hex: &str) -> Option<Self> {
        if hex.len() != 64 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(index * 2..index * 2 + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// What a finished hasher gives.
    pub(crate) fn of(hasher: Sha256) -> Self {
        Self(hasher.finalize().into())
    }

    /// That of these bytes.
    #[must_use]
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Its bytes.
    #[must_use]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The first 16 hexadecimal digits: enough to tell files of one name apart.
    pub(crate) fn short(&self) -> String {
        self.to_string().chars().take(16).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_survives_being_written() {
        let hex = "200e4248a4cc83da2ca52babe66774f1a71afa993d31373adb0ce0fe12154647";
        let digest = Digest::parse(&hex.to_uppercase()).unwrap();
        assert_eq!(digest.to_string(), hex);
        assert_eq!(digest.short(), "200e4248a4cc83da");
        assert_eq!(Digest::parse("200e"), None);
        assert_eq!(Digest::parse(&"ü".repeat(32)), None);
    }
}
