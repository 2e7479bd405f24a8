//! `http`: requests to hosts that are granted.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use wasmtime::component::Resource;

use crate::code::Code;
use crate::error::Error;
use crate::plugin::bindings::http::{Host, HostRequest, HostResponse};
use crate::plugin::failure::Failure;
use crate::plugin::handles::{HttpRequestHandle, HttpResponseHandle};
use crate::plugin::http::{Outgoing, WebTarget, is_forbidden, size_of};
use crate::plugin::limits;
use crate::plugin::store::State;
use crate::shown::bounded;

/// The longest method and the longest URL, in bytes.
const MOST_METHOD: usize = 32;
const MOST_URL: usize = 8 << 10;
/// What a request and a header take besides their texts.
const OVERHEAD: usize = 64;

impl Host for State {}

impl HostRequest for State {
    async fn new(
        &mut self,
        method: String,
        url: String,
    ) -> wasmtime::Result<Resource<HttpRequestHandle>> {
        let mut held = self.standard.requests.room.held();
        let fits = method.len() <= MOST_METHOD && url.len() <= MOST_URL;
        let (method, url) = match fits && held.take(method.len() + url.len() + OVERHEAD) {
            true => (method, url),
            false => Default::default(),
        };
        Ok(self.table.push(HttpRequestHandle {
            method,
            url,
            held,
            headers: HeaderMap::new(),
            body: Vec::new(),
            timeout: limits::HTTP_PATIENCE,
        })?)
    }

    async fn set_header(
        &mut self,
        handle: Resource<HttpRequestHandle>,
        name: String,
        value: String,
    ) -> Result<(), Failure> {
        let request = self.table.get_mut(&handle)?;
        let known = HeaderName::from_bytes(name.as_bytes());
        let (Ok(known), Ok(value)) = (known, HeaderValue::from_str(&value)) else {
            let name = bounded(name.chars().take(100).collect::<String>());
            return Err(Error::usage(format!(
                "{name:?} cannot be a header, or not have this value"
            ))
            .into());
        };
        if is_forbidden(&known) {
            return Err(Error::usage(format!("the header {known} is the host's")).into());
        }
        let bytes = known.as_str().len() + value.len() + OVERHEAD;
        if size_of(&request.headers) + bytes > limits::HTTP_HEADERS {
            return Err(too_large("the headers", limits::HTTP_HEADERS).into());
        }
        if !request.held.take(bytes) {
            return Err(no_room().into());
        }
        request.headers.append(known, value);
        Ok(())
    }

    async fn set_body(
        &mut self,
        handle: Resource<HttpRequestHandle>,
        body: Vec<u8>,
    ) -> Result<(), Failure> {
        let request = self.table.get_mut(&handle)?;
        if body.len() > limits::HTTP_REQUEST {
            return Err(too_large("the content", limits::HTTP_REQUEST).into());
        }
        if !request.held.take(body.len()) {
            return Err(no_room().into());
        }
        request.body = body;
        Ok(())
    }

    async fn set_timeout_ms(
        &mut self,
        handle: Resource<HttpRequestHandle>,
        timeout: u64,
    ) -> wasmtime::Result<()> {
        let timeout = Duration::from_millis(timeout).min(limits::HTTP_TIMEOUT);
        self.table.get_mut(&handle)?.timeout = timeout;
        Ok(())
    }

    async fn send(
        &mut self,
        handle: Resource<HttpRequestHandle>,
    ) -> Result<Resource<HttpResponseHandle>, Failure> {
        let HttpRequestHandle { method, url, headers, body, timeout, .. } =
            self.table.get(&handle)?;
        let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes());
        let method = method.map_err(|error| {
            Error::usage("the method of the request cannot be used").cause(error)
        })?;
        let outgoing = Outgoing {
            method,
            target: WebTarget::parse(url)?,
            headers: headers.clone(),
            body: body.clone().into(),
            timeout: *timeout,
        };
        let answer = self.standard.requests.clone().send(outgoing).await?;
        Ok(self.table.push(HttpResponseHandle(answer))?)
    }

    async fn drop(&mut self, handle: Resource<HttpRequestHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostResponse for State {
    async fn status(&mut self, handle: Resource<HttpResponseHandle>) -> wasmtime::Result<u16> {
        Ok(self.table.get(&handle)?.0.status)
    }

    async fn header(
        &mut self,
        handle: Resource<HttpResponseHandle>,
        name: String,
    ) -> wasmtime::Result<Vec<String>> {
        let headers = &self.table.get(&handle)?.0.headers;
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { return Ok(Vec::new()) };
        Ok(headers.get_all(name).iter().map(text).collect())
    }

    async fn body(&mut self, handle: Resource<HttpResponseHandle>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.table.get(&handle)?.0.body.to_vec())
    }

    async fn drop(&mut self, handle: Resource<HttpResponseHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

fn too_large(what: &str, most: usize) -> Error {
    let most = crate::figures::bytes(most as u64);
    Error::new(Code::Limit, format!("{what} of a request may have {most}"))
}

fn no_room() -> Error {
    let most = crate::figures::bytes(limits::HTTP_HELD as u64);
    Error::new(Code::Limit, format!("the requests of a call may take {most} together"))
        .hint("drop one first")
}
