//! Runs litestream: its own process group, a private configuration, secrets in
//! the environment only, a deadline, and no orphan.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use process_wrap::tokio::{ChildWrapper, CommandWrap, KillOnDrop, ProcessGroup};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::code::Code;
use crate::config::ChildConfig;
use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::litestream::binary::{Binary, Origin};
use crate::stop::Stop;

/// How long a child may take after it was asked to stop before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How much of a stream is kept. Litestream's answers are far smaller.
const CAPTURE_LIMIT: usize = 16 << 20;

/// What a finished litestream left.
#[derive(Debug)]
pub(crate) struct Output {
    /// Standard output.
    pub stdout: String,
    /// Standard error, which has the log too.
    pub stderr: String,
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
}

/// A configuration file of mode 0600, removed when dropped.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    variables: Vec<(String, crate::secret::Secret)>,
}

impl ConfigFile {
    /// Writes the configuration to the run's private folder.
    pub(crate) fn write(session: &Session, config: ChildConfig) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        if let Some(note) = config.note {
            session.notes.note_once(note);
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = session.scratch()?.path().join(format!("litestream-{number}.yml"));
        let write = || -> std::io::Result<()> {
            use std::io::Write;
            let mut file =
                std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(config.yaml.as_bytes())
        };
        write().map_err(|error| {
            Error::new(Code::Io, format!("cannot write {}", path.display())).cause(error)
        })?;
        Ok(Self { path, variables: config.variables })
    }

    /// Where it is.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        let _ignored = std::fs::remove_file(&self.path);
    }
}

/// When a litestream that does not end is given up.
pub(crate) enum Limit<'a> {
    /// At this moment.
    At(Instant),
    /// When `progress` has not changed for `patience`.
    Stalled {
        /// How long.
        patience: Duration,
        /// A number that grows while work is done.
        progress: &'a (dyn Fn() -> u64 + Send + Sync),
    },
}

impl Limit<'_> {
    async fn passed(&self) {
        match self {
            Self::At(moment) => tokio::time::sleep_until((*moment).into()).await,
            Self::Stalled { patience, progress } => {
                let mut last = progress();
                loop {
                    tokio::time::sleep(*patience).await;
                    let now = progress();
                    if now == last {
                        return;
                    }
                    last = now;
                }
            }
        }
    }
}

/// The command for a litestream process: everything but its streams.
pub(crate) fn command(
    binary: &Binary,
    session: &Session,
    arguments: &[OsString],
    config: Option<&ConfigFile>,
) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(&binary.path);
    command.args(arguments).current_dir(&session.cwd);
    // litestream's MCP tools call `litestream` from PATH.
    if let Some(folder) = binary.path.parent() {
        let rest = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&rest));
        if let Ok(joined) = std::env::join_paths(folders) {
            command.env("PATH", joined);
        }
    }
    // The variable breaks every S3 replica of litestream 0.5; Go itself reads
    // SSL_CERT_FILE, which means the same.
    if let Some(bundle) = std::env::var_os("AWS_CA_BUNDLE") {
        command.env_remove("AWS_CA_BUNDLE");
        if std::env::var_os("SSL_CERT_FILE").is_none() {
            command.env("SSL_CERT_FILE", bundle);
        }
    }
    for (name, value) in config.iter().flat_map(|config| &config.variables) {
        command.env(name, value.expose());
    }
    die_with_parent(&mut command);
    command
}

/// Spawns `command` as the leader of a process group that dies with its handle.
pub(crate) fn spawn(
    command: tokio::process::Command,
    binary: &Binary,
) -> Result<Box<dyn ChildWrapper>> {
    CommandWrap::from(command).wrap(ProcessGroup::leader()).wrap(KillOnDrop).spawn().map_err(
        |error| {
            Error::new(
                Code::NoLitestream,
                format!("cannot run litestream at {}", binary.path.display()),
            )
            .cause(error)
            .hint(match binary.origin {
                Origin::BinPath | Origin::Environment => {
                    format!("correct {}, or remove it", binary.origin)
                }
                _ => "remove it, and lsrun looks for another one".to_owned(),
            })
        },
    )
}

/// Runs litestream to its end and keeps what it says.
///
/// `-config` is added behind the command where there is a configuration. At the
/// limit, and when the run is stopped, it is asked to end and then killed.
pub(crate) async fn capture(
    session: &Session,
    arguments: &[&OsStr],
    config: Option<ChildConfig>,
    limit: Limit<'_>,
) -> Result<Output> {
    capture_with(session, arguments, config, limit, &[]).await
}

/// [`capture`] with more variables in litestream's environment.
pub(crate) async fn capture_with(
    session: &Session,
    arguments: &[&OsStr],
    config: Option<ChildConfig>,
    limit: Limit<'_>,
    variables: &[(&str, String)],
) -> Result<Output> {
    let binary = session.binary().await?;
    let config = config.map(|config| ConfigFile::write(session, config)).transpose()?;
    let mut full: Vec<OsString> = arguments.iter().map(Into::into).collect();
    if let Some(config) = &config {
        full.splice(1..1, ["-config".into(), config.path().into()]);
    }
    let mut command = command(binary, session, &full, config.as_ref());
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn(command, binary)?;
    let stdout = tokio::spawn(read(child.stdout().take()));
    let stderr = tokio::spawn(read(child.stderr().take()));
    let ended = {
        tokio::select! {
            status = child.wait() => Some(status?),
            signal = session.stop.stopped() => {
                end(child.as_mut(), signal.number(), GRACE).await;
                return Err(Stop::error(signal));
            }
            () = limit.passed() => None,
        }
    };
    let Some(status) = ended else {
        end(child.as_mut(), 15, Duration::from_secs(1)).await;
        let said = stderr.await.unwrap_or_default();
        let verb = arguments.first().map(|verb| verb.to_string_lossy()).unwrap_or_default();
        let mut error = Error::new(Code::Timeout, format!("litestream {verb} did not end in time"))
            .hint("see whether the replica answers; --timeout allows more time");
        if let Some(line) = last_problem(&said) {
            error = error.cause(line);
        }
        return Err(error);
    };
    Ok(Output {
        stdout: stdout.await.unwrap_or_default(),
        stderr: stderr.await.unwrap_or_default(),
        code: status.code(),
    })
}

/// Sends `signal` to the group, waits for `grace`, then kills.
pub(crate) async fn end(child: &mut dyn ChildWrapper, signal: i32, grace: Duration) {
    let _gone = child.signal(signal);
    if tokio::time::timeout(grace, child.wait()).await.is_err() {
        let _gone = child.start_kill();
        let _reaped = child.wait().await;
    }
}

impl Output {
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

    /// The error of a litestream that failed while doing `what`.
    #[must_use]
    pub(crate) fn failure(&self, what: &str) -> Error {
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
fn last_problem(output: &str) -> Option<String> {
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

async fn read(stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let mut limited = stream.take(CAPTURE_LIMIT as u64);
        let _broken = limited.read_to_end(&mut bytes).await;
        // The writer must not block on a full pipe.
        let _broken = tokio::io::copy(&mut limited.into_inner(), &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// On Linux the kernel ends the child when the thread that spawned it is gone,
/// so that a killed lsrun leaves no litestream behind. Spawn from the runtime's
/// own threads, which live as long as the process.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the hook runs between fork and exec and makes one system call")]
pub(crate) fn die_with_parent(command: &mut tokio::process::Command) {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    let parent = rustix::process::getpid();
    // SAFETY: prctl and getppid are async-signal-safe and touch no memory of the parent.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::TERM))?;
            // The parent may have gone before the call.
            if getppid() != Some(parent) {
                return Err(std::io::Error::other("lsrun has gone"));
            }
            Ok(())
        });
    }
}

/// Elsewhere there is no such thing.
#[cfg(not(target_os = "linux"))]
pub fn die_with_parent(_command: &mut tokio::process::Command) {}

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
        let output =
            |stderr: &str| Output { stdout: String::new(), stderr: stderr.into(), code: Some(2) };
        let cause = |stderr: &str| output(stderr).failure("restore").one_line();
        assert!(cause("usage: x\nmore\n\n").contains("more"));
        assert!(cause("\n").contains("said nothing"));
    }

    #[test]
    fn json_is_found_behind_log_lines() {
        let output = Output {
            stdout: "time=x level=INFO msg=hello\n{\n \"txid\": \"05\"\n}\n".into(),
            stderr: String::new(),
            code: Some(0),
        };
        assert_eq!(output.json().unwrap()["txid"], "05");
    }
}
