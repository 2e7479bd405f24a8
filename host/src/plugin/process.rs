//! A process that the host runs for a guest, litestream or a task of the project file: its
//! lines, its end.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use process_wrap::tokio::ChildWrapper;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::figures;
use crate::litestream::process::child;
use crate::litestream::process::config_file::ConfigFile;
use crate::project::Task;
use crate::stop::Stop;

/// Lines that wait for the guest before the process has to wait.
const WAITING_LINES: usize = 1024;
/// The longest line that is kept, in bytes.
const LINE_LIMIT: usize = 64 << 10;
/// How long a process may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// What every task gets of lsrun's environment: where programs are, whose they are, in which
/// language they speak, and what `systemctl --user` needs. Nothing of it is a secret.
const PASSED_ON: [&str; 16] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "TZ",
    "TERM",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "LC_TIME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
];

/// A line of one of the two streams.
pub struct ProcessLine {
    /// Whether it was on standard error.
    pub is_error: bool,
    /// Without its end.
    pub text: String,
}

/// A running process. Dropped, it is asked to end.
pub struct Process {
    child: Option<Box<dyn ChildWrapper>>,
    lines: mpsc::Receiver<ProcessLine>,
    stop: Stop,
    /// When it is ended, and how long it may have taken.
    limit: Option<(Instant, Duration)>,
    config: Option<ConfigFile>,
    started: Instant,
    ended: Option<Instant>,
}

impl Process {
    /// Starts litestream; `-config` is added after the first argument.
    pub async fn litestream(
        context: &Context,
        arguments: Vec<OsString>,
        config: Option<crate::config::ChildConfig>,
        stop: Stop,
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
        Ok(Self::of_child(child::spawn(command, binary)?, stop, None, config))
    }

    /// Starts a task in the folder of the project file, with these variables besides its own.
    ///
    /// Fails with `project` for a variable that it needs and that is not set, and for a
    /// program that cannot be run.
    pub fn task(
        context: &Context,
        name: &str,
        task: &Task,
        variables: Vec<(String, String)>,
        input: Vec<u8>,
        stop: Stop,
    ) -> Result<Self> {
        let what = format!("the task {name}");
        let (program, arguments) =
            task.run.split_first().ok_or_else(|| Error::usage("the task has no command line"))?;
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).current_dir(&context.project.root).env_clear();
        command.envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        for name in &task.env {
            let value = std::env::var_os(name).ok_or_else(|| {
                Error::project(format!(
                    "{what} needs the environment variable {name}, which is not set"
                ))
                .hint(format!("set {name}, or remove it from the task's env"))
            })?;
            command.env(name, value);
        }
        command.envs(variables);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        child::die_with_parent(&mut command);
        let mut child = child::leader(command).map_err(|error| {
            Error::project(format!("{what} cannot be run: {program}"))
                .cause(error)
                .hint("correct its command line in lsrun.yml; no shell is used: for pipes and variables name one, as in [sh, -c, '…']")
        })?;
        if let Some(mut stdin) = child.stdin().take() {
            tokio::spawn(async move {
                // One that does not read its input needs none.
                let _closed = stdin.write_all(&input).await;
            });
        }
        let limit = Some((Instant::now() + task.timeout, task.timeout));
        Ok(Self::of_child(child, stop, limit, None))
    }

    fn of_child(
        mut child: Box<dyn ChildWrapper>,
        stop: Stop,
        limit: Option<(Instant, Duration)>,
        config: Option<ConfigFile>,
    ) -> Self {
        let (sender, lines) = mpsc::channel(WAITING_LINES);
        if let Some(stdout) = child.stdout().take() {
            tokio::spawn(forward(stdout, false, sender.clone()));
        }
        if let Some(stderr) = child.stderr().take() {
            tokio::spawn(forward(stderr, true, sender));
        }
        let started = Instant::now();
        Self { child: Some(child), lines, stop, limit, config, started, ended: None }
    }

    /// From its start to its end, or to now.
    pub fn elapsed(&self) -> Duration {
        self.ended.unwrap_or_else(Instant::now).duration_since(self.started)
    }

    /// The next lines; empty at the end.
    pub async fn next_lines(&mut self, max: usize) -> Result<Vec<ProcessLine>> {
        let mut lines = Vec::new();
        let late = tokio::select! {
            _count = self.lines.recv_many(&mut lines, max.clamp(1, WAITING_LINES)) => return Ok(lines),
            signal = self.stop.stopped() => return Err(Stop::error(signal)),
            late = passed(self.limit) => late,
        };
        self.end().await;
        Err(late)
    }

    /// Its exit code; -1 when a signal ended it.
    pub async fn wait(&mut self) -> Result<i32> {
        // Nobody reads the rest; it must not keep the process from ending.
        self.lines.close();
        let Some(child) = &mut self.child else {
            return Err(Error::usage("the process has ended"));
        };
        let late = tokio::select! {
            status = child.wait() => {
                self.config = None;
                self.ended = Some(Instant::now());
                return Ok(status?.code().unwrap_or(-1));
            }
            signal = self.stop.stopped() => return Err(Stop::error(signal)),
            late = passed(self.limit) => late,
        };
        self.end().await;
        Err(late)
    }

    async fn end(&mut self) {
        if let Some(mut child) = self.child.take() {
            child::end(child.as_mut(), 15, GRACE).await;
        }
    }
}

/// Returns at the limit, with the error that says so.
async fn passed(limit: Option<(Instant, Duration)>) -> Error {
    let Some((at, time)) = limit else { return std::future::pending().await };
    tokio::time::sleep_until(at).await;
    Error::new(Code::Timeout, format!("it took longer than {}", figures::duration(time)))
        .hint("a task's timeout in lsrun.yml allows more time")
}

impl Drop for Process {
    fn drop(&mut self) {
        let (Some(mut child), config) = (self.child.take(), self.config.take()) else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                child::end(child.as_mut(), 15, GRACE).await;
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
