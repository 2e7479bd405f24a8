//! Where the backup of an entry lands, so that two that land in the same place
//! are found, whichever way they are written. Nothing is contacted.

use std::path::{Path, PathBuf};

use super::tree::{Map, Text};
use crate::environment::Environment;
use crate::path::{absolute, expand_home};
use crate::percent::decode;

/// The place of a replica. Two are equal when their backups would overwrite each
/// other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Destination {
    /// `file`, `s3`, …
    pub(super) kind: String,
    /// Endpoint, server or account; empty for the provider's own.
    host: String,
    bucket: String,
    pub(super) path: String,
}

/// The parts of `scheme://user@host/path?query`.
#[derive(Debug, Default)]
struct Url {
    scheme: String,
    user: String,
    host: String,
    path: String,
    query: Vec<(String, String)>,
}

impl Url {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let user = user.split(':').next().unwrap_or_default();
        let query = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), decode(value)))
            .collect();
        Some(Self {
            scheme: scheme.to_ascii_lowercase(),
            user: user.to_owned(),
            host: host.to_owned(),
            path: decode(path),
            query,
        })
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What the texts of a replica stand for, as far as it is known.
pub(super) struct View<'a> {
    pub(super) replica: &'a Map,
    /// The top of the configuration, which holds defaults.
    pub(super) top: &'a Map,
    pub(super) root: &'a Path,
    pub(super) environment: &'a Environment,
    /// The text of a value, its references replaced where they can be.
    pub(super) text: &'a dyn Fn(&Text) -> String,
}

impl View<'_> {
    fn own(&self, key: &str) -> Option<String> {
        self.replica.text(key).map(self.text).filter(|text| !text.is_empty())
    }

    fn inherited(&self, key: &str) -> Option<String> {
        self.own(key).or_else(|| self.top.text(key).map(self.text))
    }

    fn url(&self) -> Option<Url> {
        Url::parse(&self.own("url")?)
    }

    /// The type: a URL's scheme wins over `type`, and `file` is the default.
    pub(super) fn kind(&self) -> String {
        let scheme = self.url().map(|url| url.scheme);
        match scheme.or_else(|| self.own("type")).as_deref() {
            Some("webdavs") => "webdav".to_owned(),
            Some(kind) => kind.to_owned(),
            None => "file".to_owned(),
        }
    }

    /// The folder of a file replica, absolute.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        if self.kind() != "file" {
            return None;
        }
        let path = match self.url() {
            // `file://a/b` is `/a/b` to Litestream.
            Some(url) => format!("/{}{}", url.host, url.path),
            None => self.own("path")?,
        };
        Some(absolute(self.root, &expand_home(&path, self.environment)))
    }

    /// Where the backup lands; a folder with its links as they are.
    pub(super) fn destination(&self) -> Destination {
        let kind = self.kind();
        let url = self.url().unwrap_or_default();
        let has_url = !url.scheme.is_empty();
        let own_path = self.own("path").unwrap_or_default();
        let path = if own_path.is_empty() { url.path.clone() } else { own_path };
        let bucket = || {
            if has_url { url.host.clone() } else { self.inherited("bucket").unwrap_or_default() }
        };
        let (host, bucket, path) = match kind.as_str() {
            "file" => {
                let folder = self.folder().unwrap_or_default();
                (String::new(), String::new(), folder.display().to_string())
            }
            "s3" | "oss" => {
                let (bucket, of_host) = split_bucket(&bucket());
                let endpoint = url.parameter("endpoint").map(str::to_owned);
                let endpoint = self.inherited("endpoint").or(endpoint).unwrap_or(of_host);
                (endpoint_host(&endpoint), bucket, clean(&path))
            }
            "gs" => (String::new(), bucket(), clean(&path)),
            "abs" => {
                let account = if url.user.is_empty() {
                    self.inherited("account-name").unwrap_or_default()
                } else {
                    url.user.clone()
                };
                (account, bucket(), clean(&path))
            }
            "sftp" => {
                let server = if has_url {
                    url.host.clone()
                } else {
                    self.inherited("host").unwrap_or_default()
                };
                let server = server.trim_end_matches(":22").to_ascii_lowercase();
                // A relative path starts at the home folder of the user.
                let user = if has_url {
                    url.user.clone()
                } else {
                    self.inherited("user").unwrap_or_default()
                };
                let absolute = !has_url && path.starts_with('/');
                let (host, slash) =
                    if absolute { (server, "/") } else { (format!("{user}@{server}"), "") };
                (host, String::new(), format!("{slash}{}", clean(&path)))
            }
            "webdav" => {
                let base = self.own("webdav-url").and_then(|base| Url::parse(&base));
                let base = if has_url { None } else { base }.unwrap_or_default();
                let host = if has_url { url.host.clone() } else { base.host };
                (host.to_ascii_lowercase(), String::new(), clean(&format!("{}/{path}", base.path)))
            }
            "nats" => {
                let of_url = clean(&url.path);
                let (first, rest) = of_url.split_once('/').unwrap_or((&of_url, ""));
                let bucket = if first.is_empty() {
                    self.inherited("bucket").unwrap_or_default()
                } else {
                    first.to_owned()
                };
                let own = self.own("path").unwrap_or_default();
                let host = url.host.trim_end_matches(":4222").to_ascii_lowercase();
                (host, bucket, clean(&format!("{rest}/{own}")))
            }
            _ => (url.host.clone(), self.inherited("bucket").unwrap_or_default(), clean(&path)),
        };
        Destination { kind, host, bucket, path }
    }

    /// The server to probe before a call that could hang, where it is known
    /// without asking the provider's library, and where Litestream itself would
    /// connect to it and not to a proxy.
    pub(super) fn endpoint(&self) -> Option<(String, u16)> {
        let (host, port) = self.server()?;
        let by_http = !matches!(self.kind().as_str(), "sftp" | "nats");
        let own = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        let proxied = || {
            let names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"];
            names.iter().any(|name| self.environment.get(name).is_some())
        };
        (!by_http || own || !proxied()).then_some((host, port))
    }

    fn server(&self) -> Option<(String, u16)> {
        let url = self.url();
        let of_url = |default| url.as_ref().and_then(|url| host_and_port(&url.host, default));
        match self.kind().as_str() {
            "s3" => {
                let of_query = url.as_ref().and_then(|url| url.parameter("endpoint"));
                let of_environment = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]
                    .iter()
                    .find_map(|name| self.environment.get(name));
                let endpoint = self
                    .inherited("endpoint")
                    .or_else(|| of_query.map(str::to_owned))
                    .or_else(|| of_environment.map(str::to_owned))?;
                server_of(&endpoint)
            }
            "abs" | "oss" => server_of(&self.inherited("endpoint")?),
            "gs" => server_of(self.environment.get("STORAGE_EMULATOR_HOST")?),
            "sftp" => of_url(22).or_else(|| host_and_port(&self.inherited("host")?, 22)),
            "webdav" => match &url {
                Some(url) => {
                    host_and_port(&url.host, if url.scheme == "webdavs" { 443 } else { 80 })
                }
                None => server_of(&self.own("webdav-url")?),
            },
            "nats" => of_url(4222),
            _ => None,
        }
    }
}

impl Destination {
    /// `s3 bucket/path`, `file /srv/replica`: no secret is in it.
    pub(super) fn describe(&self) -> String {
        let parts = [self.host.as_str(), &self.bucket, &self.path];
        let place: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        format!("{} {}", self.kind, place.join("/"))
    }

    /// Its parts, from the large to the small.
    pub(super) fn key(&self) -> (&str, &str, &str, &str) {
        (&self.kind, &self.host, &self.bucket, &self.path)
    }
}

/// Without empty parts, `.` and `..`, and without slashes around.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

/// Host names of S3 services that have the bucket as their first label.
const BUCKET_HOSTS: [&str; 6] = [
    ".amazonaws.com",
    ".digitaloceanspaces.com",
    ".backblazeb2.com",
    ".filebase.com",
    ".scw.cloud",
    ".linodeobjects.com",
];

/// `bucket.s3.eu-west-1.amazonaws.com` as bucket and endpoint.
fn split_bucket(host: &str) -> (String, String) {
    let known = BUCKET_HOSTS.iter().any(|suffix| host.ends_with(suffix));
    match host.split_once('.') {
        Some((bucket, endpoint)) if known => (bucket.to_owned(), endpoint.to_owned()),
        _ => (host.to_owned(), String::new()),
    }
}

/// An endpoint in the one form that is compared; Amazon's own is empty, in every
/// region, because a bucket's name is unique there.
fn endpoint_host(endpoint: &str) -> String {
    let host = endpoint.split_once("://").map_or(endpoint, |(_, host)| host);
    let host = host.trim_end_matches('/').to_ascii_lowercase();
    let host = host.trim_end_matches(":443");
    if host.ends_with(".amazonaws.com") { String::new() } else { host.to_owned() }
}

/// The server of `https://host:port/path` or `host:port`.
fn server_of(endpoint: &str) -> Option<(String, u16)> {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("https", endpoint));
    let authority = rest.split('/').next().unwrap_or(rest);
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host_and_port(authority, if scheme == "http" { 80 } else { 443 })
}

fn host_and_port(authority: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() || host.contains('$') {
        return None;
    }
    let port = port.map_or(Some(default), |port| port.parse().ok())?;
    Some((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::{clean, host_and_port, server_of};

    #[test]
    fn servers() {
        assert_eq!(server_of("http://127.0.0.1:9000/x"), Some(("127.0.0.1".into(), 9000)));
        assert_eq!(server_of("https://s3.example"), Some(("s3.example".into(), 443)));
        assert_eq!(server_of("http://s3.example"), Some(("s3.example".into(), 80)));
        assert_eq!(host_and_port("[::1]:22", 1), Some(("::1".into(), 22)));
        assert_eq!(host_and_port("$HOST:22", 1), None);
        assert_eq!(host_and_port("h:x", 1), None);
    }

    #[test]
    fn paths_are_cleaned() {
        assert_eq!(clean("/a//b/./c/../d/"), "a/b/d");
        assert_eq!(clean(""), "");
    }
}
