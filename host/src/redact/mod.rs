//! The one redactor: the secrets that a run knows, and text without them. Everything
//! that is printed, written or sent passes through it last, whatever its source:
//! lsrun, litestream, a guest, a server. [`sources`] knows where secrets are.

mod sources;
mod urls;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

pub(crate) use self::sources::sounds_secret;
pub(crate) use self::urls::hide as hide_in_url;

/// What replaces a secret.
pub(crate) const HIDDEN: &str = "***";

/// The shortest secret that is looked for: a shorter one is found in every text.
const SHORTEST: usize = 6;
/// A number has to be longer: counts, times and transactions are not secrets.
const SHORTEST_NUMBER: usize = 12;

/// Words that reports contain. A user whose password is one of them has no
/// secret.
const OWN_WORDS: [&str; 24] = [
    "checks",
    "command",
    "content",
    "database",
    "databases",
    "default",
    "duration_ms",
    "failed",
    "inconclusive",
    "integrity_check",
    "litestream",
    "message",
    "outcome",
    "passed",
    "password",
    "plugin",
    "replication",
    "restore",
    "restored",
    "schema",
    "secret",
    "sentinel",
    "skipped",
    "verified",
];

/// The secrets of a run. Clones share them.
#[derive(Clone, Default)]
pub struct Redactor(Arc<RwLock<KnownSecrets>>);

#[derive(Default)]
struct KnownSecrets {
    /// Each in the forms that it is written in.
    forms: BTreeSet<String>,
    /// Longest first; made when it is needed.
    ordered: Option<Arc<[String]>>,
}

impl Redactor {
    /// Text that must not be seen. What is too short, or a word of lsrun's own, is
    /// left alone.
    pub fn learn(&self, secret: &str) {
        let secret = secret.trim();
        let number = secret.chars().all(|letter| letter.is_ascii_digit() || letter == '.');
        let shortest = if number { SHORTEST_NUMBER } else { SHORTEST };
        if secret.len() < shortest
            || secret == HIDDEN
            || OWN_WORDS.contains(&secret.to_ascii_lowercase().as_str())
        {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut new = known.forms.insert(secret.to_owned());
        for form in sources::other_forms(secret) {
            new |= known.forms.insert(form);
        }
        // A key with line ends is seen a line at a time as well.
        for line in secret.lines().map(str::trim).filter(|line| line.len() >= 8) {
            new |= known.forms.insert(line.to_owned());
        }
        if new {
            known.ordered = None;
        }
    }

    /// What is secret in an environment variable.
    pub fn learn_variable(&self, name: &str, value: &str) {
        if sources::is_secret_variable(name, value) {
            self.learn(value);
        }
        self.learn_urls(value);
    }

    /// What is secret in the URLs of a text: passwords, and parameters such as `sig`.
    pub fn learn_urls(&self, text: &str) {
        for secret in urls::secrets_of_text(text) {
            self.learn(&secret);
        }
    }

    /// An address to which messages are sent: what comes after its host is a secret.
    pub fn learn_address(&self, url: &str) {
        self.learn(url);
        self.learn_urls(url);
        if let Some(path) = sources::behind_the_host(url) {
            self.learn(path);
        }
    }

    /// What is secret in a YAML file: by its content, or line by line if it is
    /// broken, as that has to be reported as well. `variable` gives the value of an
    /// environment variable.
    pub fn learn_yaml(
        &self,
        text: &str,
        content: Option<&serde_yaml::Value>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) {
        for secret in sources::of_yaml(text, content, variable) {
            self.learn(&secret);
        }
        self.learn_urls(text);
    }

    fn ordered(&self) -> Arc<[String]> {
        {
            let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(ordered) = &known.ordered {
                return Arc::clone(ordered);
            }
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<String> = known.forms.iter().cloned().collect();
        // One may be a part of another.
        all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let ordered: Arc<[String]> = all.into();
        known.ordered = Some(Arc::clone(&ordered));
        ordered
    }

    /// The text without the secrets.
    #[must_use]
    pub fn apply<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for secret in self.ordered().iter() {
            if text.contains(secret.as_str()) {
                text = Cow::Owned(text.replace(secret.as_str(), HIDDEN));
            }
        }
        text
    }

    /// [`Self::apply`] for what may be no text: only text has secrets in it.
    #[must_use]
    pub fn apply_to_bytes<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let Ok(text) = std::str::from_utf8(bytes) else {
            let text = String::from_utf8_lossy(bytes);
            return match self.apply(&text) {
                Cow::Owned(redacted) => Cow::Owned(redacted.into_bytes()),
                Cow::Borrowed(_) => Cow::Borrowed(bytes),
            };
        };
        match self.apply(text) {
            Cow::Owned(redacted) => Cow::Owned(redacted.into_bytes()),
            Cow::Borrowed(_) => Cow::Borrowed(bytes),
        }
    }
}

/// Says nothing of what it knows.
impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form_that_it_is_written_in() {
        let redactor = Redactor::default();
        redactor.learn("a\"b&c/d e");
        redactor.learn("hunter2hunter2");
        for text in [
            "x a\"b&c/d e y",
            r#"{"x":"a\"b&c/d e"}"#,
            "<x>a&quot;b&amp;c/d e</x>",
            "https://u:a%22b%26c%2Fd%20e@h",
            "hunter2hunter2, hunter2hunter2",
        ] {
            let shown = redactor.apply(text);
            assert!(shown.contains(HIDDEN), "{shown}");
            assert!(!shown.contains("hunter2") && !shown.contains("c/d"), "{shown}");
        }
        assert_eq!(redactor.apply_to_bytes(b"hunter2hunter2\xff"), "***\u{fffd}".as_bytes());
        assert_eq!(format!("{redactor:?}"), "Redactor");
    }

    #[test]
    fn short_ones_numbers_and_own_words_are_left_alone() {
        let redactor = Redactor::default();
        for text in ["abc", "12345678", "1.5", "Verified", "password", "  ", "***"] {
            redactor.learn(text);
        }
        assert_eq!(
            redactor.apply("abc 12345678 verified password"),
            "abc 12345678 verified password"
        );
    }

    #[test]
    fn the_longer_of_two_goes_first() {
        let redactor = Redactor::default();
        redactor.learn("secret-one");
        redactor.learn("secret-one-and-more");
        assert_eq!(redactor.apply("secret-one-and-more secret-one"), "*** ***");
    }
}
