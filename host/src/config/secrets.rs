//! A text that must not be shown, and hiding passwords inside URLs.

use std::fmt;

/// What stands in the place of a secret.
pub(super) const HIDDEN: &str = "***";

/// A secret: shown as `***` wherever it is printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself, for the environment of a child and nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(HIDDEN)
    }
}

/// Parameters of a URL that hold a secret, in lower case without `-` and `_`.
const PARAMETERS: [&str; 8] =
    ["sig", "secretaccesskey", "accesskeyid", "password", "token", "sastoken", "accountkey", "key"];

/// `text` with the password of a URL and its secret parameters hidden.
pub(super) fn hide_in_url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (before_query, query) = match rest.split_once('?') {
        Some((before, query)) => (before, Some(query)),
        None => (rest, None),
    };
    // A password may hold a `/` or an `@` that nobody encoded: up to the last `@`.
    let shown = match before_query.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, password)) if !is_reference(password) => format!("{name}:{HIDDEN}@{host}"),
            _ => before_query.to_owned(),
        },
        None => before_query.to_owned(),
    };
    let mut url = format!("{scheme}://{shown}");
    for (index, parameter) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        url.push(if index == 0 { '?' } else { '&' });
        match parameter.split_once('=') {
            Some((name, value)) if is_secret_parameter(name) && !is_reference(value) => {
                url.push_str(&format!("{name}={HIDDEN}"));
            }
            _ => url.push_str(parameter),
        }
    }
    url
}

fn is_secret_parameter(name: &str) -> bool {
    let folded = name.to_ascii_lowercase().replace(['-', '_'], "");
    PARAMETERS.contains(&folded.as_str())
}

/// `$NAME` or `${NAME}` and nothing else: it tells no secret.
fn is_reference(text: &str) -> bool {
    let Some(name) = text.strip_prefix('$') else { return false };
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

#[cfg(test)]
mod tests {
    use super::{Secret, hide_in_url};

    #[test]
    fn a_secret_is_not_printed() {
        let secret = Secret::new("hush".into());
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(secret.expose(), "hush");
    }

    #[test]
    fn passwords_and_secret_parameters_are_hidden() {
        for (url, shown) in [
            ("sftp://me:p@ss/w@host:22/x", "sftp://me:***@host:22/x"),
            ("sftp://me:$PW@host/x", "sftp://me:$PW@host/x"),
            (
                "s3://b/p?endpoint=h&secret-access-key=s",
                "s3://b/p?endpoint=h&secret-access-key=***",
            ),
            ("abs://account@container/p?sig=abc", "abs://account@container/p?sig=***"),
            ("/no/url:x@y", "/no/url:x@y"),
        ] {
            assert_eq!(hide_in_url(url), shown);
        }
    }
}
