//! What a finished litestream left on its streams.

use tokio::io::{AsyncRead, AsyncReadExt};

/// How much of a stream is kept. Litestream's answers are far smaller.
const CAPTURE_LIMIT: usize = 16 << 20;

/// What a finished litestream left.
#[derive(Debug)]
pub(crate) struct ProcessOutput {
    /// Standard output.
    pub stdout: String,
    /// Standard error, which has the log too.
    pub stderr: String,
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
}

impl ProcessOutput {
    /// The first JSON document of standard output. Litestream may log before it.
    #[must_use]
    pub(crate) fn json(&self) -> Option<serde_json::Value> {
        let start = self.stdout.lines().position(|line| {
            let line = line.trim_start();
            line.starts_with('{') || line.starts_with('[')
        })?;
        let text: Vec<&str> = self.stdout.lines().skip(start).collect();
        serde_json::from_str(&text.join("\n")).ok()
    }
}

pub(crate) async fn read(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let mut limited = stream.take(CAPTURE_LIMIT as u64);
        let _broken = limited.read_to_end(&mut bytes).await;
        // The writer must not block on a full pipe.
        let _broken = tokio::io::copy(&mut limited.into_inner(), &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_found_behind_log_lines() {
        let output = ProcessOutput {
            stdout: "time=x level=INFO msg=hello\n{\n \"txid\": \"05\"\n}\n".into(),
            stderr: String::new(),
            code: Some(0),
        };
        assert_eq!(output.json().unwrap()["txid"], "05");
    }
}
