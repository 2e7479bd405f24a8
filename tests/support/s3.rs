//! S3 servers of a test: one that works and checks signatures, and one that
//! accepts connections and never answers.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::SystemTime;

use futures_util::StreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::StdError;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use sha2::{Digest as _, Sha256};

/// The bucket that is there.
pub(crate) const BUCKET: &str = "backups";
/// The access key that the server knows.
pub(crate) const KEY: &str = "AKIDTEST";

/// What the server does to an object that is asked for, instead of giving it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection ends after so many bytes.
    Cut(usize),
    /// Nothing comes after so many bytes.
    Stall(usize),
    /// It is busy.
    Busy,
}

type Content = UnsyncBoxBody<Bytes, StdError>;

/// What is around the server: s3s-fs lists no ETags and knows no customers' keys.
#[derive(Default)]
struct Around {
    folder: PathBuf,
    asked: Mutex<Vec<String>>,
    faults: Mutex<Vec<Fault>>,
    /// The ETags that were computed.
    tags: Mutex<HashMap<(PathBuf, u64, SystemTime), String>>,
    /// The customers' keys of the objects that have one.
    keys: Mutex<HashMap<String, String>>,
}

impl Around {
    /// A tag for the content of an object.
    fn tag(&self, key: &str) -> Option<String> {
        let path = self.folder.join(BUCKET).join(key);
        let found = std::fs::metadata(&path).ok().filter(std::fs::Metadata::is_file)?;
        let known = (path.clone(), found.len(), found.modified().ok()?);
        let mut tags = self.tags.lock().unwrap();
        if let Some(tag) = tags.get(&known) {
            return Some(tag.clone());
        }
        let digest = Sha256::digest(std::fs::read(&path).ok()?);
        let tag: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        tags.insert(known, tag.clone());
        Some(tag)
    }

    async fn answer(&self, service: &S3Service, request: Request<Incoming>) -> Response<Content> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        self.asked.lock().unwrap().push(format!("{method} {uri}"));
        let customer = request
            .headers()
            .get("x-amz-server-side-encryption-customer-key-md5")
            .map(|it| it.to_str().unwrap().to_owned());
        let key = decoded(uri.path()).strip_prefix(&format!("/{BUCKET}/")).map(str::to_owned);
        let is_object = key.as_ref().is_some_and(|key| !key.is_empty());
        let (reads, key) = (is_object && method == "GET", key.unwrap_or_default());
        if reads {
            if self.keys.lock().unwrap().get(&key) != customer.as_ref() {
                return error(400, "InvalidRequest", "The object was stored using a key");
            }
            let mut faults = self.faults.lock().unwrap();
            if faults.first() == Some(&Fault::Busy) {
                faults.remove(0);
                return error(503, "SlowDown", "Please reduce your request rate.");
            }
        }
        let answer = service.call(request.map(s3s::Body::from)).await.unwrap();
        let (mut parts, content) = answer.into_parts();
        let mut content = content.boxed_unsync();
        if let Some(customer) = customer.filter(|_| method != "GET" && parts.status.is_success()) {
            self.keys.lock().unwrap().insert(key.clone(), customer);
        }
        if method == "GET" && uri.query().is_some_and(|query| query.contains("list-type=2")) {
            let listed = http_body_util::BodyExt::collect(content).await.unwrap().to_bytes();
            let listed = self.with_tags(std::str::from_utf8(&listed).unwrap());
            parts.headers.remove("content-length");
            return Response::from_parts(parts, full(listed));
        }
        if reads && parts.status.is_success() {
            if let Some(tag) = self.tag(&key) {
                parts.headers.insert("etag", format!("\"{tag}\"").parse().unwrap());
            }
            let mut faults = self.faults.lock().unwrap();
            if !faults.is_empty() {
                content = broken(content, faults.remove(0));
            }
        }
        Response::from_parts(parts, content)
    }

    fn with_tags(&self, list: &str) -> String {
        let mut parts = list.split("<Key>");
        let mut whole = parts.next().unwrap().to_owned();
        for part in parts {
            let (key, rest) = part.split_once("</Key>").unwrap();
            let plain = key.replace("&apos;", "'").replace("&quot;", "\"").replace("&amp;", "&");
            let tag = self.tag(&plain).unwrap_or_else(|| panic!("{plain} is listed"));
            whole.push_str(&format!("<Key>{key}</Key><ETag>&quot;{tag}&quot;</ETag>{rest}"));
        }
        whole
    }
}

fn full(text: String) -> Content {
    Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync()
}

fn error(status: u16, code: &str, message: &str) -> Response<Content> {
    let text = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    Response::builder().status(status).body(full(text)).unwrap()
}

/// The beginning of a content.
fn broken(content: Content, fault: Fault) -> Content {
    let (Fault::Cut(mut left) | Fault::Stall(mut left)) = fault else { return content };
    let stream = content.into_data_stream().then(move |part| {
        let part = part.unwrap();
        let now = part.slice(..part.len().min(left));
        left -= now.len();
        async move {
            if now.is_empty() {
                if matches!(fault, Fault::Stall(_)) {
                    std::future::pending::<()>().await;
                }
                return Err::<_, StdError>("cut".into());
            }
            Ok(Frame::data(now))
        }
    });
    StreamBody::new(stream).boxed_unsync()
}

fn decoded(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        let escaped = || -> String { rest.by_ref().take(2).map(char::from).collect() };
        let mut escaped = escaped;
        bytes.push(if byte == b'%' { u8::from_str_radix(&escaped(), 16).unwrap() } else { byte });
    }
    String::from_utf8(bytes).unwrap()
}

/// A running server with a folder of its own. Dropped, it stops.
pub(crate) struct S3 {
    address: SocketAddr,
    folder: tempfile::TempDir,
    around: Arc<Around>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl S3 {
    /// Serves [`BUCKET`] to who signs with [`KEY`] and `secret`.
    pub(crate) fn start(secret: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(KEY, secret));
        let service = service.build();
        let around = Around { folder: folder.path().to_owned(), ..Around::default() };
        let around = Arc::new(around);
        let kept = Arc::clone(&around);
        let (stop, mut stopped) = tokio::sync::oneshot::channel();
        let (bound, address) = mpsc::channel();
        let serve = async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            bound.send(listener.local_addr().unwrap()).unwrap();
            loop {
                let stream = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap().0,
                    _stop = &mut stopped => return,
                };
                let (service, around) = (service.clone(), Arc::clone(&around));
                let answer = service_fn(move |request| {
                    let (service, around) = (service.clone(), Arc::clone(&around));
                    async move { Ok::<_, Infallible>(around.answer(&service, request).await) }
                });
                tokio::spawn(async move {
                    let server = Builder::new(TokioExecutor::new());
                    // A client may go away in the middle.
                    let _broken = server.serve_connection(TokioIo::new(stream), answer).await;
                });
            }
        };
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
            runtime.unwrap().block_on(serve);
        });
        let address = address.recv().unwrap();
        Self { address, folder, around: kept, stop: Some(stop), thread: Some(thread) }
    }

    /// Its URL.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the objects of [`BUCKET`] lie.
    pub(crate) fn objects(&self) -> PathBuf {
        self.folder.path().join(BUCKET)
    }

    /// What it was asked so far, as `GET /backups/…`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.around.asked.lock().unwrap().clone()
    }

    /// What happens to the next objects that are asked for, one after another.
    pub(crate) fn breaks(&self, faults: &[Fault]) {
        *self.around.faults.lock().unwrap() = faults.to_vec();
    }

    /// Puts an object there without a request.
    pub(crate) fn put(&self, key: &str, content: impl AsRef<[u8]>) {
        let path = self.objects().join(key);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(""))).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _gone = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// An endpoint on which nobody listens.
pub(crate) fn refusing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Accepts connections, holds them open and never says a word. Dropped, it stops.
pub(crate) struct Silent {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Silent {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let thread = std::thread::spawn(move || {
            let mut held = Vec::new();
            while !stopped.load(Ordering::Acquire) {
                held.extend(listener.accept());
                count.store(held.len(), Ordering::Release);
            }
        });
        Self { address, accepted, stop, thread: Some(thread) }
    }

    /// How many connections it holds.
    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(Ordering::Acquire)
    }

    /// Its URL.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes it up.
        let _woken = std::net::TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}
