//! `lsrun plugin test`: runs a plugin as a user's project would, against a scratch
//! database and replica.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;

use clap::Args;

use crate::author::{Trial, TrialRequest};
use crate::cli::Global;
use crate::commands::{Run, Start};
use crate::error::{Error, Result};
use crate::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct TestArguments {
    /// The component
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A database to use a copy of, instead of one with a few users and orders
    #[arg(long, value_name = "PATH")]
    db: Option<PathBuf>,
    /// Its settings, in JSON or YAML
    #[arg(long, value_name = "SETTINGS")]
    settings: Option<String>,
    /// A permission that it is granted, such as `sqlite:write=default`; may be repeated
    #[arg(long, value_name = "PERMISSION")]
    grant: Vec<String>,
    /// For a command: its own arguments, after `--`
    #[arg(last = true, value_name = "ARGUMENT")]
    arguments: Vec<OsString>,
}

/// What fires hooks of these kinds.
const ON_VERIFY: [&str; 3] = ["check", "pre-verify", "verified"];
const ON_RESTORE: [&str; 3] = ["pre-restore", "post-restore", "restored"];
const ON_REPLICATE: [&str; 2] = ["pre-replicate", "replicated"];
/// What is called for a restore that does not happen.
const NOT_RESTORED: &str = "not-restored";

pub(super) async fn run(run: &Run, arguments: TestArguments) -> Result<Exit> {
    let cwd = &run.start.cwd;
    let trial = Trial::new(&TrialRequest {
        component: &cwd.join(&arguments.file),
        database: arguments.db.as_ref().map(|path| cwd.join(path)).as_deref(),
        settings: arguments.settings.as_deref(),
        grant: &arguments.grant,
    })?;
    let is = |kinds: &[&str]| trial.kinds.iter().any(|kind| kinds.contains(kind));
    let mut steps: Vec<Vec<OsString>> = Vec::new();
    let mut step = |words: &[&str]| steps.push(words.iter().map(OsString::from).collect());
    if is(&ON_VERIFY) {
        step(&["verify", "--verbose", "default"]);
    }
    if is(&ON_REPLICATE) {
        step(&["replicate", "--", "true"]);
    }
    if is(&ON_RESTORE) {
        step(&["restore", "--verbose", "-force", "default"]);
    }
    if trial.kinds.contains(&"command") {
        let verbose = trial.per_database.then(|| OsString::from("--verbose"));
        let own = [OsString::from(&trial.name)].into_iter().chain(verbose);
        let own = own.chain(arguments.arguments);
        steps.push(own.collect());
    }
    let refuses = trial.kinds.contains(&NOT_RESTORED);
    if steps.is_empty() && !refuses {
        return Err(Error::usage(format!("{} is not of a kind that can be tried", trial.name)));
    }
    if !is(&ON_VERIFY) && (is(&ON_RESTORE) || refuses) {
        back_up(&trial).await?;
    }
    let mut exit = 0;
    for words in steps {
        let code = one(run, &trial, words).await;
        if exit == 0 {
            exit = code;
        }
    }
    if refuses {
        // A task refuses, once the hooks before the restore have been called.
        trial.refuse_restores()?;
        let words = ["restore", "--verbose", "-force", "default"].map(OsString::from);
        let code = one(run, &trial, words.to_vec()).await;
        if exit == 0 && code != Exit::HookRefused.code() {
            exit = code;
        }
    }
    Exit::of_code(exit).ok_or_else(|| Error::inconclusive(format!("a step ended with code {exit}")))
}

/// One command of lsrun in the scratch project.
async fn one(run: &Run, trial: &Trial, mut words: Vec<OsString>) -> u8 {
    let line: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    run.reporter.notes().note(&format!("+ lsrun {}", shell_words::join(&line)));
    let name = words.remove(0).to_string_lossy().into_owned();
    let state = trial.state().display().to_string();
    let start = Start {
        global: Global { project: Some(trial.folder().to_owned()), ..run.global.clone() },
        arguments: words,
        environment: run.start.environment.clone().with("LSRUN_STATE_DIR", &state),
        cwd: trial.folder().to_owned(),
        stop: run.start.stop.clone(),
        output: std::sync::Arc::clone(&run.start.output),
    };
    Box::pin(crate::commands::run(&name, start)).await
}

/// Makes a backup for a plugin that is only there for restores.
async fn back_up(trial: &Trial) -> Result<()> {
    let failed = |cause: &dyn std::fmt::Display| {
        Error::inconclusive("the scratch database was not backed up").cause(cause)
    };
    let lsrun = std::env::current_exe().map_err(|error| failed(&error))?;
    let done = tokio::process::Command::new(lsrun)
        .arg("-C")
        .arg(trial.folder())
        .args(["--quiet", "replicate", "-once"])
        .env("LSRUN_STATE_DIR", trial.state())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| failed(&error))?;
    match done.status.success() {
        true => Ok(()),
        false => Err(failed(&String::from_utf8_lossy(&done.stderr).trim())),
    }
}
