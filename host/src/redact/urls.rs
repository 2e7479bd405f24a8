//! What is secret in a URL: the password, the user name if it is a token, and
//! parameters such as `sig`.

use super::HIDDEN;

/// Parameters that hold a secret, in lower case without `-` and `_`, and parts of
/// names that sound like one.
const PARAMETERS: [&str; 10] = [
    "sig",
    "sas",
    "jwt",
    "pwd",
    "pw",
    "key",
    "apikey",
    "accesskeyid",
    "accountkey",
    "xamzcredential",
];
const SOUNDS: [&str; 7] =
    ["secret", "password", "passphrase", "token", "signature", "credential", "accesskey"];

/// Schemes whose user name alone is a token.
const TOKENS: [&str; 5] = ["http", "https", "nats", "webdav", "webdavs"];

/// A URL in its parts, by its characters: it may be one that no parser takes.
struct Parts<'a> {
    scheme: &'a str,
    /// Before the last `@` of what comes before the query: a password may hold a `/`
    /// or an `@` that nobody encoded.
    user: Option<&'a str>,
    rest: &'a str,
    query: Option<&'a str>,
}

fn parts(url: &str) -> Option<Parts<'_>> {
    let (scheme, after) = url.split_once("://")?;
    // A `?` of a password is not the beginning of the query.
    let query_at = match after.rfind('@') {
        Some(at) if !after[..at].contains('=') => after[at..].find('?').map(|found| at + found),
        _ => after.find('?'),
    };
    let (before, query) = match query_at {
        Some(at) => (&after[..at], Some(&after[at + 1..])),
        None => (after, None),
    };
    let (user, rest) = match before.rsplit_once('@') {
        Some((user, rest)) => (Some(user), rest),
        None => (None, before),
    };
    Some(Parts { scheme, user, rest, query })
}

/// `text`, if it is a URL, with what is secret in it hidden.
pub(crate) fn hide(text: &str) -> String {
    let Some(url) = parts(text) else { return text.to_owned() };
    let mut shown = format!("{}://", url.scheme);
    match url.user.map(|user| (user, user.split_once(':'))) {
        Some((_, Some((name, password)))) if !is_reference(password) => {
            shown.push_str(&format!("{name}:{HIDDEN}@"));
        }
        Some((user, None)) if TOKENS.contains(&url.scheme) && !is_reference(user) => {
            shown.push_str(&format!("{HIDDEN}@"));
        }
        Some((user, _)) => shown.push_str(&format!("{user}@")),
        None => {}
    }
    shown.push_str(url.rest);
    for (index, parameter) in url.query.into_iter().flat_map(|it| it.split('&')).enumerate() {
        shown.push(if index == 0 { '?' } else { '&' });
        match parameter.split_once('=') {
            Some((name, value)) if is_secret_parameter(name) && !is_reference(value) => {
                shown.push_str(&format!("{name}={HIDDEN}"));
            }
            _ => shown.push_str(parameter),
        }
    }
    shown
}

/// What [`hide`] would hide of it, as written and decoded.
fn secrets_of(url: &str) -> Vec<String> {
    let mut secrets = Vec::new();
    let Some(url) = parts(url) else { return secrets };
    let mut found = |text: &str| {
        if !is_reference(text) {
            secrets.push(text.to_owned());
            secrets.push(decoded(text));
            // What a parser takes for a host or a port, it names in its error.
            secrets.extend(
                text.split(['/', '@', ':', '?', '#'])
                    .skip_while(|it| *it == text)
                    .map(str::to_owned),
            );
        }
    };
    match url.user.map(|user| (user, user.split_once(':'))) {
        Some((_, Some((_, password)))) => found(password),
        Some((user, None)) if TOKENS.contains(&url.scheme) => found(user),
        _ => {}
    }
    for parameter in url.query.into_iter().flat_map(|it| it.split('&')) {
        if let Some((name, value)) = parameter.split_once('=')
            && is_secret_parameter(name)
        {
            found(value);
        }
    }
    secrets
}

/// Those of every URL of a text.
pub(super) fn secrets_of_text(text: &str) -> Vec<String> {
    let ends = |letter: char| letter.is_whitespace() || "\"'<>`".contains(letter);
    text.split(ends)
        .filter(|word| word.contains("://"))
        .flat_map(|word| {
            let start = word.find("://").unwrap_or_default();
            let scheme = word[..start]
                .rfind(|letter: char| !letter.is_ascii_alphanumeric() && !"+-.".contains(letter))
                .map_or(0, |at| at + 1);
            let url = word.get(scheme..).unwrap_or(word);
            // What closes a list or a sentence is not a part of it, or it is.
            let mut secrets = secrets_of(url);
            secrets.extend(secrets_of(url.trim_end_matches([',', ';', ')', ']', '}', '.'])));
            secrets
        })
        .collect()
}

fn is_secret_parameter(name: &str) -> bool {
    let folded = name.to_ascii_lowercase().replace(['-', '_', '.'], "");
    PARAMETERS.contains(&folded.as_str()) || SOUNDS.iter().any(|word| folded.contains(word))
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = |digit: u8| char::from(digit).to_digit(16);
        match (first, after) {
            (b'%', [high, low, others @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                let byte = hex(*high).unwrap_or_default() * 16 + hex(*low).unwrap_or_default();
                bytes.push(u8::try_from(byte).unwrap_or_default());
                rest = others;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `$NAME` or `${NAME}` and nothing else: it reveals no secret.
pub(super) fn is_reference(text: &str) -> bool {
    super::sources::reference(text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_secret_parameters_are_hidden() {
        for (url, shown) in [
            ("sftp://me:p@ss/w@host:22/x", "sftp://me:***@host:22/x"),
            ("sftp://me:p?s@host/x", "sftp://me:***@host/x"),
            ("sftp://me:$PW@host/x", "sftp://me:$PW@host/x"),
            ("sftp://me@host/x", "sftp://me@host/x"),
            ("https://token@host/x", "https://***@host/x"),
            (
                "s3://b/p?endpoint=h&secret-access-key=s&access_key_id=t",
                "s3://b/p?endpoint=h&secret-access-key=***&access_key_id=***",
            ),
            ("abs://account@container/p?sig=abc", "abs://account@container/p?sig=***"),
            (
                "https://h/a?X-Amz-Signature=a&X-Amz-Date=b",
                "https://h/a?X-Amz-Signature=***&X-Amz-Date=b",
            ),
            ("https://h/a?next=x@y&token=z", "https://h/a?next=x@y&token=***"),
            ("/no/url:x@y", "/no/url:x@y"),
        ] {
            assert_eq!(hide(url), shown);
        }
    }

    #[test]
    fn the_secrets_of_a_text_are_found() {
        let text = "cannot open \"sftp://me:p%40ss%2Fword@h/x\", [s3://b?token=abcdef], $X";
        let found = secrets_of_text(text);
        for secret in ["p%40ss%2Fword", "p@ss/word", "abcdef"] {
            assert!(found.iter().any(|it| it == secret), "{secret}: {found:?}");
        }
        assert!(secrets_of_text("nothing: here // at all").is_empty());
    }
}
