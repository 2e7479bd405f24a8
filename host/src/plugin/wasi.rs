//! The standard interfaces of a guest, WASI 0.2: clocks, random numbers and its own two
//! streams for everyone; variables, folders and requests as far as it is granted them; no
//! sockets, no arguments, no standard input.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response};
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder};
use wasmtime_wasi_http::p2::bindings::http::types::{HostOutgoingRequest as _, Method};
use wasmtime_wasi_http::p2::types::HostOutgoingRequest;
use wasmtime_wasi_http::{
    Error as HttpError, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx,
    WasiHttpHooks, WasiHttpView,
};

use super::folders::folders;
use super::http::{
    HttpAnswer, Outgoing, RequestMemory, Traffic, WebTarget, is_forbidden, size_of, system_lookup,
};
use super::output::Stream;
use super::{Plugin, limits};
use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};

type HttpResult<T> = std::result::Result<T, HttpError>;

/// What a call has of WASI.
pub(super) struct Standard {
    /// Whether it has a folder.
    pub(super) has_files: bool,
    pub(super) wasi: WasiCtx,
    pub(super) http: WasiHttpCtx,
    pub(super) requests: Requests,
}

impl Standard {
    /// Fails if a folder that is granted cannot be given.
    pub(super) fn new(
        plugin: &Arc<Plugin>,
        context: &Arc<Context>,
        stdout: &Stream,
        stderr: &Stream,
    ) -> Result<Self> {
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(stdout.clone()).stderr(stderr.clone());
        for name in plugin.grants.scopes("env") {
            if let Some(value) = context.environment.get(name) {
                wasi.env(name, value);
            }
        }
        let folders = folders(&context.project, &plugin.grants);
        for folder in &folders {
            let path = folder.check(&context.project, &plugin.name)?;
            let permissions = match folder.writable {
                true => FsPerms::ReadWrite,
                false => FsPerms::ReadOnly,
            };
            wasi.preopened_dir(path, folder.written, permissions)
                .map_err(|error| folder.unusable(&plugin.name, &error))?;
        }
        let mut http = WasiHttpCtx::new();
        http.set_field_size_limit(limits::HTTP_HEADERS);
        let requests = Requests {
            plugin: Arc::clone(plugin),
            context: Arc::clone(context),
            traffic: Traffic::default(),
            room: RequestMemory::default(),
            denied: Denied::default(),
        };
        Ok(Self { has_files: !folders.is_empty(), wasi: wasi.build(), http, requests })
    }
}

/// The last denial of a call whose reason the guest may not have understood.
type Denied = Arc<Mutex<Option<Error>>>;

/// The hosts that a plugin was denied, of which a line was written.
pub(super) type Told = Mutex<BTreeSet<String>>;

/// What a guest sends, by either interface. Clones share what they may take.
#[derive(Clone)]
pub(super) struct Requests {
    plugin: Arc<Plugin>,
    context: Arc<Context>,
    traffic: Traffic,
    /// For those of the host's own interface.
    pub(super) room: RequestMemory,
    denied: Denied,
}

impl Requests {
    /// Sends a request if the plugin may.
    pub(super) async fn send(&self, outgoing: Outgoing) -> Result<HttpAnswer> {
        let grants = &self.plugin.grants;
        grants.require_http(&outgoing.target)?;
        let target = outgoing.target.clone();
        let may_reach = |address: IpAddr| grants.require_address(&target, address);
        self.traffic.exchange(outgoing, &system_lookup, &may_reach).await
    }

    /// The denial that a guest which then fails has failed of.
    pub(super) fn denied(&self) -> Option<Error> {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The error as WASI has it. A denial is a line of the run as well: what becomes of its
    /// text in the guest is up to the toolchain.
    fn to_wasi(&self, error: &Error) -> HttpError {
        if error.code() == Code::Denied {
            let hint = error.hint_text().unwrap_or_default();
            let line = format!("{}; {hint}", error.message());
            *self.denied.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
            let mut told = self.plugin.told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.len() < limits::DENIALS && told.insert(line.clone()) {
                self.context.notes.warning(&line);
            }
            return HttpError::InternalError(Some(line));
        }
        match error.code() {
            Code::Timeout => HttpError::ConnectionReadTimeout,
            Code::Invalid => HttpError::HttpRequestUriInvalid,
            _ => HttpError::InternalError(Some(error.one_line())),
        }
    }

    async fn of_wasi(
        &self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<HttpAnswer> {
        let (parts, body) = request.into_parts();
        let target = WebTarget::parse(&parts.uri.to_string())?;
        // Before its content is waited for.
        self.plugin.grants.require_http(&target)?;
        let headers = allowed(parts.headers)?;
        let options = options.unwrap_or_default();
        let timeout = options.first_byte_timeout.or(options.connect_timeout);
        let timeout = timeout.unwrap_or(limits::HTTP_PATIENCE).min(limits::HTTP_TIMEOUT);
        let body = Limited::new(body, limits::HTTP_REQUEST).collect();
        let body = tokio::time::timeout(timeout, body).await.map_err(|_elapsed| {
            Error::new(Code::Timeout, "the content of the request was not complete in time")
        })?;
        let body = body.map_err(|error| {
            Error::new(Code::Limit, "the content of the request cannot be sent").cause(error)
        })?;
        let body = body.to_bytes();
        self.send(Outgoing { method: parts.method, target, headers, body, timeout }).await
    }
}

/// The headers without those that are the host's.
fn allowed(mut headers: hyper::HeaderMap) -> Result<hyper::HeaderMap> {
    let forbidden: Vec<_> = headers.keys().filter(|name| is_forbidden(name)).cloned().collect();
    for name in forbidden {
        headers.remove(name);
    }
    if size_of(&headers) > limits::HTTP_HEADERS {
        return Err(Error::new(Code::Limit, "the headers of the request are too large"));
    }
    Ok(headers)
}

/// Adds `wasi:http`. What a guest puts into a request that it never sends is the host's
/// memory: the texts in it are bounded here, as the headers are by themselves.
pub(super) fn add_http<T: WasiHttpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    let mut types = linker.instance("wasi:http/types@0.2.12")?;
    types.func_wrap(
        "[method]outgoing-request.set-method",
        |mut store: StoreContextMut<'_, T>,
         (request, method): (Resource<HostOutgoingRequest>, Method)| {
            if matches!(&method, Method::Other(name) if name.len() > 32) {
                return Ok((Err(()),));
            }
            Ok((store.data_mut().http().set_method(request, method)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-path-with-query",
        |mut store: StoreContextMut<'_, T>,
         (request, path): (Resource<HostOutgoingRequest>, Option<String>)| {
            if path.as_ref().is_some_and(|path| path.len() > 8 << 10) {
                return Ok((Err(()),));
            }
            Ok((store.data_mut().http().set_path_with_query(request, path)?,))
        },
    )?;
    types.func_wrap(
        "[method]outgoing-request.set-authority",
        |mut store: StoreContextMut<'_, T>,
         (request, authority): (Resource<HostOutgoingRequest>, Option<String>)| {
            if authority.as_ref().is_some_and(|authority| authority.len() > 300) {
                return Ok((Err(()),));
            }
            Ok((store.data_mut().http().set_authority(request, authority)?,))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

/// `wasi:http`.
impl WasiHttpHooks for Requests {
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        // A length is checked against the content, and then made again.
        Arc::new(|name| is_forbidden(name) && *name != hyper::header::CONTENT_LENGTH)
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        // One for each handle may wait to be sent.
        64 << 10
    }

    fn set_host_header(&mut self) -> bool {
        false
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _received: Box<dyn Future<Output = HttpResult<()>> + Send>,
    ) -> Box<
        dyn Future<
                Output = HttpResult<(
                    Response<WasiBody>,
                    Box<dyn Future<Output = HttpResult<()>> + Send>,
                )>,
            > + Send,
    > {
        let requests = self.clone();
        Box::new(async move {
            let answer = requests.of_wasi(request, options).await;
            let answer = answer.map_err(|error| requests.to_wasi(&error))?;
            let body = Full::new(answer.body).map_err(|never| match never {}).boxed_unsync();
            let mut response = Response::new(body);
            *response.status_mut() = hyper::StatusCode::from_u16(answer.status).unwrap_or_default();
            *response.headers_mut() = answer.headers;
            let done: Pin<Box<dyn Future<Output = HttpResult<()>> + Send>> =
                Box::pin(std::future::ready(Ok(())));
            let done: Box<dyn Future<Output = HttpResult<()>> + Send> = Box::new(done);
            Ok((response, done))
        })
    }
}
