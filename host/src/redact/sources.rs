//! Where secrets are: names that sound like one, in the environment and in YAML, and
//! the forms in which one is written elsewhere.

use serde_yaml::Value;

/// Parts of a key's name, in lower case without `-` and `_`.
const SOUNDS: [&str; 10] = [
    "secret",
    "password",
    "passwd",
    "passphrase",
    "token",
    "credential",
    "accesskey",
    "apikey",
    "privatekey",
    "signature",
];
/// Whole names of keys.
const KEYS: [&str; 11] = [
    "accountkey",
    "ssecustomerkey",
    "jwt",
    "seed",
    "nkey",
    "sastoken",
    "pwd",
    "pass",
    "ping",
    "webhook",
    "dsn",
];

/// Whether the value of a key with this name is to be hidden.
pub(crate) fn sounds_secret(key: &str) -> bool {
    let folded = key.to_ascii_lowercase().replace(['-', '_', ' '], "");
    SOUNDS.iter().any(|part| folded.contains(part)) || KEYS.contains(&folded.as_str())
}

/// Whether the value of a variable is a secret: by its name, unless it is a path, a
/// switch or a number.
pub(super) fn is_secret_variable(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let about = ["_FILE", "_PATH", "_DIR", "_URI", "_URL", "_NAME", "_ID_FILE", "_SOCK"];
    let is_path = value.starts_with('/') && value.matches('/').count() > 1;
    if about.iter().any(|end| name.ends_with(end)) || is_path {
        return false;
    }
    let parts = ["SECRET", "TOKEN", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL"];
    parts.iter().any(|part| name.contains(part))
        || name.split('_').any(|part| {
            matches!(
                part,
                "KEY"
                    | "KEYS"
                    | "APIKEY"
                    | "JWT"
                    | "PASS"
                    | "PWD"
                    | "SIG"
                    | "NKEY"
                    | "SEED"
                    | "DSN"
            ) && name.contains('_')
                || matches!(part, "APIKEY" | "ACCESSKEY" | "PRIVATEKEY")
        }) && name != "OLD_PWD"
}

/// `NAME` of `$NAME` or `${NAME}`, where the text is nothing else.
pub(super) fn reference(text: &str) -> Option<&str> {
    let name = text.trim().strip_prefix('$')?;
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    (!name.is_empty() && name.chars().all(plain)).then_some(name)
}

/// The secrets of a YAML text: under keys that sound like one.
pub(super) fn of_yaml(
    text: &str,
    content: Option<&Value>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Vec<String> {
    let mut secrets = Vec::new();
    match content {
        Some(content) => of_value(content, false, &mut secrets),
        None => of_lines(text, &mut secrets),
    }
    let mut all = Vec::new();
    for secret in secrets {
        all.extend(behind_the_host(&secret).map(str::to_owned));
        match reference(&secret) {
            Some(name) => all.extend(variable(name)),
            None => {
                all.extend(within(&secret).filter_map(variable));
                all.push(secret);
            }
        }
    }
    all
}

/// The path and the query of a web address.
pub(super) fn behind_the_host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let (_, path) = rest.split_once('/')?;
    Some(path.trim_end_matches('/'))
}

/// The names of `${NAME}` and `${NAME:-default}` within a text.
fn within(text: &str) -> impl Iterator<Item = &str> {
    text.split("${").skip(1).filter_map(|rest| {
        let end = rest.find(['}', ':'])?;
        rest.get(..end)
    })
}

fn of_value(value: &Value, secret: bool, found: &mut Vec<String>) {
    match value {
        Value::String(text) if secret => found.push(text.clone()),
        Value::Number(number) if secret => found.push(number.to_string()),
        Value::Sequence(items) => items.iter().for_each(|item| of_value(item, secret, found)),
        Value::Mapping(entries) => {
            for (key, value) in entries {
                let secret = secret || key.as_str().is_some_and(sounds_secret);
                of_value(value, secret, found);
            }
        }
        Value::Tagged(tagged) => of_value(&tagged.value, secret, found),
        _ => {}
    }
}

/// Of what cannot be parsed: what follows `key:` on its line, and the lines below it
/// that are further in.
fn of_lines(text: &str, found: &mut Vec<String>) {
    let mut below: Option<usize> = None;
    for line in text.lines() {
        let depth = line.len() - line.trim_start().len();
        if let Some(limit) = below {
            if line.trim().is_empty() || depth > limit {
                found.push(bare(line).to_owned());
                continue;
            }
            below = None;
        }
        let mut rest = line;
        while let Some(colon) = rest.find(':') {
            let (before, after) = rest.split_at(colon);
            let after = &after[1..];
            let name = before.trim_end_matches(['"', '\'', ' ']);
            let start = name
                .rfind(|letter: char| !letter.is_alphanumeric() && letter != '-' && letter != '_');
            let key = start.map_or(name, |at| name.get(at + 1..).unwrap_or_default());
            if sounds_secret(key) {
                found.push(bare(after).to_owned());
                // In a flow mapping its end is a comma; in a value it is a part of it.
                if let Some((first, _)) = after.split_once([',', '}', '#']) {
                    found.push(bare(first).to_owned());
                }
                below = Some(depth);
            }
            rest = after;
        }
    }
}

/// A scalar without its quotes, and what closes a list or a mapping around it.
fn bare(text: &str) -> &str {
    let text = text.trim().trim_end_matches([',', '}', ']', '[', '{']).trim();
    // An item of a list, an anchor, a reference to one.
    let text = text.strip_prefix("- ").unwrap_or(text).trim_start_matches(['*', '&']);
    let text = text.strip_prefix(['"', '\'']).unwrap_or(text);
    text.strip_suffix(['"', '\'']).unwrap_or(text)
}

/// How a secret is written in JSON, XML and URLs.
pub(super) fn other_forms(secret: &str) -> Vec<String> {
    let mut forms = Vec::new();
    if let Ok(json) = serde_json::to_string(secret) {
        forms.push(json[1..json.len() - 1].to_owned());
    }
    let partly = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    forms.push(partly.replace('"', "&quot;").replace('\'', "&apos;"));
    forms.push(partly.replace('"', "&quot;"));
    forms.push(partly);
    forms.push(format!("{secret:?}")[1..].trim_end_matches('"').to_owned());
    for kept in ["-._~", "-._~/", "-._~!$&'()*+,;=:@/"] {
        forms.push(
            secret
                .bytes()
                .map(|byte| {
                    let letter = char::from(byte);
                    if byte.is_ascii_alphanumeric() || kept.contains(letter) && byte.is_ascii() {
                        letter.to_string()
                    } else {
                        format!("%{byte:02X}")
                    }
                })
                .collect(),
        );
    }
    forms.retain(|form| form != secret);
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_secret_by_their_name() {
        for name in ["AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "DB_PASSWORD", "STRIPE_KEY", "X_PASS"]
        {
            assert!(is_secret_variable(name, "abcdefgh"), "{name}");
        }
        for (name, value) in [
            ("KEYBOARD", "german"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token"),
            ("SSH_KEY", "/home/ann/.ssh/id"),
            ("PWD", "somewhere"),
            ("HOME", "/root"),
        ] {
            assert!(!is_secret_variable(name, value), "{name}");
        }
    }

    #[test]
    fn secrets_of_yaml_that_is_good_and_that_is_broken() {
        let variable = |name: &str| (name == "FROM").then(|| "of-the-environment".to_owned());
        let good = "a: {secret-access-key: 'one-one', b: [token: {x: two-two}]}\n\
                    password: |\n  three\n  more\nping: https://hc.example/four-four/\ntoken: $FROM\n\
                    webhook: https://x/${FROM:-y}\n";
        let content = serde_yaml::from_str(good).unwrap();
        let found = of_yaml(good, Some(&content), &variable);
        for secret in ["one-one", "two-two", "three\nmore\n", "four-four", "of-the-environment"] {
            assert!(found.iter().any(|it| it == secret), "{secret}: {found:?}");
        }
        let broken = "a: [\nsecret-access-key: 'one-one\nx: {token: two-two, y: z}\npassword: |\n  three\n  more\nb: c\n";
        let found = of_yaml(broken, None, &variable);
        for secret in ["one-one", "two-two", "three", "more"] {
            assert!(found.iter().any(|it| it == secret), "{secret}: {found:?}");
        }
        assert!(!found.iter().any(|it| it == "c"), "{found:?}");
    }
}
