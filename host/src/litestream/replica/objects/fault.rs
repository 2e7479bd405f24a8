//! What a store's failures mean.

use std::error::Error as _;
use std::time::Duration;

use object_store::client::{HttpError, HttpErrorKind};

use crate::code::Code;
use crate::error::{Error, deepest};

/// The error of a request that failed while doing `what`, with the codes and the hints
/// that the same failure of litestream has.
pub(super) fn explain(what: &str, error: &object_store::Error) -> Error {
    let text = error.to_string();
    let failed = |code, cause: String| Error::new(code, format!("cannot {what}")).cause(cause);
    if let Some((status, body)) = answered(&text) {
        let cause = said(status, body);
        let code = element(body, "Code").unwrap_or_default();
        let bucket = ["NoSuchBucket", "ContainerNotFound", "InvalidBucketName"].contains(&code);
        return match status {
            401 | 403 => failed(Code::Unreachable, cause)
                .hint("the storage refuses the credentials: check the keys and the clock"),
            404 if bucket || matches!(error, object_store::Error::Generic { .. }) => {
                failed(Code::Unreachable, cause).hint("the bucket does not exist: check its name")
            }
            404 => failed(Code::NotFound, cause),
            _ => failed(Code::Unreachable, cause),
        };
    }
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(http) = inner.downcast_ref::<HttpError>()
            && matches!(http.kind(), HttpErrorKind::Connect | HttpErrorKind::Timeout)
        {
            return failed(Code::Unreachable, deepest(inner))
                .hint("the replica does not answer: check its address");
        }
        source = inner.source();
    }
    failed(Code::Unreachable, deepest(error))
}

/// The error when nothing arrived for too long.
pub(super) fn late(what: &str, patience: Duration, trouble: Option<String>) -> Error {
    let limit = patience.as_secs_f32();
    let error = Error::new(Code::Timeout, format!("cannot {what}: nothing arrived for {limit} s"))
        .hint("check that the replica answers; --timeout allows more time");
    match trouble {
        Some(trouble) => error.cause(trouble),
        None => error,
    }
}

/// The error when the store or the machine gives no credentials.
pub(super) fn no_credentials(kind: &str, error: &object_store::Error) -> Error {
    let failed = Error::new(Code::Unreachable, "cannot get credentials for the replica").cause(
        answered(&error.to_string())
            .map_or_else(|| deepest(error), |(status, body)| said(status, body)),
    );
    if kind != "s3" {
        return failed;
    }
    failed.hint("no credentials: set LITESTREAM_ACCESS_KEY_ID and LITESTREAM_SECRET_ACCESS_KEY")
}

/// The status and the content of the answer that is in a message of the library.
fn answered(text: &str) -> Option<(u16, &str)> {
    let (_, rest) = text.split_once("status code: ")?;
    let status = rest.get(..3)?.parse().ok()?;
    Some((status, rest.split_once(": ").map_or("", |(_, body)| body)))
}

/// What an answer says, on one line: its status, and the code and the message of its XML.
pub(super) fn said(status: u16, body: &str) -> String {
    let mut line = format!("the storage answered {status}");
    if let Some(code) = element(body, "Code") {
        line.push_str(&format!(" {code}"));
    }
    if let Some(message) = element(body, "Message") {
        let first = message.lines().next().unwrap_or_default();
        let short: String = first.chars().filter(|sign| !sign.is_control()).take(200).collect();
        line.push_str(&format!(": {short}"));
    }
    line
}

fn element<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = body.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.trim()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_said_on_one_line() {
        let body =
            "<?xml?><Error><Code>AccessDenied</Code><Message>Access Denied\nx</Message></Error>";
        assert_eq!(said(403, body), "the storage answered 403 AccessDenied: Access Denied");
        assert_eq!(said(500, "oops"), "the storage answered 500");
        let text = format!("Generic S3 error: … status code: 403 Forbidden: {body}");
        assert_eq!(answered(&text), Some((403, body)));
        assert_eq!(answered("connection refused"), None);
    }
}
