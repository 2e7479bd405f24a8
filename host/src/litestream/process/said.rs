//! What litestream's messages mean: what caused a failure.

use crate::code::Code;
use crate::error::Error;
use crate::litestream::process::output::ProcessOutput;

/// What is wrong with this machine, and not with a backup.
const LOCAL: [&str; 7] = [
    "no space left",
    "disk quota exceeded",
    "file too large",
    "read-only file system",
    "permission denied",
    "too many open files",
    "cannot allocate memory",
];

/// The error of a litestream that failed, with the code that says what caused it. The
/// messages are those of litestream 0.5.17.
#[must_use]
pub(crate) fn explain(output: &ProcessOutput, what: &str) -> Error {
    let failed = output.failure(what);
    let said = format!("{}\n{}", output.stderr, output.stdout);
    let any = |needles: &[&str]| needles.iter().any(|needle| said.contains(needle));
    // A signal, such as that of a system that is out of memory: whatever litestream
    // said before says nothing about the backup.
    if output.code.is_none() {
        return failed
            .with_code(Code::Inconclusive)
            .hint("something killed litestream: check the system's log");
    }
    if any(&["no matching backup", "timestamp does not exist", "no backup found"]) {
        return failed.with_code(Code::NotFound).hint("lsrun ltx shows what the replica holds");
    }
    if any(&["SignatureDoesNotMatch", "InvalidAccessKeyId", "AccessDenied", "StatusCode: 403"]) {
        return failed
            .with_code(Code::Unreachable)
            .hint("the storage refuses the credentials: check the keys and the clock");
    }
    if any(&["NoSuchBucket", "StatusCode: 404"]) {
        return failed
            .with_code(Code::Unreachable)
            .hint("the bucket does not exist: check its name");
    }
    if any(&["failed to refresh cached credentials", "no EC2 IMDS role"]) {
        return failed
            .with_code(Code::Unreachable)
            .hint("no credentials: set LITESTREAM_ACCESS_KEY_ID and LITESTREAM_SECRET_ACCESS_KEY");
    }
    if any(&["connection refused", "no such host", "maximum number of attempts", "i/o timeout"]) {
        return failed
            .with_code(Code::Unreachable)
            .hint("the replica does not answer: check its address");
    }
    if any(&LOCAL) {
        return failed.with_code(Code::Io);
    }
    if any(&["SQLITE_BUSY", "database is locked"]) {
        return failed
            .with_code(Code::Busy)
            .hint("another process has locked the database: run this again when it is done");
    }
    failed
}

impl ProcessOutput {
    /// The error of a litestream that failed while doing `what`.
    fn failure(&self, what: &str) -> Error {
        let ended = match self.code {
            Some(code) => format!("litestream ended with code {code} and said nothing"),
            None => "litestream was killed by a signal".to_owned(),
        };
        let said = [&self.stderr, &self.stdout].into_iter();
        let reason = said.clone().find_map(|text| last_problem(text)).or_else(|| {
            let mut lines = said.flat_map(|text| text.lines().rev());
            lines.find(|line| !line.trim().is_empty()).map(str::to_owned)
        });
        Error::new(Code::Litestream, format!("litestream cannot {what}"))
            .cause(reason.unwrap_or(ended))
    }
}

/// The line of litestream's output that says what is wrong: its `Error:` line, or
/// that of Go's runtime when it crashed, else the last one logged as an error.
pub(crate) fn last_problem(output: &str) -> Option<String> {
    let problem = output.lines().rev().find_map(|line| line.trim().strip_prefix("Error: "));
    if let Some(problem) = problem {
        return Some(problem.to_owned());
    }
    let crashed = |line: &&str| line.starts_with("panic: ") || line.starts_with("fatal error: ");
    if let Some(crash) = output.lines().find(crashed) {
        return Some(crash.to_owned());
    }
    let line = output.lines().rev().find(|line| line.contains("level=ERROR"))?;
    let text = line.split_once("msg=").map_or(line, |(_, rest)| rest);
    Some(text.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_says_what_is_wrong_is_found() {
        let output = "time=x level=INFO msg=\"starting\"\nError: no matching backup\nTry: that\n";
        assert_eq!(last_problem(output).as_deref(), Some("no matching backup"));
        let log = "time=x level=ERROR msg=\"sync error\" error=\"boom\"\n";
        assert_eq!(last_problem(log).as_deref(), Some("sync error\" error=\"boom"));
        assert_eq!(last_problem("fine\n"), None);
        let crash = "time=x level=ERROR msg=late\npanic: index out of range\n\ngoroutine 1:\n";
        assert_eq!(last_problem(crash).as_deref(), Some("panic: index out of range"));
        let output = |stderr: &str| ProcessOutput {
            stdout: String::new(),
            stderr: stderr.into(),
            code: Some(2),
        };
        let cause = |stderr: &str| output(stderr).failure("restore").one_line();
        assert!(cause("usage: x\nmore\n\n").contains("more"));
        assert!(cause("\n").contains("said nothing"));
    }

    #[test]
    fn a_refusal_of_the_storage_is_told_from_a_bad_backup() {
        let output = |stderr: &str| ProcessOutput {
            stdout: String::new(),
            stderr: stderr.into(),
            code: Some(1),
        };
        let code = |stderr: &str| explain(&output(stderr), "restore").code().as_str();
        assert_eq!(code("Error: no matching backup files available"), "not-found");
        assert_eq!(code("Error: StatusCode: 403 SignatureDoesNotMatch"), "unreachable");
        assert_eq!(code("Error: decode database: unexpected EOF"), "litestream");
        assert_eq!(code("Error: write x: no space left on device"), "io");
        let killed = ProcessOutput { stdout: String::new(), stderr: String::new(), code: None };
        assert_eq!(explain(&killed, "restore").code().as_str(), "inconclusive");
    }
}
