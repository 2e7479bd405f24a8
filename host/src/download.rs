//! Downloading one file over http or https: bounded in bytes and in time, with redirects
//! that never leave https. What a file is, and whether it is the expected one, is not
//! decided here.

use std::io::Write;
use std::time::Duration;

use reqwest::Url;
use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::error::{Error, deepest};
use crate::notes::Progress;

/// What a download may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DownloadLimits {
    /// From the first packet to the end of the TLS handshake.
    pub connect: Duration,
    /// Without a single byte.
    pub idle: Duration,
    /// From the first packet to the last.
    pub whole: Duration,
    /// In bytes.
    pub most: u64,
}

/// Why there is no file.
pub(crate) enum DownloadFailure {
    /// The server is to blame, or the way to it.
    Source(String),
    /// It cannot be written here.
    Write(std::io::Error),
}

/// Gives rustls its ciphers: no client can be made before.
pub(crate) fn use_ring() {
    // An error means that another part of the process has done it.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The error of a plugin that would be fetched over plain http without a digest.
pub(crate) fn over_http(host: &str) -> Error {
    Error::usage(format!(
        "{host} is reached over plain http, and anyone on the network path can answer for it"
    ))
}

/// A client for what is at `base`: over https alone, if that is.
pub(crate) fn client(base: &Url, limits: &DownloadLimits) -> reqwest::Result<reqwest::Client> {
    use_ring();
    reqwest::Client::builder()
        .user_agent(concat!("lsrun/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limits.connect)
        .read_timeout(limits.idle)
        // Redirects are followed, but never from https to http.
        .https_only(base.scheme() == "https")
        // The server of a file need not know what pointed to it.
        .referer(false)
        .build()
}

/// Writes what `url` answers to `sink` and gives its SHA-256.
pub(crate) async fn get(
    client: &reqwest::Client,
    url: &Url,
    sink: &mut (impl Write + Send),
    limits: &DownloadLimits,
    progress: Option<&dyn Progress>,
) -> Result<Digest, DownloadFailure> {
    let got = tokio::time::timeout(limits.whole, receive(client, url, sink, limits, progress));
    got.await.unwrap_or_else(|_late| {
        let (host, limit) = (host(url), limits.whole.as_secs_f32());
        Err(DownloadFailure::Source(format!("{host} did not finish within {limit} s")))
    })
}

async fn receive(
    client: &reqwest::Client,
    url: &Url,
    sink: &mut (impl Write + Send),
    limits: &DownloadLimits,
    progress: Option<&dyn Progress>,
) -> Result<Digest, DownloadFailure> {
    let host = host(url);
    let (idle, most) = (limits.idle.as_secs_f32(), limits.most);
    let mut answer = client.get(url.clone()).send().await.map_err(|error| {
        DownloadFailure::Source(if error.is_timeout() && !error.is_connect() {
            format!("{host} sent nothing for {idle} s")
        } else {
            format!("{host} cannot be reached ({})", deepest(&error))
        })
    })?;
    if !answer.status().is_success() {
        let message = format!("{host} answered {} for {}", answer.status(), shown(url));
        return Err(DownloadFailure::Source(message));
    }
    let too_large =
        || DownloadFailure::Source(format!("{} has more than {} MB", shown(url), most / 1_000_000));
    let total = answer.content_length();
    if total.is_some_and(|total| total > most) {
        return Err(too_large());
    }
    let watch = progress.map(Watch);
    let mut hasher = Sha256::new();
    let mut done = 0;
    loop {
        let chunk = answer.chunk().await.map_err(|error| {
            let so_far = match total {
                Some(total) => format!("{done} of {total} bytes"),
                None => format!("{done} bytes"),
            };
            DownloadFailure::Source(if error.is_timeout() {
                format!("{host} sent nothing for {idle} s, after {so_far}")
            } else {
                format!("the download from {host} was interrupted after {so_far}")
            })
        })?;
        let Some(chunk) = chunk else { break };
        done += chunk.len() as u64;
        if done > most {
            return Err(too_large());
        }
        hasher.update(&chunk);
        // To a local disk, a few KB at a time: not worth another thread.
        sink.write_all(&chunk).map_err(DownloadFailure::Write)?;
        if let Some(Watch(progress)) = &watch {
            progress.bytes(done, total);
        }
    }
    Ok(Digest::of(hasher))
}

/// Takes a progress bar away again, also when the download is given up.
struct Watch<'a>(&'a dyn Progress);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.0.finished();
    }
}

/// Without what may be secret: user, password and query.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // These fail only for URLs that have no place for them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

pub(crate) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
