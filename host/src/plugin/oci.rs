//! Fetching a component from an OCI registry, where it is an artifact with one layer of
//! WebAssembly (the CNCF's "Wasm OCI Artifact layout", and what `wkg oci push` makes).

use futures_util::StreamExt;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};

use super::registry::MOST;
use crate::code::Code;
use crate::context::Context;
use crate::digest::Digest;
use crate::download::{self, DownloadLimits};
use crate::error::{Error, Result};

/// What the URL of an artifact begins with.
pub(super) const SCHEME: &str = "oci://";

/// The types of a layer that is a component: of the layout, and of older tools.
const MEDIA_TYPES: [&str; 2] = ["application/wasm", "application/vnd.wasm.content.layer.v1+wasm"];

/// An artifact, such as `ghcr.io/me/row-count:1.0`.
pub(super) struct Artifact(Reference);

impl Artifact {
    /// The artifact of an `oci://` URL; none of another source.
    ///
    /// Fails (exit 2) for one that cannot be.
    pub(super) fn of(source: &str) -> Result<Option<Self>> {
        let Some(reference) = source.strip_prefix(SCHEME) else { return Ok(None) };
        let reference: Reference = reference.parse().map_err(|error| {
            Error::usage(format!("{reference:?} is not an artifact of a registry"))
                .cause(error)
                .hint("write it like oci://ghcr.io/me/row-count:1.0")
        })?;
        Ok(Some(Self(reference)))
    }

    /// The last part of its repository.
    pub(super) fn name(&self) -> &str {
        let repository = self.0.repository();
        repository.rsplit('/').next().unwrap_or(repository)
    }

    /// Its registry is on this machine, where it is reached over http.
    fn is_local(&self) -> bool {
        let host = self.0.resolve_registry();
        let host = host.rsplit_once(':').map_or(host, |(host, _port)| host);
        host == "localhost" || host.starts_with("127.")
    }

    /// The component; `has_digest` says that it is checked against a digest afterwards.
    ///
    /// Fails if it cannot be fetched, or is not one component of a bounded size. What is
    /// fetched has the digest that the registry gives to it.
    pub(super) async fn fetch(
        &self,
        context: &Context,
        limits: &DownloadLimits,
        has_digest: bool,
    ) -> Result<Vec<u8>> {
        let registry = self.0.resolve_registry();
        if self.is_local() && !has_digest && self.0.digest().is_none() {
            return Err(download::over_http(registry)
                .hint("say with --digest sha256:… which plugin is expected"));
        }
        context.notes.note(&format!("downloading from {registry}"));
        let failed = |why: String| {
            Error::new(Code::UnusablePlugin, format!("cannot download {SCHEME}{}", self.0))
                .cause(why)
        };
        tokio::select! {
            fetched = tokio::time::timeout(limits.whole, self.layer(limits)) => match fetched {
                Ok(Ok(bytes)) => Ok(bytes),
                Ok(Err(why)) => Err(failed(why)),
                Err(_late) => Err(failed(format!("{registry} did not finish in time"))),
            },
            signal = context.stop.stopped() => Err(crate::stop::Stop::error(signal)),
        }
    }

    async fn layer(&self, limits: &DownloadLimits) -> std::result::Result<Vec<u8>, String> {
        download::use_ring();
        let client = Client::new(ClientConfig {
            protocol: if self.is_local() { ClientProtocol::Http } else { ClientProtocol::Https },
            connect_timeout: Some(limits.connect),
            read_timeout: Some(limits.idle),
            user_agent: concat!("lsrun/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        });
        let said = |error: oci_client::errors::OciDistributionError| error.to_string();
        let (manifest, _digest) =
            client.pull_image_manifest(&self.0, &RegistryAuth::Anonymous).await.map_err(said)?;
        let is_component = |media_type: &str| MEDIA_TYPES.contains(&media_type);
        let mut layers = manifest.layers.iter().filter(|layer| is_component(&layer.media_type));
        let layer = match (layers.next(), layers.next()) {
            (Some(one), None) => one,
            (None, _) => return Err("it has no layer that is WebAssembly".to_owned()),
            (Some(_), Some(_)) => return Err("it has more than one component".to_owned()),
        };
        let expected = layer.digest.strip_prefix("sha256:").and_then(Digest::parse);
        let expected = expected.ok_or_else(|| format!("{} is not a SHA-256", layer.digest))?;
        let mut parts = client.pull_blob_stream(&self.0, layer).await.map_err(said)?;
        let mut bytes = Vec::new();
        while let Some(part) = parts.next().await {
            bytes.extend_from_slice(&part.map_err(|error| error.to_string())?);
            if bytes.len() as u64 > MOST {
                return Err(format!("it has more than {} MiB", MOST >> 20));
            }
        }
        match Digest::of_bytes(&bytes) == expected {
            true => Ok(bytes),
            false => Err("the registry gave something else than its digest says".to_owned()),
        }
    }
}
