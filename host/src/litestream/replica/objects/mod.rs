//! The files of replicas in object stores, read by lsrun itself: S3 and what speaks like
//! it, Google Cloud Storage, Azure. Only where its settings are known to mean to lsrun
//! what they mean to litestream; with anything else, litestream has to fetch.
//!
//! What the files hold is not known here.

mod abs;
mod aws;
mod client;
mod fault;
mod gs;
mod hosts;
mod ini;
mod layout;
mod proxy;
mod reader;
mod s3;

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::{BackoffConfig, GetOptions, GetResult, ObjectStore, RetryConfig};
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

use self::client::Client;
use self::layout::Layout;
use self::reader::ObjectReader;
use crate::code::Code;
use crate::config::{ReplicaSettings, Unsupported};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::litestream::replica::source::Source;

pub(crate) use self::client::StoreRequests;
pub(crate) use self::layout::StoredFile;
pub(crate) use self::reader::cause;

/// How often a request is made again; the pauses grow to about six seconds together.
const RETRIES: usize = 6;

/// A store that gives its files a page at a time.
trait PagedStore: ObjectStore + PaginatedListStore {}

impl<S: ObjectStore + PaginatedListStore> PagedStore for S {}

/// The files of one replica. Its methods block, and must not be called on a thread of the
/// runtime that runs tasks.
pub(crate) struct Objects {
    runtime: Handle,
    patience: Duration,
    kind: &'static str,
    layout: Layout,
    client: Client,
    bucket: Bucket,
    /// With credentials, once they were needed.
    store: OnceCell<Arc<dyn PagedStore>>,
}

/// What a store is made from.
enum Bucket {
    S3(Box<s3::S3>),
    Gs(gs::Gs),
    Abs(abs::Abs),
}

impl Objects {
    /// The replica of a database of the project, or the one at a URL. Nothing is
    /// contacted. Has to be called within a runtime.
    ///
    /// `patience` is how long nothing may arrive.
    pub(crate) fn of_source(
        session: &Session,
        source: &Source,
        patience: Duration,
    ) -> Result<Self, Unsupported> {
        let settings = match source {
            Source::Url(url) => ReplicaSettings::of_url(url)?,
            Source::Database(database) => session
                .config()
                .map_err(|error| Unsupported::new(error.one_line()))?
                .settings(database, &session.environment)?,
        };
        Self::of(&settings, &session.environment, patience)
    }

    /// The replica with these settings; see [`Self::of_source`].
    pub(crate) fn of(
        settings: &ReplicaSettings,
        environment: &Environment,
        patience: Duration,
    ) -> Result<Self, Unsupported> {
        let (kind, layout, wire, bucket) = match settings.kind.as_str() {
            "s3" => {
                let s3 = s3::S3::of(settings, environment)?;
                let layout = Layout::s3(&s3.path)?;
                ("s3", layout, s3.wire(), Bucket::S3(Box::new(s3)))
            }
            "gs" => {
                let gs = gs::Gs::of(settings, environment)?;
                ("gs", Layout::other(&gs.path), gs.wire(), Bucket::Gs(gs))
            }
            "abs" => {
                let abs = abs::Abs::of(settings, environment)?;
                ("abs", Layout::other(&abs.path), abs.wire(), Bucket::Abs(abs))
            }
            "file" => return Err(Unsupported::new("it is a folder")),
            other => {
                return Err(Unsupported::new(format!("lsrun does not speak to {other}")));
            }
        };
        let secrets = match &bucket {
            Bucket::S3(s3) => s3.secrets(),
            Bucket::Abs(abs) => abs.secrets(),
            Bucket::Gs(_) => Vec::new(),
        };
        secrets.into_iter().for_each(|secret| environment.redactor().learn(secret));
        let client = Client::new(&wire, environment, patience)?;
        let runtime = Handle::try_current()
            .map_err(|_| Unsupported::new("there is no runtime to speak to it in"))?;
        Ok(Self { runtime, patience, kind, layout, client, bucket, store: OnceCell::new() })
    }

    /// Every LTX file of the replica, by level and transaction. One request for each
    /// thousand.
    ///
    /// Fails with `unreachable` when the store refuses or does not answer, and with
    /// `timeout` when nothing comes.
    pub(crate) fn list(&self) -> Result<Vec<StoredFile>> {
        self.runtime.block_on(self.listed())
    }

    /// Whether there is a backup of litestream 0.3. One request.
    ///
    /// Fails as [`Self::list`] does.
    pub(crate) fn has_generations(&self) -> Result<bool> {
        const WHAT: &str = "list the replica";
        self.runtime.block_on(async {
            let store = self.store().await?;
            let options = PaginatedListOptions { max_keys: Some(1), ..Default::default() };
            let prefix = self.layout.generations();
            let page = self.patient(WHAT, store.list_paginated(Some(&prefix), options)).await?;
            let page = page.map_err(|error| fault::explain(WHAT, &error))?;
            Ok(!page.result.objects.is_empty())
        })
    }

    /// A file from its beginning to its end, which arrives while it is read, a few chunks
    /// ahead. What comes is the object that was listed: same identity, same length. An
    /// error of the reader is one of lsrun: see [`cause`].
    ///
    /// Fails with `not-found` when it is gone, and `inconclusive` when it is another one.
    pub(crate) fn open(&self, file: &StoredFile) -> Result<Box<dyn Read + Send>> {
        let got = self.runtime.block_on(self.get(file, None))?;
        let (what, limit) = (format!("read {}", file.name()), self.patience);
        let traffic = Arc::clone(&self.client.traffic);
        let explain = move |error: Option<&object_store::Error>| match error {
            Some(error) => fault::explain(&what, error),
            None => fault::late(&what, limit, traffic.trouble()),
        };
        let name = file.name().to_owned();
        Ok(Box::new(ObjectReader::new(&self.runtime, got, file.size, name, limit, explain)))
    }

    /// A part of a file, which has to be in it. Fails as [`Self::open`] does.
    pub(crate) fn range(&self, file: &StoredFile, range: Range<u64>) -> Result<Vec<u8>> {
        let what = format!("read {}", file.name());
        let length = range.end.saturating_sub(range.start);
        if length == 0 || range.end > file.size {
            let Range { start, end } = range;
            let message = format!("{} has no bytes {start} to {end}", file.name());
            return Err(Error::inconclusive(message));
        }
        self.runtime.block_on(async {
            let mut stream = self.get(file, Some(range)).await?.into_stream();
            let mut bytes = Vec::new();
            while let Some(part) = self.patient(&what, stream.next()).await? {
                let part = part.map_err(|error| fault::explain(&what, &error))?;
                bytes.extend_from_slice(&part);
                if bytes.len() as u64 > length {
                    break;
                }
            }
            if bytes.len() as u64 == length {
                return Ok(bytes);
            }
            let came = bytes.len();
            Err(Error::inconclusive(format!("cannot {what}: {came} of {length} bytes arrived")))
        })
    }

    /// How many requests were made so far, those that were made again included.
    pub(crate) fn requests(&self) -> StoreRequests {
        self.client.traffic.requests()
    }

    /// How many bytes came so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.client.traffic.bytes()
    }

    async fn listed(&self) -> Result<Vec<StoredFile>> {
        const WHAT: &str = "list the replica";
        let store = self.store().await?;
        let prefix = self.layout.prefix();
        let (mut files, mut page_token) = (Vec::new(), None);
        loop {
            let options =
                PaginatedListOptions { page_token: page_token.clone(), ..Default::default() };
            let page = self.patient(WHAT, store.list_paginated(Some(&prefix), options)).await?;
            let page = page.map_err(|error| fault::explain(WHAT, &error))?;
            files.extend(page.result.objects.iter().filter_map(|it| self.layout.file(it)));
            let next = page.page_token.filter(|token| !token.is_empty());
            if next.is_some() && next == page_token {
                let message = "cannot list the replica: the storage gives the same names again";
                return Err(Error::inconclusive(message));
            }
            page_token = next;
            if page_token.is_none() {
                break;
            }
        }
        files.sort_by_key(|file: &StoredFile| (file.level, file.min, file.max));
        Ok(files)
    }

    async fn get(&self, file: &StoredFile, range: Option<Range<u64>>) -> Result<GetResult> {
        let what = format!("read {}", file.name());
        let store = self.store().await?;
        let options = GetOptions { range: range.map(Into::into), ..Default::default() };
        let got = self.patient(&what, store.get_opts(&file.key, options)).await?;
        let got = got.map_err(|error| fault::explain(&what, &error))?;
        // Not by `if-match`, which not every store has: the answer itself says what it is.
        let same = file.identity.is_none() || layout::identity(&got.meta) == file.identity;
        if same && got.meta.size == file.size {
            return Ok(got);
        }
        Err(Error::inconclusive(format!("{} has changed since it was listed", file.name())))
    }

    /// What `future` gives, if it comes in time.
    async fn patient<T>(&self, what: &str, future: impl Future<Output = T>) -> Result<T> {
        tokio::time::timeout(self.patience, future)
            .await
            .map_err(|_late| fault::late(what, self.patience, self.client.traffic.trouble()))
    }

    async fn store(&self) -> Result<&Arc<dyn PagedStore>> {
        self.store.get_or_try_init(|| self.connect()).await
    }

    async fn connect(&self) -> Result<Arc<dyn PagedStore>> {
        let retry = RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: RETRIES,
            // How long is decided here, by what arrives.
            retry_timeout: Duration::from_secs(24 * 60 * 60),
        };
        let client = self.client.clone();
        let refused = |error: object_store::Error| {
            Error::new(Code::Inconclusive, "cannot use the replica's settings").source_chain(&error)
        };
        // The credentials are got now, and kept by the store: so that what fails without
        // them is not taken for the store.
        macro_rules! connected {
            ($builder:expr) => {{
                let builder = $builder.with_retry(retry).with_http_connector(client);
                let store = builder.build().map_err(refused)?;
                let got = store.credentials().get_credential();
                let got = self.patient("get credentials for the replica", got).await?;
                got.map_err(|error| fault::no_credentials(self.kind, &error))?;
                Arc::new(store) as Arc<dyn PagedStore>
            }};
        }
        Ok(match &self.bucket {
            Bucket::S3(s3) => {
                let region = match &s3.region {
                    Some(region) => region.clone(),
                    None => self.region(&s3.bucket).await?,
                };
                connected!(s3.builder(&region))
            }
            Bucket::Gs(gs) => connected!(gs.builder()),
            Bucket::Abs(abs) => connected!(abs.builder()),
        })
    }

    /// The region of a bucket of Amazon's, which says it to everybody who asks.
    async fn region(&self, bucket: &str) -> Result<String> {
        const WHAT: &str = "find the region of the bucket";
        let answer = self
            .patient(WHAT, self.client.head(&format!("https://s3.amazonaws.com/{bucket}")))
            .await?
            .map_err(|why| {
                Error::new(Code::Unreachable, format!("cannot {WHAT}"))
                    .cause(why)
                    .hint("the replica does not answer: check its address")
            })?;
        answer.ok_or_else(|| {
            Error::new(Code::Unreachable, format!("cannot {WHAT}"))
                .hint("the bucket does not exist: check its name")
        })
    }
}
