//! Where the backup of an entry is stored, so that two with the same location
//! are found, however they are written. Nothing is contacted.

use super::url::ReplicaUrl;
use super::view::View;

/// The location of a replica. Two are equal when their backups would overwrite each
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

impl View<'_> {
    /// Where the backup is stored; a folder with its links unresolved.
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
                let base = self.own("webdav-url").and_then(|base| ReplicaUrl::parse(&base));
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

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn paths_are_cleaned() {
        assert_eq!(clean("/a//b/./c/../d/"), "a/b/d");
        assert_eq!(clean(""), "");
    }
}
