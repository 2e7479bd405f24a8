//! A litestream process that a guest runs: its lines, its end.

use std::ffi::OsString;
use std::process::Stdio;

use process_wrap::tokio::ChildWrapper;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::mpsc;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::litestream::process::child;
use crate::litestream::process::config_file::ConfigFile;
use crate::stop::Stop;

/// Lines that wait for the guest before the process has to wait.
const WAITING_LINES: usize = 1024;
/// The longest line that is kept, in bytes.
const LINE_LIMIT: usize = 64 << 10;

/// A line of one of the two streams.
pub struct ProcessLine {
    /// Whether it was on standard error.
    pub is_error: bool,
    /// Without its end.
    pub text: String,
}

/// A running litestream. Dropped, it is asked to end.
pub struct Process {
    child: Option<Box<dyn ChildWrapper>>,
    lines: mpsc::Receiver<ProcessLine>,
    stop: Stop,
    config: Option<ConfigFile>,
}

impl Process {
    /// Starts it; `-config` is added after the first argument.
    pub async fn start(
        context: &Context,
        arguments: Vec<OsString>,
        config: Option<crate::config::ChildConfig>,
    ) -> Result<Self> {
        let binary = context.binary().await?;
        let config = config.map(|config| ConfigFile::write(context, config)).transpose()?;
        let mut full = arguments;
        if let Some(config) = &config
            && !full.is_empty()
        {
            full.splice(1..1, ["-config".into(), config.path().into()]);
        }
        let mut command = child::command(binary, context, &full, config.as_ref());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child::spawn(command, binary)?;
        let (sender, lines) = mpsc::channel(WAITING_LINES);
        if let Some(stdout) = child.stdout().take() {
            tokio::spawn(forward(stdout, false, sender.clone()));
        }
        if let Some(stderr) = child.stderr().take() {
            tokio::spawn(forward(stderr, true, sender));
        }
        Ok(Self { child: Some(child), lines, stop: context.stop.clone(), config })
    }

    /// The next lines; empty at the end.
    pub async fn next_lines(&mut self, max: usize) -> Result<Vec<ProcessLine>> {
        let mut lines = Vec::new();
        tokio::select! {
            _count = self.lines.recv_many(&mut lines, max.clamp(1, WAITING_LINES)) => Ok(lines),
            signal = self.stop.stopped() => Err(Stop::error(signal)),
        }
    }

    /// Its exit code; -1 when a signal ended it.
    pub async fn wait(&mut self) -> Result<i32> {
        // Nobody reads the rest; it must not keep the process from ending.
        self.lines.close();
        let Some(child) = &mut self.child else {
            return Err(Error::usage("the process has ended"));
        };
        tokio::select! {
            status = child.wait() => {
                self.config = None;
                Ok(status?.code().unwrap_or(-1))
            }
            signal = self.stop.stopped() => Err(Stop::error(signal)),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let (Some(mut child), config) = (self.child.take(), self.config.take()) else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                child::end(child.as_mut(), 15, std::time::Duration::from_secs(5)).await;
                drop(config);
            });
        }
    }
}

async fn forward(stream: impl AsyncRead + Unpin, is_error: bool, lines: mpsc::Sender<ProcessLine>) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).await.is_ok_and(|count| count > 0) {
        line.truncate(LINE_LIMIT);
        let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
        line.clear();
        // After `wait` the lines are read and thrown away.
        let _nobody = lines.send(ProcessLine { is_error, text }).await;
    }
}
