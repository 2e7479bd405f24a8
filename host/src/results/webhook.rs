//! The JSON report, posted to a URL.

use reqwest::Url;

use super::http::{self, Patience};
use crate::redact::Redactor;
use crate::report::{Report, json};

/// Posts it, whatever the outcome is.
pub(super) async fn send(
    url: &Url,
    report: &Report,
    redactor: &Redactor,
    patience: Patience,
) -> Result<(), String> {
    let body = json::render(report);
    http::post(url, "application/json", &redactor.apply(&body), patience).await
}
