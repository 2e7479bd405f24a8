//! Litestream's settings of Google Cloud Storage, as litestream 0.5.17 reads them, and
//! Google's chain of credentials as far as it is known for certain.

use std::path::{Path, PathBuf};

use object_store::gcp::GoogleCloudStorageBuilder;

use crate::config::{ReplicaSettings, Unsupported};
use crate::environment::Environment;
use crate::litestream::replica::objects::client::Wire;
use crate::litestream::replica::objects::layout::cleaned;

/// What a bucket needs.
#[derive(Debug)]
pub(super) struct Gs {
    pub(super) bucket: String,
    pub(super) path: String,
    credentials: GoogleCredentials,
}

#[derive(Debug, PartialEq, Eq)]
enum GoogleCredentials {
    /// A file with the key of a service account, or of a user.
    File { path: PathBuf, is_service: bool },
    /// Those of the machine.
    Instance,
}

impl Gs {
    pub(super) fn of(
        settings: &ReplicaSettings,
        environment: &Environment,
    ) -> Result<Self, Unsupported> {
        let (bucket, path) = bucket_and_path(settings)?;
        Ok(Self { bucket, path, credentials: credentials(environment)? })
    }

    pub(super) fn wire(&self) -> Wire {
        Wire { plain: self.credentials == GoogleCredentials::Instance, skip_verify: false }
    }

    pub(super) fn builder(&self) -> GoogleCloudStorageBuilder {
        let builder = GoogleCloudStorageBuilder::new().with_bucket_name(&self.bucket);
        match &self.credentials {
            GoogleCredentials::File { path, is_service: true } => {
                builder.with_service_account_path(path.display().to_string())
            }
            GoogleCredentials::File { path, is_service: false } => {
                builder.with_application_credentials(path.display().to_string())
            }
            GoogleCredentials::Instance => builder,
        }
    }
}

/// The bucket and the cleaned path, which Google and Azure have alike.
pub(super) fn bucket_and_path(settings: &ReplicaSettings) -> Result<(String, String), Unsupported> {
    let (own_bucket, own_path) = (settings.get("bucket"), settings.get("path"));
    let (bucket, path) = match &settings.url {
        Some(_) if own_bucket.is_some() || own_path.is_some() => {
            return Err(Unsupported::new("it has a `url` and a `path` or a `bucket`"));
        }
        Some(url) => {
            if let Some(name) = url.parameters().next() {
                return Err(Unsupported::new(format!(
                    "lsrun does not know the parameter `{name}` of its URL"
                )));
            }
            (url.host.as_str(), url.path.trim_start_matches('/'))
        }
        None => (own_bucket.unwrap_or_default(), own_path.unwrap_or_default()),
    };
    let plain = |sign: char| sign.is_ascii_alphanumeric() || "-._".contains(sign);
    if bucket.is_empty() || !bucket.chars().all(plain) {
        return Err(Unsupported::new("lsrun cannot read the name of its bucket"));
    }
    Ok((bucket.to_owned(), cleaned(path)?))
}

/// The first that Google's library would find.
fn credentials(environment: &Environment) -> Result<GoogleCredentials, Unsupported> {
    for name in [
        "STORAGE_EMULATOR_HOST",
        "GOOGLE_CLOUD_UNIVERSE_DOMAIN",
        "GOOGLE_CLOUD_QUOTA_PROJECT",
        "GOOGLE_API_USE_CLIENT_CERTIFICATE",
        "GOOGLE_API_USE_MTLS_ENDPOINT",
    ] {
        if environment.get(name).is_some_and(|value| value != "false" && value != "never") {
            return Err(Unsupported::new(format!("{name} is set")));
        }
    }
    if let Some(path) = environment.get("GOOGLE_APPLICATION_CREDENTIALS") {
        return file(Path::new(path));
    }
    let home = environment.get("HOME").map(Path::new);
    let usual = home.map(|home| home.join(".config/gcloud/application_default_credentials.json"));
    match usual {
        Some(path) if path.exists() => file(&path),
        _ => Ok(GoogleCredentials::Instance),
    }
}

fn file(path: &Path) -> Result<GoogleCredentials, Unsupported> {
    let broken =
        |why: &str| Unsupported::new(format!("Google's credentials in {} {why}", path.display()));
    let text = std::fs::read(path).map_err(|_| broken("cannot be read"))?;
    let content: serde_json::Value =
        serde_json::from_slice(&text).map_err(|_| broken("are not JSON"))?;
    let has = |key: &str| content.get(key).is_some();
    let odd = ["gcs_base_url", "disable_oauth", "quota_project_id"];
    if let Some(key) = odd.into_iter().find(|key| has(key)) {
        return Err(broken(&format!("have the key `{key}`")));
    }
    let universe = content.get("universe_domain").and_then(|it| it.as_str());
    if universe.is_some_and(|universe| universe != "googleapis.com") {
        return Err(broken("are of another universe"));
    }
    let usual = "https://oauth2.googleapis.com/token";
    if content.get("token_uri").and_then(|it| it.as_str()).is_some_and(|uri| uri != usual) {
        return Err(broken("have a `token_uri` of their own"));
    }
    let is_service = match content.get("type").and_then(|it| it.as_str()) {
        Some("service_account") => true,
        Some("authorized_user") => false,
        _ => return Err(broken("are of a kind that lsrun does not know")),
    };
    Ok(GoogleCredentials::File { path: path.to_owned(), is_service })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_and_paths() {
        let of = |keys: &[(&str, &str)]| {
            ReplicaSettings::of_keys(keys)
                .and_then(|settings| Gs::of(&settings, &Environment::default()))
                .map(|gs| (gs.bucket, gs.path))
                .map_err(|why| why.to_string())
        };
        let found = |path: &str| Ok(("b".to_owned(), path.to_owned()));
        let (kind, bucket) = (("type", "gs"), ("bucket", "b"));
        assert_eq!(of(&[kind, bucket, ("path", "a//b/./c/")]), found("a/b/c"));
        assert_eq!(of(&[kind, bucket]), found(""));
        assert_eq!(of(&[("url", "gs://b/a/b")]), found("a/b"));
        assert_eq!(of(&[("url", "gs://b")]), found(""));
        for odd in [
            &[kind][..],
            &[kind, bucket, ("path", "/a")],
            &[kind, bucket, ("path", "a/../b")],
            &[("url", "gs://b/a?x=y")],
            &[("url", "gs://b/a"), ("path", "c")],
            &[kind, ("bucket", "b/c")],
        ] {
            assert!(of(odd).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn the_chain_of_credentials() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        let of = |more: &[(&str, &str)]| {
            let pairs = [("HOME", home)].into_iter().chain(more.iter().copied());
            credentials(&pairs.collect()).map_err(|why| why.to_string())
        };
        assert_eq!(of(&[]), Ok(GoogleCredentials::Instance));
        assert!(of(&[("STORAGE_EMULATOR_HOST", "localhost:1")]).is_err());
        assert!(of(&[("GOOGLE_CLOUD_QUOTA_PROJECT", "x")]).is_err());
        let path = folder.path().join("key.json");
        let given = ("GOOGLE_APPLICATION_CREDENTIALS", path.to_str().unwrap());
        assert!(of(&[given]).unwrap_err().contains("cannot be read"));
        let found = |path: &Path, is_service| {
            Ok(GoogleCredentials::File { path: path.to_owned(), is_service })
        };
        std::fs::write(&path, r#"{"type":"service_account","universe_domain":"googleapis.com"}"#)
            .unwrap();
        assert_eq!(of(&[given]), found(&path, true));
        for odd in [
            r#"{"type":"external_account"}"#,
            r#"{"type":"service_account","gcs_base_url":"http://x"}"#,
            r#"{"type":"authorized_user","quota_project_id":"x"}"#,
            r#"{"type":"service_account","universe_domain":"x"}"#,
            r#"{"type":"service_account","token_uri":"https://x"}"#,
            "x",
        ] {
            std::fs::write(&path, odd).unwrap();
            assert!(of(&[given]).is_err(), "{odd}");
        }
        let usual = folder.path().join(".config/gcloud/application_default_credentials.json");
        std::fs::create_dir_all(usual.parent().unwrap()).unwrap();
        std::fs::write(&usual, r#"{"type":"authorized_user"}"#).unwrap();
        assert_eq!(of(&[]), found(&usual, false));
    }
}
