//! The server that holds a replica, if it is known. Nothing is contacted.

use super::view::View;

impl View<'_> {
    /// The server to probe before a call that could hang, if it is known
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
    use super::{host_and_port, server_of};

    #[test]
    fn servers() {
        assert_eq!(server_of("http://127.0.0.1:9000/x"), Some(("127.0.0.1".into(), 9000)));
        assert_eq!(server_of("https://s3.example"), Some(("s3.example".into(), 443)));
        assert_eq!(server_of("http://s3.example"), Some(("s3.example".into(), 80)));
        assert_eq!(host_and_port("[::1]:22", 1), Some(("::1".into(), 22)));
        assert_eq!(host_and_port("$HOST:22", 1), None);
        assert_eq!(host_and_port("h:x", 1), None);
    }
}
