//! Messages to other servers: a small POST, with a few retries. A URL may be a
//! secret: messages name only its host.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url, header};

use crate::error::deepest;

const MOST_REDIRECTS: usize = 5;

/// How often and how long a message is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// One attempt, from the connection to the answer.
    pub timeout: Duration,
    /// After the first one.
    pub retries: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), retries: 2 }
    }
}

impl Patience {
    /// For a user who is waiting for the process to end.
    pub(crate) const SHORT: Self = Self { timeout: Duration::from_secs(3), retries: 0 };
}

/// Posts `body` and waits for an answer that says that it came.
///
/// Fails with one line for people. An answer that another attempt would not change
/// (4xx) is not asked for again.
pub(crate) async fn post(
    url: &Url,
    content_type: &'static str,
    body: &str,
    patience: Patience,
) -> Result<(), String> {
    let host = url.host_str().unwrap_or("the server").to_owned();
    crate::download::use_ring();
    let client = reqwest::Client::builder()
        .user_agent(concat!("lsrun/", env!("CARGO_PKG_VERSION")))
        .timeout(patience.timeout)
        .https_only(url.scheme() == "https")
        // A message and its address are for one host only.
        .referer(false)
        .redirect(Policy::custom(|attempt| {
            let same = attempt.previous().last().is_some_and(|from| same_host(from, attempt.url()));
            if same && attempt.previous().len() <= MOST_REDIRECTS {
                attempt.follow()
            } else {
                attempt.stop()
            }
        }))
        .build()
        .map_err(|error| format!("{host}: {}", deepest(&error.without_url())))?;
    let mut pause = Duration::from_millis(250);
    let mut left = patience.retries;
    loop {
        let request = client
            .post(url.clone())
            .header(header::CONTENT_TYPE, content_type)
            .body(body.to_owned());
        let why = match request.send().await.map(|answer| answer.status()) {
            Ok(status) if status.is_success() => return Ok(()),
            Ok(status) if status.is_redirection() => {
                left = 0;
                format!("{host} answered {status}; a redirect to another host is not followed")
            }
            Ok(status) => {
                let final_ = status.is_client_error()
                    && status != StatusCode::TOO_MANY_REQUESTS
                    && status != StatusCode::REQUEST_TIMEOUT;
                if final_ {
                    left = 0;
                }
                format!("{host} answered {status}")
            }
            Err(error) if error.is_timeout() => {
                format!("{host} did not answer within {} s", patience.timeout.as_secs())
            }
            Err(error) => {
                format!("{host} cannot be reached ({})", deepest(&error.without_url()))
            }
        };
        if left == 0 {
            return Err(why);
        }
        left -= 1;
        // A server that is being restarted is back in a moment; a limit needs a pause.
        tokio::time::sleep(pause).await;
        pause *= 4;
    }
}

/// Whether a message to `from` may go to `to`: the same host and port, or the same
/// host by https.
fn same_host(from: &Url, to: &Url) -> bool {
    let ports = (from.port_or_known_default(), to.port_or_known_default());
    from.host() == to.host()
        && (ports.0 == ports.1 && from.scheme() == to.scheme()
            || (from.scheme(), to.scheme(), ports) == ("http", "https", (Some(80), Some(443))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stays_with_its_host() {
        let url = |text| Url::parse(text).unwrap();
        for (from, to, same) in [
            ("http://a/x", "http://a/y", true),
            ("http://a/x", "https://a/x", true),
            ("https://a/x", "http://a/x", false),
            ("http://a:8080/x", "http://a/x", false),
            ("http://a/x", "http://b/x", false),
            ("https://a:8443/x", "https://a:8443/y", true),
        ] {
            assert_eq!(same_host(&url(from), &url(to)), same, "{from} {to}");
        }
    }
}
