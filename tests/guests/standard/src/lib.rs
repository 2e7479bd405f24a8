//! A check that uses the standard interfaces, WASI 0.2, as its settings say, for the tests:
//! `config: {script: [...]}`, one deed a line. What comes of a deed is a check of its name:
//! passed with what it got, skipped with why it got nothing.

use lsrun_plugin::host::report::Check;
use lsrun_plugin::prelude::*;
use tinyjson::JsonValue;
use wasip2::cli::environment;
use wasip2::filesystem::preopens;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, Method, OutgoingBody, OutgoingRequest, Scheme};
use wasip2::io::streams::StreamError;
use wasip2::sockets::{instance_network, ip_name_lookup, network, tcp_create_socket};

lsrun_plugin::check!(check);

fn check(_database: Option<&Database>, _copy: &RestoredCopy) -> Result<(), Error> {
    let settings: JsonValue = settings::get().parse().unwrap_or(JsonValue::Null);
    let JsonValue::Object(mut settings) = settings else { return Ok(()) };
    let Some(JsonValue::Array(script)) = settings.remove("script") else { return Ok(()) };
    for deed in script {
        let JsonValue::String(deed) = deed else { continue };
        let (verb, rest) = deed.split_once(' ').unwrap_or((&deed, ""));
        // A guest that cannot do what it is for.
        if verb == "or-fail" {
            act(rest).map_err(|why| error("inconclusive", why))?;
            continue;
        }
        if verb == "or-trap" {
            act(rest).unwrap_or_else(|_| core::arch::wasm32::unreachable());
            continue;
        }
        let check = Check::new(&deed);
        match act(&deed) {
            Ok(text) => check.passed(&text),
            Err(why) => check.skipped(&why),
        }
    }
    Ok(())
}

fn act(deed: &str) -> Result<String, String> {
    let (verb, rest) = deed.split_once(' ').unwrap_or((deed, ""));
    let (first, more) = rest.split_once(' ').unwrap_or((rest, ""));
    match verb {
        "environment" => {
            let all = environment::get_environment();
            let all: Vec<String> =
                all.into_iter().map(|(name, value)| name + "=" + &value).collect();
            Ok(all.join(" "))
        }
        "arguments" => Ok(environment::get_arguments().join(" ")),
        "folders" => {
            let all: Vec<String> = preopens::get_directories().into_iter().map(|it| it.1).collect();
            Ok(all.join(" "))
        }
        "read" => read(first, more).map_err(|error| error.name().to_owned()),
        "write" => {
            let (path, text) = more.split_once(' ').unwrap_or((more, ""));
            write(first, path, text).map_err(|error| error.name().to_owned())
        }
        "link" => {
            let (path, target) = more.split_once(' ').unwrap_or((more, ""));
            let linked = folder(first).and_then(|it| it.symlink_at(target, path));
            linked.map(|()| "linked".to_owned()).map_err(|error| error.name().to_owned())
        }
        // What is never sent takes memory of the host.
        "requests" => {
            let mut held = Vec::new();
            for _ in 0..first.parse().unwrap_or(0) {
                let fields = Fields::new();
                fields.append("x", &[b'y'; 20_000]).map_err(|error| format!("{error:?}"))?;
                held.push(OutgoingRequest::new(fields));
            }
            Ok(held.len().to_string())
        }
        "long" => {
            let long = "x".repeat(first.parse().unwrap_or(0));
            let request = OutgoingRequest::new(Fields::new());
            let set = [
                request.set_authority(Some(&long)),
                request.set_path_with_query(Some(&format!("/{long}"))),
                request.set_method(&Method::Other(long)),
            ];
            Ok(format!("{set:?}"))
        }
        "open" => {
            let mut held = Vec::new();
            for _ in 0..more.parse().unwrap_or(0) {
                let all = folder(first).map_err(|error| error.name().to_owned())?;
                held.push(all);
            }
            Ok(held.len().to_string())
        }
        "get" => get(first, ""),
        "post" => get(first, more),
        "connect" => {
            let socket = tcp_create_socket::create_tcp_socket(network::IpAddressFamily::Ipv4);
            socket.map(|_| "a socket".to_owned()).map_err(|error| error.name().to_owned())
        }
        "resolve" => {
            let network = instance_network::instance_network();
            let names = ip_name_lookup::resolve_addresses(&network, first);
            names.map(|_| "a look-up".to_owned()).map_err(|error| error.name().to_owned())
        }
        _ => Err(format!("no such deed: {deed}")),
    }
}

/// The folder that is known by this name.
fn folder(name: &str) -> Result<Descriptor, ErrorCode> {
    let all = preopens::get_directories();
    all.into_iter().find(|it| it.1 == name).map(|it| it.0).ok_or(ErrorCode::NoEntry)
}

fn read(name: &str, path: &str) -> Result<String, ErrorCode> {
    let follow = PathFlags::SYMLINK_FOLLOW;
    let file = folder(name)?.open_at(follow, path, OpenFlags::empty(), DescriptorFlags::READ)?;
    let (bytes, _end) = file.read(4096, 0)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn write(name: &str, path: &str, text: &str) -> Result<String, ErrorCode> {
    let folder = folder(name)?;
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let file = folder.open_at(PathFlags::SYMLINK_FOLLOW, path, OpenFlags::CREATE, flags)?;
    file.write(text.as_bytes(), 0)?;
    Ok("written".to_owned())
}

/// Sends a request by `wasi:http`: a GET, or a POST with content.
fn get(url: &str, content: &str) -> Result<String, String> {
    let (scheme, rest) = url.split_once("://").ok_or("no URL")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let request = OutgoingRequest::new(Fields::new());
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let odd = |()| "it cannot be set".to_owned();
    request.set_scheme(Some(&scheme)).map_err(odd)?;
    request.set_authority(Some(authority)).map_err(odd)?;
    request.set_path_with_query(Some(&format!("/{path}"))).map_err(odd)?;
    if !content.is_empty() {
        request.set_method(&Method::Post).map_err(odd)?;
    }
    let body = request.body().map_err(odd)?;
    let pending = outgoing_handler::handle(request, None).map_err(|error| format!("{error:?}"))?;
    if !content.is_empty() {
        let stream = body.write().map_err(odd)?;
        stream.blocking_write_and_flush(content.as_bytes()).map_err(|error| error.to_string())?;
    }
    OutgoingBody::finish(body, None).map_err(|error| format!("{error:?}"))?;
    pending.subscribe().block();
    let answer = pending.get().ok_or("there is no answer")?.map_err(odd)?;
    let answer = answer.map_err(|error| format!("{error:?}"))?;
    let body = answer.consume().map_err(odd)?;
    let stream = body.stream().map_err(odd)?;
    let mut text = answer.status().to_string() + " ";
    loop {
        match stream.blocking_read(65_536) {
            Ok(bytes) => text.push_str(&String::from_utf8_lossy(&bytes)),
            Err(StreamError::Closed) => return Ok(text),
            Err(error) => return Err(error.to_string()),
        }
    }
}
