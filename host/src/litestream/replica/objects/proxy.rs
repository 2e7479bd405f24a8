//! The proxies that litestream's language finds in the environment.

use reqwest::{NoProxy, Proxy, Url};

use crate::config::Unsupported;
use crate::environment::Environment;

/// Where the machine itself gives credentials: it answers at once, or is not there.
pub(super) const METADATA: [&str; 4] =
    ["169.254.169.254", "169.254.170.2", "metadata.google.internal", "metadata"];

/// The proxies that Go finds in the environment. `ALL_PROXY` is not among them.
pub(super) fn proxies(environment: &Environment) -> Result<Vec<Proxy>, Unsupported> {
    let first = |names: [&str; 2]| names.into_iter().find_map(|name| environment.get(name));
    let none = first(["NO_PROXY", "no_proxy"]).unwrap_or_default();
    let of_https = first(["HTTPS_PROXY", "https_proxy"]);
    // A web server's child gets the header `Proxy` of a request under this name.
    let is_cgi = environment.get("REQUEST_METHOD").is_some();
    let of_http = first(["HTTP_PROXY", "http_proxy"]).filter(|_| !is_cgi);
    if of_https.is_none() && of_http.is_none() {
        return Ok(Vec::new());
    }
    let entries: Vec<&str> = none.split(',').map(str::trim).collect();
    let has_port = |entry: &&str| entry.matches(':').count() == 1;
    if entries.iter().any(has_port) {
        return Err(Unsupported::new("NO_PROXY names a port"));
    }
    // Go asks this machine itself, and a machine for its credentials, without a proxy.
    let own = ["localhost", "127.0.0.0/8", "::1", "169.254.0.0/16", "fd00:ec2::254"];
    let direct: Vec<&str> = entries
        .iter()
        .map(|entry| entry.strip_prefix('*').filter(|rest| !rest.is_empty()).unwrap_or(entry))
        .chain(own)
        .chain(METADATA)
        .filter(|entry| !entry.is_empty())
        .collect();
    let direct = NoProxy::from_string(&direct.join(","));
    let made = |given: Option<&str>, make: fn(Url) -> reqwest::Result<Proxy>| {
        let Some(given) = given else { return Ok(None) };
        let wrong = || Unsupported::new("lsrun cannot use the proxy of the environment");
        let text = if given.contains("://") { given.to_owned() } else { format!("http://{given}") };
        let url = Url::parse(&text).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong());
        }
        Ok(Some(make(url).map_err(|_| wrong())?.no_proxy(direct.clone())))
    };
    let proxies = [made(of_https, Proxy::https)?, made(of_http, Proxy::http)?];
    Ok(proxies.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_those_of_go() {
        let count =
            |pairs: &[(&str, &str)]| proxies(&pairs.iter().copied().collect()).map(|all| all.len());
        assert_eq!(count(&[]), Ok(0));
        assert_eq!(count(&[("ALL_PROXY", "http://p:1")]), Ok(0));
        assert_eq!(count(&[("https_proxy", "p:1"), ("HTTP_PROXY", "http://p:1")]), Ok(2));
        assert_eq!(count(&[("HTTP_PROXY", "http://p:1"), ("REQUEST_METHOD", "GET")]), Ok(0));
        assert!(count(&[("HTTPS_PROXY", "socks5://p:1")]).is_err());
        assert!(count(&[("HTTPS_PROXY", "p:1"), ("NO_PROXY", "a.b:80")]).is_err());
        assert_eq!(count(&[("HTTPS_PROXY", "p:1"), ("NO_PROXY", "a.b,*.c,10.0.0.0/8")]), Ok(1));
    }
}
