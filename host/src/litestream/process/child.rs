//! Runs litestream: its own process group, a private configuration, secrets in
//! the environment only, a deadline, and no orphan.

use std::ffi::{OsStr, OsString};
use std::process::Stdio;
use std::time::Duration;

use process_wrap::tokio::{ChildWrapper, CommandWrap, KillOnDrop, ProcessGroup};

use crate::code::Code;
use crate::config::ChildConfig;
use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::litestream::binary::found::{Binary, BinaryOrigin};
use crate::litestream::process::config_file::ConfigFile;
use crate::litestream::process::limit::Limit;
use crate::litestream::process::output::{ProcessOutput, read};
use crate::litestream::process::said::last_problem;
use crate::stop::Stop;

/// How long a child may take after it was asked to stop before it is killed.
const GRACE: Duration = Duration::from_secs(5);

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

/// Spawns `command` as the leader of a process group that dies with its handle: a signal
/// reaches it once, from here.
pub(crate) fn leader(command: tokio::process::Command) -> std::io::Result<Box<dyn ChildWrapper>> {
    CommandWrap::from(command).wrap(ProcessGroup::leader()).wrap(KillOnDrop).spawn()
}

/// Spawns litestream as [`leader`] does.
pub(crate) fn spawn(
    command: tokio::process::Command,
    binary: &Binary,
) -> Result<Box<dyn ChildWrapper>> {
    leader(command).map_err(|error| {
        Error::new(
            Code::NoLitestream,
            format!("cannot run litestream at {}", binary.path.display()),
        )
        .cause(error)
        .hint(match binary.origin {
            BinaryOrigin::BinPath | BinaryOrigin::Environment => {
                format!("correct {}, or remove it", binary.origin)
            }
            _ => "remove it, and lsrun looks for another one".to_owned(),
        })
    })
}

/// Runs litestream to its end and keeps what it says.
///
/// `-config` is added after the command if there is a configuration. At the
/// limit, and when the run is stopped, it is asked to end and then killed.
pub(crate) async fn capture(
    session: &Session,
    arguments: &[&OsStr],
    config: Option<ChildConfig>,
    limit: Limit<'_>,
) -> Result<ProcessOutput> {
    capture_with(session, arguments, config, limit, &[]).await
}

/// [`capture`] with more variables in litestream's environment.
pub(crate) async fn capture_with(
    session: &Session,
    arguments: &[&OsStr],
    config: Option<ChildConfig>,
    limit: Limit<'_>,
    variables: &[(&str, String)],
) -> Result<ProcessOutput> {
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
            .hint("check that the replica answers; --timeout allows more time");
        if let Some(line) = last_problem(&said) {
            error = error.cause(line);
        }
        return Err(error);
    };
    Ok(ProcessOutput {
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

/// What is started gives way to everything else on the machine, and so does what it starts:
/// the lowest priority for the processor, from which Linux derives that for the disk
/// (ioprio_set(2)). Where memory runs out, the kernel ends it first.
#[expect(unsafe_code, reason = "the hook runs between fork and exec and makes system calls only")]
pub(crate) fn give_way(command: &mut tokio::process::Command) {
    // SAFETY: nice, open, write and close are async-signal-safe, and nothing is allocated.
    unsafe {
        command.pre_exec(|| {
            // Neither is worth a failure.
            let _refused = rustix::process::nice(19);
            #[cfg(target_os = "linux")]
            {
                use rustix::fs::{Mode, OFlags};
                let flags = OFlags::WRONLY | OFlags::CLOEXEC;
                if let Ok(file) =
                    rustix::fs::open(c"/proc/self/oom_score_adj", flags, Mode::empty())
                {
                    let _refused = rustix::io::write(&file, b"1000");
                }
            }
            Ok(())
        });
    }
}

/// Elsewhere there is no such thing.
#[cfg(not(target_os = "linux"))]
pub fn die_with_parent(_command: &mut tokio::process::Command) {}
