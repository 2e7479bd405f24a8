//! AWS's chain of credentials, in the order of the library that litestream has, as far as
//! it is known for certain. The rest is left to litestream.

use std::collections::BTreeMap;

use crate::config::Unsupported;
use crate::environment::Environment;
use crate::litestream::replica::objects::ini;

/// Where the keys come from. It has no `Debug`: there are secrets in it.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum AwsKeys {
    Static {
        key: String,
        secret: String,
        token: Option<String>,
    },
    /// A token in a file, exchanged for keys.
    WebIdentity {
        file: String,
        role: String,
        session: Option<String>,
    },
    /// Those of a container, at this path of its fixed address.
    Container {
        path: String,
    },
    /// Those of a container, at this address, with the token of a file.
    ContainerAt {
        url: String,
        token_file: String,
    },
    /// Those of the machine.
    Instance {
        endpoint: Option<String>,
        first_version: bool,
    },
}

/// What a profile may say without any effect on where requests go.
const HARMLESS: [&str; 9] = [
    "region",
    "output",
    "cli_pager",
    "cli_auto_prompt",
    "cli_timestamp_format",
    "aws_account_id",
    "max_attempts",
    "retry_mode",
    "sts_regional_endpoints",
];
/// The keys in a profile.
const KEYS: [&str; 3] = ["aws_access_key_id", "aws_secret_access_key", "aws_session_token"];
/// How a profile says where keys come from: of no effect when they are known.
const SOURCES: [&str; 16] = [
    "credential_process",
    "credential_source",
    "duration_seconds",
    "external_id",
    "login_session",
    "mfa_serial",
    "role_arn",
    "role_session_name",
    "source_profile",
    "sso_account_id",
    "sso_region",
    "sso_registration_scopes",
    "sso_role_name",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
];

/// What changes where requests go, whatever the keys are.
pub(super) fn detours(environment: &Environment, has_endpoint: bool) -> Result<(), Unsupported> {
    for name in ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"] {
        if environment.get(name).is_some_and(|value| !value.eq_ignore_ascii_case("false")) {
            return Err(Unsupported::new(format!("{name} is set")));
        }
    }
    let endpoints = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
    match endpoints.into_iter().find(|name| environment.get(name).is_some()) {
        Some(name) if !has_endpoint => Err(Unsupported::new(format!("{name} is set"))),
        _ => Ok(()),
    }
}

/// The profile, which litestream's library reads even when the keys are known.
pub(super) fn profile(
    environment: &Environment,
    has_keys: bool,
) -> Result<BTreeMap<String, String>, Unsupported> {
    let keys = ini::profile(environment)?;
    let fine = |key: &str| {
        HARMLESS.contains(&key) || KEYS.contains(&key) || (has_keys && SOURCES.contains(&key))
    };
    match keys.keys().find(|key| !fine(key)) {
        Some(key) => Err(Unsupported::new(format!("the AWS profile has the setting `{key}`"))),
        None => Ok(keys),
    }
}

/// The keys where the replica has none of its own.
pub(super) fn chain(environment: &Environment) -> Result<AwsKeys, Unsupported> {
    let get = |name: &str| environment.get(name).map(str::to_owned);
    // Litestream copies its own variables where AWS's are not set.
    let key = get("AWS_ACCESS_KEY_ID")
        .or_else(|| get("LITESTREAM_ACCESS_KEY_ID"))
        .or_else(|| get("AWS_ACCESS_KEY"));
    let secret = get("AWS_SECRET_ACCESS_KEY")
        .or_else(|| get("LITESTREAM_SECRET_ACCESS_KEY"))
        .or_else(|| get("AWS_SECRET_KEY"));
    if let (Some(key), Some(secret)) = (key, secret) {
        profile(environment, true)?;
        return Ok(AwsKeys::Static { key, secret, token: get("AWS_SESSION_TOKEN") });
    }
    if let Some(file) = get("AWS_WEB_IDENTITY_TOKEN_FILE") {
        profile(environment, true)?;
        for name in ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"] {
            if environment.get(name).is_some() {
                return Err(Unsupported::new(format!("{name} is set")));
            }
        }
        let role = get("AWS_ROLE_ARN")
            .ok_or_else(|| Unsupported::new("AWS_WEB_IDENTITY_TOKEN_FILE has no AWS_ROLE_ARN"))?;
        return Ok(AwsKeys::WebIdentity { file, role, session: get("AWS_ROLE_SESSION_NAME") });
    }
    let mut profile = profile(environment, false)?;
    let [key, secret, token] = KEYS.map(|key| profile.remove(key).filter(|it| !it.is_empty()));
    match (key, secret) {
        (Some(key), Some(secret)) => return Ok(AwsKeys::Static { key, secret, token }),
        (None, None) => {}
        _ => return Err(Unsupported::new("the AWS profile has one key of two")),
    }
    if environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN").is_some() {
        return Err(Unsupported::new("AWS_CONTAINER_AUTHORIZATION_TOKEN is set"));
    }
    let token_file = get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    let path = get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let url = get("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    match (path, url, token_file) {
        (Some(path), _, None) => return Ok(AwsKeys::Container { path }),
        (None, Some(url), Some(token_file)) => {
            return Ok(AwsKeys::ContainerAt { url, token_file });
        }
        (None, None, _) => {}
        _ => return Err(Unsupported::new("the keys of its container are given in another way")),
    }
    let truth =
        |name: &str| environment.get(name).is_some_and(|it| it.eq_ignore_ascii_case("true"));
    if truth("AWS_EC2_METADATA_DISABLED") {
        return Err(Unsupported::new("it has no keys"));
    }
    if environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE").is_some() {
        return Err(Unsupported::new("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE is set"));
    }
    let endpoint = get("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    let endpoint = endpoint.map(|it| it.trim_end_matches('/').to_owned());
    Ok(AwsKeys::Instance { endpoint, first_version: !truth("AWS_EC2_METADATA_V1_DISABLED") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Result<AwsKeys, String> {
        // A home without files.
        let pairs = [("HOME", "/nowhere")].into_iter().chain(pairs.iter().copied());
        chain(&pairs.collect()).map_err(|why| why.to_string())
    }

    fn given(key: &str, secret: &str, token: Option<&str>) -> AwsKeys {
        AwsKeys::Static { key: key.into(), secret: secret.into(), token: token.map(str::to_owned) }
    }

    #[track_caller]
    fn is(pairs: &[(&str, &str)], wanted: &AwsKeys) {
        match of(pairs) {
            Ok(keys) => assert!(keys == *wanted, "{pairs:?} gives other keys"),
            Err(why) => panic!("{pairs:?}: {why}"),
        }
    }

    #[test]
    fn keys_of_the_variables() {
        let (key, secret) = (("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s"));
        is(&[key, secret], &given("k", "s", None));
        is(&[key, secret, ("AWS_SESSION_TOKEN", "t")], &given("k", "s", Some("t")));
        is(&[("AWS_ACCESS_KEY", "k"), ("AWS_SECRET_KEY", "s")], &given("k", "s", None));
        let own = [("LITESTREAM_ACCESS_KEY_ID", "lk"), ("LITESTREAM_SECRET_ACCESS_KEY", "ls")];
        is(&own, &given("lk", "ls", None));
        is(&[own[0], own[1], key, secret], &given("k", "s", None));
        let file = ("AWS_WEB_IDENTITY_TOKEN_FILE", "f");
        is(&[key, secret, file], &given("k", "s", None));
    }

    #[test]
    fn a_web_identity() {
        let file = ("AWS_WEB_IDENTITY_TOKEN_FILE", "f");
        let role = ("AWS_ROLE_ARN", "r");
        let wanted = AwsKeys::WebIdentity { file: "f".into(), role: "r".into(), session: None };
        is(&[file, role], &wanted);
        assert!(of(&[file]).is_err());
        assert!(of(&[file, role, ("AWS_ENDPOINT_URL_STS", "http://x")]).is_err());
    }

    #[test]
    fn roles_of_containers_and_machines() {
        let path = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/p");
        let url = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1");
        let file = ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "f");
        is(&[path], &AwsKeys::Container { path: "/p".into() });
        is(&[url, file], &AwsKeys::ContainerAt { url: url.1.into(), token_file: "f".into() });
        for odd in [
            vec![url],
            vec![path, file],
            vec![path, ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "t")],
            vec![("AWS_EC2_METADATA_DISABLED", "TRUE")],
            vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6")],
        ] {
            assert!(of(&odd).is_err(), "{odd:?}");
        }
        is(&[], &AwsKeys::Instance { endpoint: None, first_version: true });
        let there = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1/");
        is(
            &[there, ("AWS_EC2_METADATA_V1_DISABLED", "true")],
            &AwsKeys::Instance {
                endpoint: Some("http://127.0.0.1:1".into()),
                first_version: false,
            },
        );
    }

    #[test]
    fn keys_of_a_profile() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credentials");
        let config = ("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap());
        let write = |text: &str| std::fs::write(&file, text).unwrap();
        let keys = "aws_access_key_id = k\naws_secret_access_key = s\n";
        write(&format!("[default]\n{keys}region = eu-west-1\n"));
        is(&[config], &given("k", "s", None));
        write(&format!("[p]\n{keys}aws_session_token = t\n"));
        is(&[config, ("AWS_PROFILE", "p")], &given("k", "s", Some("t")));
        let (key, secret) = (("AWS_ACCESS_KEY_ID", "e"), ("AWS_SECRET_ACCESS_KEY", "e"));
        for (text, with_keys) in [
            ("[default]\naws_access_key_id = k\n", true),
            ("[default]\nrole_arn = r\nsource_profile = x\n", true),
            ("[default]\nsso_session = r\n", true),
            ("[default]\ncredential_process = r\n", true),
            ("[default]\nendpoint_url = http://x\n", false),
            ("[default]\nuse_fips_endpoint = true\n", false),
            ("[default]\nwhatever = true\n", false),
        ] {
            write(text);
            assert!(of(&[config]).is_err(), "{text}");
            assert_eq!(of(&[config, key, secret]).is_ok(), with_keys, "{text}");
        }
    }

    #[test]
    fn variables_that_send_requests_elsewhere() {
        let fine = |pairs: &[(&str, &str)], has_endpoint| {
            detours(&pairs.iter().copied().collect(), has_endpoint).is_ok()
        };
        assert!(fine(&[], false) && fine(&[("AWS_USE_FIPS_ENDPOINT", "false")], false));
        assert!(!fine(&[("AWS_USE_FIPS_ENDPOINT", "true")], true));
        assert!(!fine(&[("AWS_USE_DUALSTACK_ENDPOINT", "1")], true));
        assert!(!fine(&[("AWS_ENDPOINT_URL", "http://x")], false));
        assert!(fine(&[("AWS_ENDPOINT_URL_S3", "http://x")], true));
    }
}
