//! One verification as a process of its own: `lsrun verify NAME` of the same executable, in
//! the same project. Whatever happens to it, replication goes on: it may crash, run out of
//! memory or be killed, and it has the lowest priority.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use process_wrap::tokio::ChildWrapper;
use tokio::io::AsyncReadExt;
use tokio::task::JoinHandle;

use crate::context::Context;
use crate::error::Result;
use crate::litestream::process::child;
use crate::project::Database;
use crate::scratch::Scratch;

/// How long it may take to remove what it made, when the daemon ends.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// How long its streams may stay open after its end.
const LEFT_BEHIND: Duration = Duration::from_secs(1);

/// How much of its report is kept. The whole one is in the results.
const KEPT: u64 = 64 << 10;

/// A verification at work.
pub(super) struct VerifyProcess {
    process: Box<dyn ChildWrapper>,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
}

/// What it left.
pub(super) struct Verified {
    pub(super) status: ExitStatus,
    pub(super) report: String,
    /// Its warnings and errors.
    pub(super) warnings: String,
}

impl VerifyProcess {
    pub(super) fn start(context: &Context, database: &Database) -> Result<Self> {
        let mut command = tokio::process::Command::new(executable()?);
        command.arg0("lsrun");
        command.args(arguments(context, database)).current_dir(&context.cwd);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        child::give_way(&mut command);
        child::die_with_parent(&mut command);
        let mut process = child::leader(command)?;
        let stdout = tokio::spawn(beginning(process.stdout().take()));
        let stderr = tokio::spawn(beginning(process.stderr().take()));
        Ok(Self { process, stdout, stderr })
    }

    /// Waits for its end. May be given up and called again.
    pub(super) async fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.process.wait().await?)
    }

    /// What it left, once it has ended.
    pub(super) async fn result(self, status: ExitStatus) -> Verified {
        let report = said(self.stdout).await;
        let warnings = said(self.stderr).await;
        Verified { status, report, warnings }
    }

    /// Ends it, and what it has started.
    pub(super) async fn end(mut self) {
        child::end(self.process.as_mut(), 15, GRACE).await;
        // If it had to be killed, this sweeps what it left.
        drop(Scratch::temporary());
    }
}

/// This executable, also after another version was put in its place.
fn executable() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let running = PathBuf::from("/proc/self/exe");
    Ok(if !own.exists() && running.exists() { running } else { own })
}

fn arguments(context: &Context, database: &Database) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["--quiet".into(), "--color=never".into()];
    // One that was found by searching is found, and has to be trusted, again.
    if let Some(file) = context.project.named_file() {
        arguments.extend(["--project".into(), file.into()]);
    }
    if let Some(locked) = context.plugins.locked {
        arguments.push(format!("--locked={locked}").into());
    }
    if context.plugins.none {
        arguments.push("--no-plugins".into());
    }
    let name = match &database.alias {
        Some(alias) => alias.as_str().into(),
        None => database.path.clone().into(),
    };
    arguments.extend(["verify".into(), "--format=human".into(), "--".into(), name]);
    arguments
}

/// What was written to a stream whose process has ended. Another one that a hook has left
/// behind may hold it open for ever.
async fn said(mut stream: JoinHandle<String>) -> String {
    match tokio::time::timeout(LEFT_BEHIND, &mut stream).await {
        Ok(text) => text.unwrap_or_default().trim().to_owned(),
        Err(_open) => {
            stream.abort();
            String::new()
        }
    }
}

/// The beginning of a stream. The rest is read as well, since the writer would wait.
async fn beginning(stream: Option<impl tokio::io::AsyncRead + Unpin>) -> String {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let mut limited = stream.take(KEPT);
        let _broken = limited.read_to_end(&mut bytes).await;
        let _broken = tokio::io::copy(&mut limited.into_inner(), &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
