//! Litestream's settings of S3 and of what speaks like it, as litestream 0.5.17 reads
//! them. Source: its `s3/replica_client.go`, `replica_url.go` and `cmd/litestream/main.go`.

use std::net::IpAddr;

use object_store::aws::AmazonS3Builder;
use reqwest::Url;

use crate::config::{ReplicaOrigin, ReplicaSettings, Unsupported};
use crate::environment::Environment;
use crate::litestream::replica::objects::aws::{self, AwsKeys};
use crate::litestream::replica::objects::client::Wire;
use crate::litestream::replica::objects::hosts::{
    REGION, always_path_style, check_bucket, is_ip, is_of_amazon, parse_endpoint, parse_host,
    provider, with_scheme,
};

/// What a bucket needs. It has no `Debug`: there are secrets in it.
pub(super) struct S3 {
    pub(super) bucket: String,
    /// In front of the level, as it is in the names of the objects.
    pub(super) path: String,
    /// None where the bucket has to be asked.
    pub(super) region: Option<String>,
    /// With its scheme; none for Amazon's own.
    endpoint: Option<Url>,
    path_style: bool,
    sign_payload: bool,
    pub(super) skip_verify: bool,
    /// The customer's key, in base64.
    sse: Option<String>,
    keys: AwsKeys,
}

impl S3 {
    pub(super) fn of(
        settings: &ReplicaSettings,
        environment: &Environment,
    ) -> Result<Self, Unsupported> {
        let entry = settings.origin == ReplicaOrigin::Entry;
        let of_url = settings.url.as_ref().map(|url| parse_host(&url.host)).transpose()?;
        if of_url.is_some() && (settings.get("path").is_some() || settings.get("bucket").is_some())
        {
            return Err(Unsupported::new("it has a `url` and a `path` or a `bucket`"));
        }
        let query = |name: &str| {
            settings.url.as_ref().and_then(|url| url.parameter(name)).filter(|it| !it.is_empty())
        };
        known_parameters(settings, entry)?;
        let is_url = of_url.is_some();
        let mut of_url = of_url.unwrap_or_default();
        if let Some(endpoint) = query("endpoint") {
            of_url.endpoint = Some(with_scheme(endpoint));
            of_url.path_style = true;
        }
        of_url.region = query("region").map(str::to_owned).or(of_url.region);
        // Litestream has the values of the two kinds of URL in different spellings.
        let truth = |names: &[&str]| -> Result<Option<bool>, Unsupported> {
            match names.iter().find_map(|name| query(name)) {
                None => Ok(None),
                Some("true") => Ok(Some(true)),
                Some("false") => Ok(Some(false)),
                Some(_) => {
                    let name = names.first().unwrap_or(&"");
                    Err(Unsupported::new(format!("`{name}` of its URL is neither true nor false")))
                }
            }
        };
        let url_path_style = truth(&["forcePathStyle", "force-path-style"])?;
        of_url.path_style = url_path_style.unwrap_or(of_url.path_style);
        let url_skip = truth(&["skipVerify", "skip-verify"])?;
        let url_sign = truth(&["signPayload", "sign-payload"])?;

        let own_endpoint = settings.get("endpoint").map(str::to_owned);
        let own_style = settings.truth("force-path-style")?;
        let mut path_style = own_style.unwrap_or(own_endpoint.is_some()) || of_url.path_style;
        let mut endpoint = own_endpoint.or(of_url.endpoint);
        let style_is_set = if entry { own_style.is_some() } else { url_path_style.is_some() };
        if !entry
            && endpoint.is_none()
            && let Some(given) = environment.get("LITESTREAM_S3_ENDPOINT")
        {
            endpoint = Some(with_scheme(given));
            path_style |= !style_is_set;
        }
        if let Some(endpoint) = &endpoint {
            provider(endpoint)?;
            path_style |= !style_is_set && always_path_style(endpoint);
        }
        let endpoint = endpoint.as_deref().map(parse_endpoint).transpose()?;
        aws::detours(environment, endpoint.is_some())?;

        let bucket = settings.get("bucket").map(str::to_owned).unwrap_or(of_url.bucket);
        check_bucket(&bucket)?;
        let region = settings.get("region").map(str::to_owned).or(of_url.region);
        let region = match (&endpoint, region) {
            (Some(_), None) => Some(REGION.to_owned()),
            (None, Some(region)) if !is_of_amazon(&region) => {
                return Err(Unsupported::new(format!("lsrun does not know the region {region}")));
            }
            (_, region) => region,
        };
        if let Some(endpoint) = &endpoint
            && !path_style
            && !is_ip(endpoint)
            && bucket.contains('.')
        {
            return Err(Unsupported::new(
                "its bucket has a dot in its name, and is part of a host",
            ));
        }
        let path = match &settings.url {
            Some(url) if is_url => clean_of_url(&url.path)?,
            _ => settings.get("path").unwrap_or_default().to_owned(),
        };
        let sse = customer_key(settings, &query, endpoint.as_ref())?;
        Ok(Self {
            bucket,
            path,
            region,
            endpoint,
            path_style,
            sign_payload: settings.truth("sign-payload")?.or(url_sign).unwrap_or(true),
            skip_verify: url_skip.or(settings.truth("skip-verify")?).unwrap_or(false),
            sse,
            keys: keys(settings, environment)?,
        })
    }

    pub(super) fn wire(&self) -> Wire {
        let plain = |url: &Url| url.scheme() == "http";
        // What the keys are asked of speaks plain http on the machine itself.
        let local = !matches!(self.keys, AwsKeys::Static { .. } | AwsKeys::WebIdentity { .. });
        Wire {
            plain: local || self.endpoint.as_ref().is_some_and(plain),
            skip_verify: self.skip_verify,
        }
    }

    pub(super) fn builder(&self, region: &str) -> AmazonS3Builder {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&self.bucket)
            .with_region(region)
            .with_unsigned_payload(!self.sign_payload);
        match &self.endpoint {
            None => {
                // A name with a dot is not covered by Amazon's certificate.
                let hosted = !self.path_style && !self.bucket.contains('.');
                builder = builder.with_virtual_hosted_style_request(hosted);
            }
            Some(endpoint) => {
                let base = endpoint.as_str().trim_end_matches('/');
                let hosted = !self.path_style && !is_ip(endpoint);
                builder =
                    builder.with_virtual_hosted_style_request(hosted).with_endpoint(if hosted {
                        base.replacen("://", &format!("://{}.", self.bucket), 1)
                    } else {
                        base.to_owned()
                    });
            }
        }
        if let Some(key) = &self.sse {
            builder = builder.with_ssec_encryption(key);
        }
        use object_store::aws::AmazonS3ConfigKey as Key;
        match self.keys.clone() {
            AwsKeys::Static { key, secret, token } => {
                builder = builder.with_access_key_id(key).with_secret_access_key(secret);
                if let Some(token) = token {
                    builder = builder.with_token(token);
                }
            }
            AwsKeys::WebIdentity { file, role, session } => {
                builder = builder
                    .with_config(Key::WebIdentityTokenFile, file)
                    .with_config(Key::RoleArn, role);
                if let Some(session) = session {
                    builder = builder.with_config(Key::RoleSessionName, session);
                }
            }
            AwsKeys::Container { path } => {
                builder = builder.with_config(Key::ContainerCredentialsRelativeUri, path);
            }
            AwsKeys::ContainerAt { url, token_file } => {
                builder = builder
                    .with_config(Key::ContainerCredentialsFullUri, url)
                    .with_config(Key::ContainerAuthorizationTokenFile, token_file);
            }
            AwsKeys::Instance { endpoint, first_version } => {
                if let Some(endpoint) = endpoint {
                    builder = builder.with_metadata_endpoint(endpoint);
                }
                if first_version {
                    builder = builder.with_imdsv1_fallback();
                }
            }
        }
        builder
    }

    /// Every secret in it.
    pub(super) fn secrets(&self) -> Vec<&str> {
        let mut secrets: Vec<&str> = self.sse.as_deref().into_iter().collect();
        if let AwsKeys::Static { secret, token, .. } = &self.keys {
            secrets.push(secret);
            secrets.extend(token.as_deref());
        }
        secrets
    }
}

/// The keys that the replica names, or those of the chain.
fn keys(settings: &ReplicaSettings, environment: &Environment) -> Result<AwsKeys, Unsupported> {
    let named = |own: &str, variables: [&str; 2]| {
        if settings.origin == ReplicaOrigin::Entry {
            settings.get(own)
        } else {
            variables.into_iter().find_map(|name| environment.get(name))
        }
    };
    let key = named("access-key-id", ["AWS_ACCESS_KEY_ID", "LITESTREAM_ACCESS_KEY_ID"]);
    let secret =
        named("secret-access-key", ["AWS_SECRET_ACCESS_KEY", "LITESTREAM_SECRET_ACCESS_KEY"]);
    match (key, secret) {
        (Some(key), Some(secret)) => {
            aws::profile(environment, true)?;
            Ok(AwsKeys::Static { key: key.to_owned(), secret: secret.to_owned(), token: None })
        }
        (None, None) => aws::chain(environment),
        _ => Err(Unsupported::new("it has one key of two")),
    }
}

/// Litestream ignores parameters that it does not know.
fn known_parameters(settings: &ReplicaSettings, entry: bool) -> Result<(), Unsupported> {
    let common = [
        "endpoint",
        "region",
        "forcePathStyle",
        "skipVerify",
        "signPayload",
        "sign-payload",
        "requireContentMD5",
        "require-content-md5",
        "storageClass",
        "storage-class",
        "partSize",
        "part-size",
        "concurrency",
    ];
    let of_the_command_line = [
        "force-path-style",
        "skip-verify",
        "sseCustomerAlgorithm",
        "sse-customer-algorithm",
        "sseCustomerKey",
        "sse-customer-key",
        "sseKmsKeyId",
        "sse-kms-key-id",
    ];
    let known =
        |name: &str| common.contains(&name) || (!entry && of_the_command_line.contains(&name));
    let mut names = settings.url.iter().flat_map(|url| url.parameters());
    match names.find(|name| !known(name)) {
        Some(name) => {
            Err(Unsupported::new(format!("lsrun does not know the parameter `{name}` of its URL")))
        }
        None if settings.url.as_ref().is_some_and(|url| !url.user.is_empty()) => {
            Err(Unsupported::new("its URL names a user"))
        }
        None => Ok(()),
    }
}

/// The path of a URL as Go cleans it.
fn clean_of_url(path: &str) -> Result<String, Unsupported> {
    let bare = path.strip_prefix('/').unwrap_or(path);
    let bare = bare.strip_suffix('/').unwrap_or(bare);
    if bare.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(Unsupported::new("lsrun cannot read the path of its URL"));
    }
    Ok(bare.to_owned())
}

/// The customer's key of an encrypted bucket.
fn customer_key<'q>(
    settings: &ReplicaSettings,
    query: &dyn Fn(&str) -> Option<&'q str>,
    endpoint: Option<&Url>,
) -> Result<Option<String>, Unsupported> {
    let either = |own: &str, one: &str| {
        settings.get(own).or_else(|| query(one)).or_else(|| query(own)).map(str::to_owned)
    };
    let key = match settings.get("sse-customer-key-path") {
        Some(path) => Some(
            std::fs::read_to_string(path)
                .map_err(|error| {
                    Unsupported::new(format!("its `sse-customer-key-path` cannot be read: {error}"))
                })?
                .trim()
                .to_owned(),
        ),
        None => either("sse-customer-key", "sseCustomerKey"),
    };
    let Some(key) = key.filter(|key| !key.is_empty()) else { return Ok(None) };
    if either("sse-customer-algorithm", "sseCustomerAlgorithm").is_some_and(|it| it != "AES256") {
        return Err(Unsupported::new("its `sse-customer-algorithm` is not AES256"));
    }
    if either("sse-kms-key-id", "sseKmsKeyId").is_some() {
        return Err(Unsupported::new("it has a customer's key and one of KMS"));
    }
    let signs = |it: char| it.is_ascii_alphanumeric() || "+/=".contains(it);
    // 32 bytes in base64.
    if key.len() != 44 || !key.ends_with('=') || !key.chars().all(signs) {
        return Err(Unsupported::new("its `sse-customer-key` is not 32 bytes in base64"));
    }
    if let Some(url) = endpoint.filter(|url| url.scheme() == "http") {
        let host = url.host_str().unwrap_or_default();
        let near = match host.trim_start_matches('[').trim_end_matches(']').parse() {
            Ok(IpAddr::V4(address)) => address.is_loopback() || address.is_private(),
            Ok(IpAddr::V6(address)) => address.is_loopback(),
            Err(_) => host == "localhost",
        };
        if !near {
            return Err(Unsupported::new("its `sse-customer-key` would go over plain http"));
        }
    }
    Ok(Some(key))
}

#[cfg(test)]
mod tests {
    use object_store::aws::AmazonS3ConfigKey as Key;

    use super::*;

    const ENTRY: [(&str, &str); 5] = [
        ("type", "s3"),
        ("bucket", "b"),
        ("path", "p"),
        ("access-key-id", "k"),
        ("secret-access-key", "s"),
    ];

    fn entry(more: &[(&str, &str)]) -> Result<S3, String> {
        with(more, &[])
    }

    fn with(more: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<S3, String> {
        let keys: Vec<_> = ENTRY
            .iter()
            .filter(|(key, _)| !more.iter().any(|(other, _)| other == key))
            .chain(more.iter().filter(|(_, value)| !value.is_empty()))
            .copied()
            .collect();
        let variables = [("HOME", "/nowhere")].iter().chain(variables);
        ReplicaSettings::of_keys(&keys)
            .and_then(|settings| S3::of(&settings, &variables.copied().collect()))
            .map_err(|why| why.to_string())
    }

    fn url(url: &str, variables: &[(&str, &str)]) -> Result<S3, String> {
        let keys = [
            ("HOME", "/nowhere"),
            ("LITESTREAM_ACCESS_KEY_ID", "k"),
            ("LITESTREAM_SECRET_ACCESS_KEY", "s"),
        ];
        let variables = keys.iter().chain(variables).copied().collect();
        ReplicaSettings::of_url(url)
            .and_then(|settings| S3::of(&settings, &variables))
            .map_err(|why| why.to_string())
    }

    /// The address that requests go to, of Amazon or of an endpoint.
    fn address(s3: &S3) -> (Option<String>, bool) {
        let builder = s3.builder(s3.region.as_deref().unwrap_or("?"));
        let endpoint = builder.get_config_value(&Key::Endpoint);
        let hosted = builder.get_config_value(&Key::VirtualHostedStyleRequest).unwrap();
        (endpoint, hosted == "true")
    }

    #[test]
    fn where_requests_go() {
        let at = |more: &[(&str, &str)]| address(&entry(more).unwrap());
        let to = |text: &str, hosted| (Some(text.to_owned()), hosted);
        assert_eq!(at(&[]), (None, true));
        assert_eq!(at(&[("bucket", "a.b")]), (None, false));
        assert_eq!(at(&[("force-path-style", "true")]), (None, false));
        let http = ("endpoint", "http://127.0.0.1:9000/");
        assert_eq!(at(&[http]), to("http://127.0.0.1:9000", false));
        assert_eq!(at(&[http, ("force-path-style", "false")]), to("http://127.0.0.1:9000", false));
        let named = ("endpoint", "s3.example");
        assert_eq!(at(&[named]), to("https://s3.example", false));
        assert_eq!(at(&[named, ("force-path-style", "false")]), to("https://b.s3.example", true));
        let ported = ("endpoint", "http://minio:9000");
        let hosted = ("force-path-style", "false");
        assert_eq!(at(&[ported, hosted]), to("http://b.minio:9000", true));
        for (endpoint, why) in [
            ("https://fly.storage.tigris.dev", "Tigris"),
            ("https://storage.googleapis.com", "Google"),
            ("https://s3.dualstack.eu-west-1.amazonaws.com", "Amazon"),
            ("ftp://x", "endpoint"),
            ("https://x/y", "endpoint"),
            ("https://u:p@x", "endpoint"),
            ("https://x?y=z", "endpoint"),
        ] {
            let said = entry(&[("endpoint", endpoint)]).err().expect(endpoint);
            assert!(said.contains(why), "{said}");
        }
        assert!(entry(&[named, hosted, ("bucket", "a.b")]).is_err());
    }

    #[test]
    fn regions() {
        let region = |more: &[(&str, &str)]| entry(more).map(|s3| s3.region);
        assert_eq!(region(&[]), Ok(None));
        assert_eq!(region(&[("region", "eu-west-3")]), Ok(Some("eu-west-3".into())));
        assert_eq!(region(&[("region", "us-gov-west-1")]), Ok(Some("us-gov-west-1".into())));
        for other in ["cn-north-1", "us-iso-east-1", "aws-global", "auto"] {
            assert!(region(&[("region", other)]).is_err(), "{other}");
            let endpoint = ("endpoint", "https://s3.example");
            assert_eq!(region(&[endpoint, ("region", other)]), Ok(Some(other.into())));
        }
        assert_eq!(region(&[("endpoint", "https://s3.example")]), Ok(Some(REGION.into())));
    }

    #[test]
    fn the_other_settings() {
        let value = |more: &[(&str, &str)], key: &Key| {
            entry(more).unwrap().builder("r").get_config_value(key)
        };
        assert_eq!(value(&[], &Key::UnsignedPayload).unwrap(), "false");
        assert_eq!(value(&[("sign-payload", "false")], &Key::UnsignedPayload).unwrap(), "true");
        assert_eq!(value(&[], &Key::AccessKeyId).unwrap(), "k");
        assert_eq!(value(&[], &Key::SecretAccessKey).unwrap(), "s");
        assert_eq!(value(&[], &Key::Token), None);
        assert!(entry(&[("skip-verify", "true")]).unwrap().wire().skip_verify);
        assert!(!entry(&[]).unwrap().wire().skip_verify);
        assert!(entry(&[("endpoint", "http://x:1")]).unwrap().wire().plain);
        assert!(!entry(&[("endpoint", "x")]).unwrap().wire().plain);
        for fine in [
            ("storage-class", "STANDARD_IA"),
            ("part-size", "10MB"),
            ("concurrency", "2"),
            ("sync-interval", "1s"),
            ("require-content-md5", "false"),
            ("sse-kms-key-id", "x"),
            ("name", "x"),
        ] {
            assert!(entry(&[fine]).is_ok(), "{fine:?}");
        }
        for odd in [
            ("force-path-style", "maybe"),
            ("secret-access-key", ""),
            ("access-key-id", ""),
            ("bucket", ""),
            ("bucket", "b--use1-az4--x-s3"),
            ("bucket", "arn:aws:s3:us-east-1:1:accesspoint/x"),
            ("url", "s3://b/p"),
        ] {
            assert!(entry(&[odd]).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn a_customers_key() {
        let key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
        let of = |more: &[(&str, &str)]| entry(more).map(|s3| s3.sse);
        let given = ("sse-customer-key", key);
        assert_eq!(of(&[given]), Ok(Some(key.into())));
        assert_eq!(of(&[given, ("sse-customer-algorithm", "AES256")]), Ok(Some(key.into())));
        assert_eq!(of(&[given, ("endpoint", "http://10.0.0.1:1")]), Ok(Some(key.into())));
        assert_eq!(of(&[]), Ok(None));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let path = ("sse-customer-key-path", file.to_str().unwrap());
        assert!(of(&[path]).is_err());
        std::fs::write(&file, format!("{key}\n")).unwrap();
        assert_eq!(of(&[path]), Ok(Some(key.into())));
        assert_eq!(entry(&[given]).unwrap().secrets(), [key, "s"]);
        for odd in [
            ("sse-customer-key", "short"),
            ("sse-customer-algorithm", "AES128"),
            ("sse-kms-key-id", "x"),
            ("endpoint", "http://s3.example"),
        ] {
            assert!(of(&[given, odd]).is_err() || odd.0 == given.0, "{odd:?}");
        }
        assert!(of(&[("sse-customer-key", "short")]).is_err());
    }

    #[test]
    fn urls_of_entries_and_of_the_command_line() {
        let in_entry = |url: &str| {
            entry(&[("url", url), ("bucket", ""), ("path", "")])
                .map(|s3| (s3.bucket.clone(), s3.path.clone(), address(&s3)))
        };
        let alone = |text: &str| {
            url(text, &[]).map(|s3| (s3.bucket.clone(), s3.path.clone(), address(&s3)))
        };
        let found = |path: &str, endpoint: Option<&str>, hosted| {
            Ok(("b".to_owned(), path.to_owned(), (endpoint.map(str::to_owned), hosted)))
        };
        for read in [&in_entry as &dyn Fn(&str) -> _, &alone] {
            assert_eq!(read("s3://b/p/q/"), found("p/q", None, true));
            assert_eq!(read("s3://b.s3.amazonaws.com/p"), found("p", None, true));
            assert_eq!(read("s3://b.s3.eu-west-1.amazonaws.com/p"), found("p", None, true));
            let minio = Some("http://localhost:9000");
            assert_eq!(read("s3://b.localhost:9000/p"), found("p", minio, false));
            assert_eq!(read("s3://b/p?endpoint=localhost:9000"), found("p", minio, false));
            let spaces = Some("https://b.fra1.digitaloceanspaces.com");
            assert_eq!(read("s3://b.fra1.digitaloceanspaces.com/p"), found("p", spaces, true));
            let backblaze = Some("https://s3.eu-1.backblazeb2.com");
            assert_eq!(read("s3://b.s3.eu-1.backblazeb2.com/p"), found("p", backblaze, false));
            let scaleway = Some("https://b.s3.fr-par.scw.cloud");
            assert_eq!(read("s3://b.s3.fr-par.scw.cloud/p"), found("p", scaleway, true));
            for odd in [
                "s3://b/p?versioning=true",
                "s3://b/p?endpoint=x&forcePathStyle=perhaps",
                "s3://b/../p",
                "s3://b.storage.example.com/p",
                "s3://localhost:9000/p",
                "s3://user@b/p",
            ] {
                assert!(read(odd).is_err(), "{odd}");
            }
        }
        assert!(alone("s3://b/p?force-path-style=true").is_ok());
        assert!(in_entry("s3://b/p?force-path-style=true").is_err(), "litestream ignores it");
        let key = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=".replace('=', "%3D");
        let encrypted = url(&format!("s3://b/p?sse-customer-key={key}"), &[]).unwrap();
        assert!(encrypted.sse.is_some());
    }

    #[test]
    fn keys_and_endpoints_of_the_environment() {
        let keys = [("access-key-id", ""), ("secret-access-key", "")];
        let aws = [("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s")];
        let token = ("AWS_SESSION_TOKEN", "t");
        let of_token = |s3: S3| s3.builder("r").get_config_value(&Key::Token);
        let chained = with(&keys, &[aws[0], aws[1], token]).unwrap();
        assert_eq!(of_token(chained).as_deref(), Some("t"));
        // Litestream gives the keys of an entry no token, nor those for a URL.
        assert_eq!(of_token(with(&[], &[token]).unwrap()), None);
        assert_eq!(of_token(url("s3://b/p", &[aws[0], aws[1], token]).unwrap()), None);
        let there = ("LITESTREAM_S3_ENDPOINT", "localhost:1");
        let address_of = |s3: S3| address(&s3).0;
        let local = Some("http://localhost:1".to_owned());
        assert_eq!(address_of(url("s3://b/p", &[there]).unwrap()), local);
        assert_eq!(address_of(with(&[], &[there]).unwrap()), None);
        assert!(with(&[], &[("AWS_ENDPOINT_URL", "http://x")]).is_err());
        assert!(with(&[], &[("AWS_USE_FIPS_ENDPOINT", "true")]).is_err());
        let instance = with(&keys, &[]).unwrap();
        assert!(instance.wire().plain && instance.secrets().is_empty());
    }
}
