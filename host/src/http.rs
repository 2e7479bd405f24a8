//! Messages to other servers: a small POST, tried again a little. A URL may be a
//! secret: messages name its host and nothing else.

use std::time::Duration;

use reqwest::{StatusCode, Url, header};

/// How often and how long a message is tried.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
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
    /// For somebody who is waiting for the process to end.
    pub const SHORT: Self = Self { timeout: Duration::from_secs(3), retries: 0 };
}

/// Posts `body` and waits for an answer that says that it came.
///
/// Fails with one line for people. An answer that another attempt would not change
/// (4xx) is not asked for again.
pub async fn post(
    url: &Url,
    content_type: &'static str,
    body: &str,
    patience: Patience,
) -> Result<(), String> {
    let host = url.host_str().unwrap_or("the server").to_owned();
    // An error means that another part of the process has installed one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .user_agent(concat!("lsrun/", env!("CARGO_PKG_VERSION")))
        .timeout(patience.timeout)
        .https_only(url.scheme() == "https")
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
        // What is being restarted is back in a moment; a limit needs a pause.
        tokio::time::sleep(pause).await;
        pause *= 4;
    }
}

/// What lies at the bottom of an error: "connection refused".
fn deepest(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(next) = deepest.source() {
        deepest = next;
    }
    deepest.to_string()
}
