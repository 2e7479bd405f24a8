//! Pings in the style of healthchecks.io: `URL/start`, then `URL` or `URL/fail`.

use reqwest::Url;

use super::http::{self, Patience};
use crate::exit::Exit;
use crate::redact::Redactor;
use crate::report::{Report, human};

/// What a body may have: services keep the first 10 to 100 kB.
const MOST: usize = 10_000;

const TEXT: &str = "text/plain; charset=utf-8";

/// The URL that is pinged for the start or for a failure.
fn below(url: &Url, word: &str) -> Url {
    let mut below = url.clone();
    if let Ok(mut segments) = below.path_segments_mut() {
        segments.pop_if_empty().push(word);
    }
    below
}

/// The run begins.
pub(super) async fn start(url: Url) -> Result<(), String> {
    http::post(&below(&url, "start"), TEXT, "", Patience::default()).await
}

/// The run is over; a run that proved less than it should is a failure.
pub(super) async fn finish(
    url: &Url,
    report: &Report,
    exit: Exit,
    redactor: &Redactor,
    patience: Patience,
) -> Result<(), String> {
    let url = if exit == Exit::Success { url.clone() } else { below(url, "fail") };
    // What is shown to people, databases that passed on one line each.
    send(&url, &human::render(report, human::Style::default()), redactor, patience).await
}

/// The run could not begin.
pub(super) async fn fail(
    url: &Url,
    why: &str,
    redactor: &Redactor,
    patience: Patience,
) -> Result<(), String> {
    send(&below(url, "fail"), &crate::shown::lines(why), redactor, patience).await
}

async fn send(
    url: &Url,
    body: &str,
    redactor: &Redactor,
    patience: Patience,
) -> Result<(), String> {
    let body = redactor.apply(body);
    let end = body.floor_char_boundary(MOST);
    let body = body.get(..end).unwrap_or_default();
    http::post(url, TEXT, body, patience).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_behind_the_path_and_before_the_query() {
        let of = |url: &str| below(&Url::parse(url).unwrap(), "fail").to_string();
        assert_eq!(of("https://hc.example/uuid"), "https://hc.example/uuid/fail");
        assert_eq!(of("https://hc.example/uuid/"), "https://hc.example/uuid/fail");
        assert_eq!(
            of("https://hc.example/k/slug?create=1"),
            "https://hc.example/k/slug/fail?create=1"
        );
    }
}
