//! The JSON report, posted to a URL.

use reqwest::Url;

use super::{Report, json};
use crate::http::{self, Patience};

/// Posts it, whatever the outcome is.
pub(super) async fn send(url: &Url, report: &Report, patience: Patience) -> Result<(), String> {
    http::post(url, "application/json", &json::render(report), patience).await
}
