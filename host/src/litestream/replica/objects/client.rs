//! The HTTP client of the stores: with litestream's proxies and certificates, and a count
//! of what is asked and what comes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt as _;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use reqwest::Certificate;

use crate::config::Unsupported;
use crate::download::use_ring;
use crate::environment::Environment;
use crate::error::deepest;
use crate::litestream::replica::objects::fault::said;
use crate::litestream::replica::objects::proxy::{METADATA, proxies};

/// How long the machine's own service of credentials may take.
const AT_ONCE: Duration = Duration::from_secs(2);
/// The most that is read of an answer that is an error.
const EXPLANATION: usize = 16 * 1024;

/// How many requests went out, and what for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StoreRequests {
    /// Of up to 1000 names each.
    pub lists: u64,
    /// Of a file, or of a part of one.
    pub gets: u64,
    /// For credentials, and for the region of a bucket.
    pub others: u64,
}

/// What went over the client; its clones share it.
#[derive(Debug, Default)]
pub(super) struct StoreTraffic {
    lists: AtomicU64,
    gets: AtomicU64,
    others: AtomicU64,
    bytes: AtomicU64,
    /// What went wrong last: the reason when there is no time for another attempt.
    trouble: Mutex<Option<String>>,
}

impl StoreTraffic {
    pub(super) fn requests(&self) -> StoreRequests {
        StoreRequests {
            lists: self.lists.load(Ordering::Relaxed),
            gets: self.gets.load(Ordering::Relaxed),
            others: self.others.load(Ordering::Relaxed),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn troubled(&self, words: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = words;
    }
}

/// What a client needs to know of its store.
#[derive(Debug, Clone, Default)]
pub(super) struct Wire {
    /// Plain http is what the user asked for.
    pub(super) plain: bool,
    /// Any certificate will do.
    pub(super) skip_verify: bool,
}

/// The client of one store.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) inner: reqwest::Client,
    pub(super) traffic: Arc<StoreTraffic>,
}

impl Client {
    pub(super) fn new(
        wire: &Wire,
        environment: &Environment,
        patience: Duration,
    ) -> Result<Self, Unsupported> {
        use_ring();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("lsrun/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(patience.min(Duration::from_secs(30)))
            .tcp_keepalive(Duration::from_secs(30))
            // One connection for each file that is read is faster than one for all.
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .https_only(!wire.plain)
            .tls_danger_accept_invalid_certs(wire.skip_verify)
            .no_proxy();
        for proxy in proxies(environment)? {
            builder = builder.proxy(proxy);
        }
        // litestream gets it as SSL_CERT_FILE, which is read here without being asked.
        if let (Some(bundle), None) =
            (environment.get("AWS_CA_BUNDLE"), environment.get("SSL_CERT_FILE"))
        {
            let read = std::fs::read(bundle).ok();
            let certificates = read.and_then(|pem| Certificate::from_pem_bundle(&pem).ok());
            let certificates = certificates
                .ok_or_else(|| Unsupported::new("AWS_CA_BUNDLE names no file of certificates"))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let inner = builder
            .build()
            .map_err(|error| Unsupported::new(format!("no client can be made for it ({error})")))?;
        Ok(Self { inner, traffic: Arc::default() })
    }

    /// The region that an answer names, whether it is an error or not.
    pub(super) async fn head(&self, url: &str) -> Result<Option<String>, String> {
        self.traffic.others.fetch_add(1, Ordering::Relaxed);
        let answer = self.inner.head(url).send().await.map_err(|error| deepest(&error))?;
        let region = answer.headers().get("x-amz-bucket-region");
        Ok(region.and_then(|region| region.to_str().ok()).map(str::to_owned))
    }

    async fn answer(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let query = request.uri().query().unwrap_or_default();
        let has = |name: &str| query.split('&').any(|pair| pair.starts_with(name));
        let local = request.uri().host().is_some_and(|host| METADATA.contains(&host));
        let counted = if local || request.method() != "GET" {
            &self.traffic.others
        } else if has("list-type=") || has("comp=list") {
            &self.traffic.lists
        } else {
            &self.traffic.gets
        };
        counted.fetch_add(1, Ordering::Relaxed);
        let answered = if local {
            // What is not there is not waited for again and again.
            let answered = tokio::time::timeout(AT_ONCE, self.inner.call(request)).await;
            match answered {
                Ok(answered) => {
                    answered.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))
                }
                Err(late) => Err(HttpError::new(HttpErrorKind::Unknown, late)),
            }
        } else {
            self.inner.call(request).await
        };
        let (parts, body) = match answered {
            Ok(answer) => answer.into_parts(),
            Err(error) => {
                self.traffic.troubled(Some(deepest(&error)));
                return Err(error);
            }
        };
        let body = if parts.status.is_success() {
            self.traffic.troubled(None);
            let traffic = Arc::clone(&self.traffic);
            HttpResponseBody::new(body.map_frame(move |frame| {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                traffic.bytes.fetch_add(length, Ordering::Relaxed);
                frame
            }))
        } else {
            let mut text = Vec::new();
            let mut stream = body.bytes_stream();
            while let Some(Ok(part)) = stream.next().await {
                let room = EXPLANATION - text.len();
                text.extend_from_slice(part.get(..room).unwrap_or(&part));
                if text.len() == EXPLANATION {
                    break;
                }
            }
            self.traffic.bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
            let words = said(parts.status.as_u16(), &String::from_utf8_lossy(&text));
            self.traffic.troubled(Some(words));
            text.into()
        };
        Ok(HttpResponse::from_parts(parts, body))
    }
}

impl HttpService for Client {
    fn call<'client, 'call>(
        &'client self,
        request: HttpRequest,
    ) -> BoxFuture<'call, Result<HttpResponse, HttpError>>
    where
        'client: 'call,
        Self: 'call,
    {
        Box::pin(self.answer(request))
    }
}

impl HttpConnector for Client {
    /// The options of the stores' builders are left at their defaults: what they are for
    /// is decided here.
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().copied().collect()
    }

    #[test]
    fn a_bundle_that_is_none_is_left_to_litestream() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bundle.pem");
        let made = |more: &[(&str, &str)]| {
            let mut pairs = vec![("AWS_CA_BUNDLE", file.to_str().unwrap())];
            pairs.extend(more);
            Client::new(&Wire::default(), &environment(&pairs), Duration::from_secs(1)).is_ok()
        };
        assert!(!made(&[]), "it does not exist");
        assert!(made(&[("SSL_CERT_FILE", "/dev/null")]), "litestream does not read it either");
        std::fs::write(&file, "").unwrap();
        assert!(made(&[]));
    }

    #[test]
    fn the_region_of_a_bucket_is_in_every_answer() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/bucket", listener.local_addr().unwrap());
        let answers = ["403 Forbidden\r\nx-amz-bucket-region: eu-west-3", "404 Not Found"];
        let server = std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _peer) = listener.accept().unwrap();
                let _read = std::io::Read::read(&mut stream, &mut [0; 1000]).unwrap();
                let answer = format!("HTTP/1.1 {answer}\r\nConnection: close\r\n\r\n");
                std::io::Write::write_all(&mut stream, answer.as_bytes()).unwrap();
            }
        });
        let wire = Wire { plain: true, skip_verify: false };
        let client = Client::new(&wire, &environment(&[]), Duration::from_secs(20)).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        assert_eq!(runtime.block_on(client.head(&url)), Ok(Some("eu-west-3".to_owned())));
        assert_eq!(runtime.block_on(client.head(&url)), Ok(None));
        server.join().unwrap();
        assert!(runtime.block_on(client.head(&url)).is_err());
        assert_eq!(client.traffic.requests(), StoreRequests { lists: 0, gets: 0, others: 3 });
    }

    #[test]
    fn plain_http_is_refused_where_nobody_asked_for_it() {
        let client = Client::new(&Wire::default(), &environment(&[]), Duration::from_secs(1));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let said = runtime.block_on(client.unwrap().head("http://127.0.0.1:1/")).unwrap_err();
        assert!(said.contains("URL scheme is not allowed"), "{said}");
    }
}
