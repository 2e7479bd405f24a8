//! Litestream's settings of Azure Blob Storage, as litestream 0.5.17 reads them, and
//! Azure's chain of credentials as far as it is known for certain.

use std::path::Path;

use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use reqwest::Url;

use crate::config::{ReplicaSettings, Unsupported};
use crate::environment::Environment;
use crate::litestream::replica::objects::client::Wire;
use crate::litestream::replica::objects::gs::bucket_and_path;

/// What a container needs. It has no `Debug`: there are secrets in it.
pub(super) struct Abs {
    pub(super) container: String,
    pub(super) path: String,
    account: String,
    endpoint: Option<Url>,
    credentials: AzureCredentials,
}

#[derive(PartialEq, Eq)]
enum AzureCredentials {
    Sas(String),
    Key(String),
    Client {
        id: String,
        secret: String,
        tenant: String,
    },
    /// A token in a file, exchanged for one of Azure's.
    Workload {
        id: String,
        file: String,
        tenant: String,
    },
    /// That of the machine.
    Managed {
        id: Option<String>,
    },
}

impl Abs {
    pub(super) fn of(
        settings: &ReplicaSettings,
        environment: &Environment,
    ) -> Result<Self, Unsupported> {
        let (container, path) = bucket_and_path(settings)?;
        let of_url = settings.url.as_ref().map(|url| url.user.as_str());
        let account = settings.get("account-name").or(of_url).unwrap_or_default().to_owned();
        if account.is_empty() || !account.chars().all(|it| it.is_ascii_alphanumeric()) {
            return Err(Unsupported::new("lsrun cannot read the name of its account"));
        }
        let endpoint = settings.get("endpoint").map(|endpoint| {
            let url = Url::parse(endpoint).ok().filter(|url| {
                matches!(url.scheme(), "http" | "https")
                    && url.query().is_none()
                    && url.fragment().is_none()
                    && url.username().is_empty()
                    && url.password().is_none()
            });
            url.ok_or_else(|| Unsupported::new("lsrun cannot read its endpoint"))
        });
        let either = |key: &str, variable: &str| {
            settings.get(key).or_else(|| environment.get(variable)).map(str::to_owned)
        };
        let sas = either("sas-token", "LITESTREAM_AZURE_SAS_TOKEN");
        let key = either("account-key", "LITESTREAM_AZURE_ACCOUNT_KEY");
        let credentials = match (sas, key) {
            (Some(token), _) => AzureCredentials::Sas(token),
            (None, Some(key)) => AzureCredentials::Key(key),
            (None, None) => chain(environment)?,
        };
        Ok(Self { container, path, account, endpoint: endpoint.transpose()?, credentials })
    }

    pub(super) fn wire(&self) -> Wire {
        let plain = |url: &Url| url.scheme() == "http";
        let managed = matches!(self.credentials, AzureCredentials::Managed { .. });
        Wire { plain: managed || self.endpoint.as_ref().is_some_and(plain), skip_verify: false }
    }

    pub(super) fn builder(&self) -> MicrosoftAzureBuilder {
        let mut builder = MicrosoftAzureBuilder::new()
            .with_account(&self.account)
            .with_container_name(&self.container);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/').to_owned());
        }
        match &self.credentials {
            AzureCredentials::Sas(token) => builder.with_config(AzureConfigKey::SasKey, token),
            AzureCredentials::Key(key) => builder.with_access_key(key),
            AzureCredentials::Client { id, secret, tenant } => {
                builder.with_client_secret_authorization(id, secret, tenant)
            }
            AzureCredentials::Workload { id, file, tenant } => {
                builder.with_client_id(id).with_tenant_id(tenant).with_federated_token_file(file)
            }
            AzureCredentials::Managed { id } => match id {
                Some(id) => builder.with_client_id(id),
                None => builder,
            },
        }
    }

    /// Every secret in it.
    pub(super) fn secrets(&self) -> Vec<&str> {
        match &self.credentials {
            AzureCredentials::Sas(secret)
            | AzureCredentials::Key(secret)
            | AzureCredentials::Client { secret, .. } => vec![secret],
            AzureCredentials::Workload { .. } | AzureCredentials::Managed { .. } => Vec::new(),
        }
    }
}

/// The one source that Azure's library would use.
fn chain(environment: &Environment) -> Result<AzureCredentials, Unsupported> {
    for name in [
        "AZURE_AUTHORITY_HOST",
        "AZURE_TOKEN_CREDENTIALS",
        "AZURE_CLIENT_CERTIFICATE_PATH",
        "AZURE_USERNAME",
        "IDENTITY_ENDPOINT",
        "IMDS_ENDPOINT",
        "MSI_ENDPOINT",
    ] {
        if environment.get(name).is_some() {
            return Err(Unsupported::new(format!("{name} is set")));
        }
    }
    let get = |name: &str| environment.get(name).map(str::to_owned);
    let (id, tenant) = (get("AZURE_CLIENT_ID"), get("AZURE_TENANT_ID"));
    let (secret, file) = (get("AZURE_CLIENT_SECRET"), get("AZURE_FEDERATED_TOKEN_FILE"));
    match (id, tenant, secret, file) {
        (Some(id), Some(tenant), Some(secret), None) => {
            Ok(AzureCredentials::Client { id, secret, tenant })
        }
        (Some(id), Some(tenant), None, Some(file)) => {
            Ok(AzureCredentials::Workload { id, file, tenant })
        }
        // The command line tools come after the machine, so they must not be there.
        (id, None, None, None) if !has_tools(environment) => Ok(AzureCredentials::Managed { id }),
        _ => Err(Unsupported::new("Azure's library would try several credentials")),
    }
}

fn has_tools(environment: &Environment) -> bool {
    let configured = environment.get("AZURE_CONFIG_DIR").is_some();
    let home = environment.get("HOME").map(Path::new);
    configured
        || home
            .is_none_or(|home| [".azure", ".azd"].iter().any(|folder| home.join(folder).exists()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(keys: &[(&str, &str)], variables: &[(&str, &str)]) -> Result<Abs, String> {
        let all = [("type", "abs"), ("bucket", "c"), ("account-name", "a")];
        let keys: Vec<_> = if keys.iter().any(|(key, _)| *key == "url") {
            keys.to_vec()
        } else {
            all.iter()
                .filter(|(key, _)| !keys.iter().any(|(other, _)| other == key))
                .chain(keys)
                .copied()
                .collect()
        };
        let variables = [("HOME", "/nowhere")].iter().chain(variables);
        ReplicaSettings::of_keys(&keys)
            .and_then(|settings| Abs::of(&settings, &variables.copied().collect()))
            .map_err(|why| why.to_string())
    }

    #[test]
    fn containers_and_accounts() {
        let key = ("account-key", "a2V5");
        let abs = of(&[key, ("path", "x/y")], &[]).unwrap();
        assert_eq!((abs.container.as_str(), abs.path.as_str()), ("c", "x/y"));
        assert_eq!(abs.builder().get_config_value(&AzureConfigKey::AccountName).unwrap(), "a");
        assert!(!abs.wire().plain);
        let abs = of(&[("url", "abs://me@box/x"), key], &[]).unwrap();
        assert_eq!((abs.container.as_str(), abs.account.as_str()), ("box", "me"));
        let local = of(&[key, ("endpoint", "http://127.0.0.1:1/a/")], &[]).unwrap();
        assert!(local.wire().plain);
        let endpoint = local.builder().get_config_value(&AzureConfigKey::Endpoint);
        assert_eq!(endpoint.as_deref(), Some("http://127.0.0.1:1/a"));
        for odd in [
            ("account-name", ""),
            ("endpoint", "127.0.0.1:1"),
            ("endpoint", "https://x?sig=y"),
            ("bucket", ""),
            ("url", "abs://box/x"),
        ] {
            assert!(of(&[key, odd], &[]).is_err(), "{odd:?}");
        }
    }

    #[test]
    fn the_order_of_credentials() {
        let is = |keys: &[(&str, &str)], variables: &[(&str, &str)], wanted: AzureCredentials| {
            assert!(of(keys, variables).unwrap().credentials == wanted, "{keys:?} {variables:?}");
        };
        let (key, sas) = (("account-key", "k"), ("sas-token", "?sv=1&sig=x"));
        is(&[key, sas], &[], AzureCredentials::Sas(sas.1.into()));
        is(&[key], &[], AzureCredentials::Key("k".into()));
        is(&[], &[("LITESTREAM_AZURE_ACCOUNT_KEY", "e")], AzureCredentials::Key("e".into()));
        is(&[key], &[("LITESTREAM_AZURE_SAS_TOKEN", "s")], AzureCredentials::Sas("s".into()));
        let (id, tenant) = (("AZURE_CLIENT_ID", "i"), ("AZURE_TENANT_ID", "t"));
        let (secret, file) = (("AZURE_CLIENT_SECRET", "s"), ("AZURE_FEDERATED_TOKEN_FILE", "f"));
        let client =
            AzureCredentials::Client { id: "i".into(), secret: "s".into(), tenant: "t".into() };
        is(&[], &[id, tenant, secret], client);
        let workload =
            AzureCredentials::Workload { id: "i".into(), file: "f".into(), tenant: "t".into() };
        is(&[], &[id, tenant, file], workload);
        is(&[], &[], AzureCredentials::Managed { id: None });
        is(&[], &[id], AzureCredentials::Managed { id: Some("i".into()) });
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".azure")).unwrap();
        for odd in [
            &[id, tenant, secret, file][..],
            &[tenant],
            &[("AZURE_AUTHORITY_HOST", "https://x")],
            &[("IDENTITY_ENDPOINT", "http://x")],
            &[("AZURE_CONFIG_DIR", "x")],
            &[("HOME", folder.path().to_str().unwrap())],
        ] {
            assert!(of(&[], odd).is_err(), "{odd:?}");
        }
        assert_eq!(of(&[key], &[]).unwrap().secrets(), ["k"]);
    }
}
