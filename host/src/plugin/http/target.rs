//! Where a request goes, and the scope of `http=`: a host, by its name or its address,
//! with or without a port.

use std::net::IpAddr;

use reqwest::Url;

use crate::error::{Error, Result};

/// The scope of a permission `http=…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugin) enum Scope {
    /// `*`: every host but those that have to be named.
    All,
    /// A host as URLs have it, and a port; without one, the standard port of the scheme.
    Host(String, Option<u16>),
}

impl Scope {
    /// `*`, `HOST` or `HOST:PORT`; none for what is not one of them.
    pub(in crate::plugin) fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        let odd = |letter: char| {
            matches!(letter, '/' | '\\' | '@' | '?' | '#' | '*')
                || letter.is_whitespace()
                || letter.is_control()
        };
        if text.is_empty() || text.contains(odd) {
            return None;
        }
        // The port that it leaves out is not that of any scheme.
        let url = Url::parse(&format!("http://{text}/")).ok()?;
        let written = text.rsplit_once(':').filter(|(_, port)| !port.contains(']'));
        let port = match written {
            Some((_, port)) => Some(port.parse().ok().filter(|port| *port > 0)?),
            None => None,
        };
        Some(Self::Host(url.host_str()?.to_owned(), port))
    }

    /// Whether a request to this target is within it.
    pub(in crate::plugin) fn covers(&self, target: &WebTarget) -> bool {
        match self {
            Self::All => true,
            Self::Host(host, port) => {
                host == target.host() && port.or(target.standard_port()) == Some(target.port())
            }
        }
    }
}

/// A URL that a request can be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugin) struct WebTarget(Url);

impl WebTarget {
    /// An absolute URL of the scheme `http` or `https` without credentials.
    ///
    /// Fails with `invalid`. The message repeats nothing of the URL, which may hold a
    /// secret.
    pub(in crate::plugin) fn parse(text: &str) -> Result<Self> {
        let url = Url::parse(text)
            .map_err(|error| Error::usage("the URL of the request cannot be used").cause(error))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::usage(format!(
                "requests are sent by http and https, not by {:?}",
                crate::shown::bounded(url.scheme())
            )));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::usage(
                "the URL of the request has a name or a password in it, which belong into the \
                 header Authorization",
            ));
        }
        if url.host_str().is_none_or(str::is_empty) || url.port() == Some(0) {
            return Err(Error::usage("the URL of the request has no host"));
        }
        Ok(Self(url))
    }

    pub(super) fn url(&self) -> &Url {
        &self.0
    }

    /// The host as URLs have it: in lower case, in ASCII, an IPv6 address in brackets.
    pub(in crate::plugin) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    pub(super) fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or_default()
    }

    fn standard_port(&self) -> Option<u16> {
        Some(if self.0.scheme() == "https" { 443 } else { 80 })
    }

    /// The address, where the host is not a name.
    pub(super) fn literal(&self) -> Option<IpAddr> {
        self.host().trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// The same with this address in the place of its host.
    pub(in crate::plugin) fn at(&self, address: IpAddr) -> Self {
        let mut url = self.0.clone();
        let _same_scheme = url.set_ip_host(address);
        Self(url)
    }

    /// The permission that it needs, as short as it can be.
    pub(in crate::plugin) fn permission(&self) -> String {
        match self.0.port() {
            Some(port) => format!("http={}:{port}", self.host()),
            None => format!("http={}", self.host()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(scope: &str, url: &str) -> bool {
        Scope::parse(scope).unwrap().covers(&WebTarget::parse(url).unwrap())
    }

    #[test]
    fn a_scope_is_a_host_and_a_port() {
        for (scope, url) in [
            ("*", "http://a.example:8080/x"),
            ("hooks.example", "https://hooks.example/x"),
            ("hooks.example", "http://hooks.example/x"),
            ("Hooks.EXAMPLE", "https://hooks.example/x"),
            ("hooks.example", "https://HOOKS.example:443/x"),
            ("hooks.example:8443", "https://hooks.example:8443/x"),
            ("hooks.example:80", "http://hooks.example"),
            ("bücher.example", "https://xn--bcher-kva.example/"),
            ("xn--bcher-kva.example", "https://BÜCHER.example/"),
            ("[::1]:9000", "http://[0:0::1]:9000/"),
            ("127.0.0.1:9000", "http://0x7f.1:9000/"),
        ] {
            assert!(covers(scope, url), "{scope} {url}");
        }
        for (scope, url) in [
            ("hooks.example", "https://hooks.example:8443/"),
            ("hooks.example", "http://hooks.example:443/"),
            ("hooks.example", "https://evil.hooks.example/"),
            ("hooks.example", "https://hooks.example.evil/"),
            ("hooks.example", "https://hooks.example./"),
            ("hooks.example:8443", "https://hooks.example/"),
            ("hooks.example:443", "http://hooks.example/"),
            ("example", "https://hooks.example/"),
        ] {
            assert!(!covers(scope, url), "{scope} {url}");
        }
        for odd in
            ["", "a/b", "u@h", "http://a", "*.a", "a b", "a:", "a:0", "a:99999", "a:b", "[::1"]
        {
            assert_eq!(Scope::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_target_is_a_web_address_without_credentials() {
        for bad in [
            "",
            "x",
            "/x",
            "ftp://a/",
            "file:///etc/passwd",
            "http://",
            "http://u@a/",
            "http://u:p@a/",
            "http://:p@a/",
            "http://a:0/",
            "data:text/plain,x",
        ] {
            let error = WebTarget::parse(bad).unwrap_err();
            assert_eq!(error.code(), crate::code::Code::Invalid, "{bad}");
        }
        let target = WebTarget::parse("HTTPS://Hooks.Example:443/services/SECRET").unwrap();
        assert_eq!((target.host(), target.port()), ("hooks.example", 443));
        assert_eq!(target.permission(), "http=hooks.example");
        let target = target.at("::1".parse().unwrap());
        assert_eq!(target.permission(), "http=[::1]");
        assert_eq!(target.literal(), Some("::1".parse().unwrap()));
        assert_eq!(WebTarget::parse("http://2130706433/").unwrap().permission(), "http=127.0.0.1");
    }
}
