//! One request and its answer. The name is looked up once, the addresses are checked, and
//! the connection goes to one of those that were.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::body::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response};
use tokio::sync::Semaphore;

use super::address::has_to_be_named;
use super::headers::size_of;
use super::target::WebTarget;
use crate::code::Code;
use crate::error::{Error, Result, deepest};
use crate::plugin::limits::{
    HTTP_ANSWER, HTTP_ANSWERS, HTTP_AT_ONCE, HTTP_HEADERS, HTTP_REQUESTS, HTTP_TIMEOUT,
};

/// What is sent.
pub(in crate::plugin) struct Outgoing {
    pub(in crate::plugin) method: Method,
    pub(in crate::plugin) target: WebTarget,
    pub(in crate::plugin) headers: HeaderMap,
    pub(in crate::plugin) body: Bytes,
    /// From the look-up of the name to the last byte of the answer.
    pub(in crate::plugin) timeout: Duration,
}

/// What comes back.
#[derive(Debug)]
pub(in crate::plugin) struct HttpAnswer {
    pub(in crate::plugin) status: u16,
    pub(in crate::plugin) headers: HeaderMap,
    pub(in crate::plugin) body: Bytes,
}

/// Finds the addresses of a name.
pub(in crate::plugin) type Lookup =
    dyn Fn(String, u16) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> + Send + Sync;

/// The system's way to find them.
pub(in crate::plugin) fn system_lookup(
    host: String,
    port: u16,
) -> BoxFuture<'static, std::io::Result<Vec<SocketAddr>>> {
    Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
}

/// What the requests of one call may take together. Clones share it.
#[derive(Debug, Clone)]
pub(in crate::plugin) struct Traffic {
    requests_left: Arc<AtomicUsize>,
    bytes_left: Arc<AtomicUsize>,
    turns: Arc<Semaphore>,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            requests_left: Arc::new(AtomicUsize::new(HTTP_REQUESTS)),
            bytes_left: Arc::new(AtomicUsize::new(HTTP_ANSWERS)),
            turns: Arc::new(Semaphore::new(HTTP_AT_ONCE)),
        }
    }
}

impl Traffic {
    /// Sends a request, which the plugin is allowed to send, and gives the whole answer.
    /// `may_reach` says whether it may be sent to an address that has to be named.
    ///
    /// Messages name the host, and nothing else of the URL.
    pub(in crate::plugin) async fn exchange(
        &self,
        outgoing: Outgoing,
        lookup: &Lookup,
        may_reach: &(dyn Fn(IpAddr) -> Result<()> + Send + Sync),
    ) -> Result<HttpAnswer> {
        let left = |left: usize| left.checked_sub(1);
        if self.requests_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_err() {
            let message = format!("a plugin may send {HTTP_REQUESTS} requests in one call");
            return Err(Error::new(Code::Limit, message));
        }
        let timeout = outgoing.timeout.min(HTTP_TIMEOUT);
        let host = outgoing.target.host().to_owned();
        let exchange = async {
            let _turn = self.turns.acquire().await;
            let client = client(&outgoing.target, lookup, may_reach).await?;
            let Outgoing { method, target, headers, body, .. } = outgoing;
            let request = client.request(method, target.url().clone()).headers(headers).body(body);
            let answer = request.send().await.map_err(|error| unreachable(&host, error))?;
            self.whole(&host, answer).await
        };
        tokio::time::timeout(timeout, exchange).await.unwrap_or_else(|_elapsed| {
            let within = crate::figures::duration(timeout);
            Err(Error::new(Code::Timeout, format!("{host} did not answer within {within}")))
        })
    }

    async fn whole(&self, host: &str, mut answer: Response) -> Result<HttpAnswer> {
        let too_large = |what: &str, most: usize| {
            let most = crate::figures::bytes(most as u64);
            Error::new(Code::Limit, format!("{host} sends more than {most} of {what}"))
        };
        let headers = std::mem::take(answer.headers_mut());
        if size_of(&headers) > HTTP_HEADERS {
            return Err(too_large("headers", HTTP_HEADERS));
        }
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| unreachable(host, error))? {
            if body.len() + piece.len() > HTTP_ANSWER {
                return Err(too_large("content", HTTP_ANSWER));
            }
            let left = |left: usize| left.checked_sub(piece.len());
            if self.bytes_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_err() {
                let most = crate::figures::bytes(HTTP_ANSWERS as u64);
                let message = format!("the answers of one call may have {most} together");
                return Err(Error::new(Code::Limit, message));
            }
            body.extend_from_slice(&piece);
        }
        Ok(HttpAnswer { status: answer.status().as_u16(), headers, body: body.into() })
    }
}

/// A client that reaches the checked addresses of the target and nothing else: no
/// redirects, no proxies, no second look-up.
async fn client(
    target: &WebTarget,
    lookup: &Lookup,
    may_reach: &(dyn Fn(IpAddr) -> Result<()> + Send + Sync),
) -> Result<Client> {
    let addresses = addresses(target, lookup, may_reach).await?;
    crate::download::use_ring();
    Client::builder()
        .user_agent(concat!("lsrun/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        .http1_only()
        .pool_max_idle_per_host(0)
        .dns_resolver(Arc::new(Checked(addresses)))
        .build()
        .map_err(|error| unreachable(target.host(), error))
}

/// The addresses of the target that it may reach; at least one.
async fn addresses(
    target: &WebTarget,
    lookup: &Lookup,
    may_reach: &(dyn Fn(IpAddr) -> Result<()> + Send + Sync),
) -> Result<Vec<SocketAddr>> {
    let found = match target.literal() {
        Some(address) => vec![SocketAddr::new(address, target.port())],
        None => lookup(target.host().to_owned(), target.port()).await.map_err(|error| {
            let message = format!("{} cannot be found", target.host());
            Error::new(Code::Unreachable, message).cause(error)
        })?,
    };
    let mut refused = None;
    let mut reachable = Vec::new();
    for address in found {
        match has_to_be_named(address.ip()).then(|| may_reach(address.ip())) {
            Some(Err(error)) => refused = Some(error),
            Some(Ok(())) | None => reachable.push(address),
        }
    }
    match refused {
        Some(error) if reachable.is_empty() => Err(error),
        _ if reachable.is_empty() => {
            let message = format!("{} has no address", target.host());
            Err(Error::new(Code::Unreachable, message))
        }
        _ => Ok(reachable),
    }
}

/// The addresses that were checked, whatever is asked for.
struct Checked(Vec<SocketAddr>);

impl Resolve for Checked {
    fn resolve(&self, _name: Name) -> Resolving {
        let addresses: Addrs = Box::new(self.0.clone().into_iter());
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// The error of a request without an answer: the host, and what is at the bottom of it.
fn unreachable(host: &str, error: reqwest::Error) -> Error {
    let error = error.without_url();
    let deepest = crate::shown::bounded(deepest(&error));
    if error.is_builder() {
        return Error::usage("the request cannot be sent").cause(deepest);
    }
    Error::new(Code::Unreachable, format!("{host} does not answer")).cause(deepest)
}

#[cfg(test)]
mod tests;
