//! Litestream's own commands: aliases become paths, the configuration or the
//! control socket is supplied, and the streams and the code are litestream's.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::Purpose;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::litestream::binary::feature;
use crate::litestream::daemon::{self, Control, sockets};
use crate::litestream::process::child;
use crate::litestream::process::config_file::ConfigFile;
use crate::litestream::process::line::{CommandLine, Reaches, Verb, is_url};
use crate::litestream::sync::unseen;
use crate::report::event::Event;
use crate::stop::Stop;

/// A command lsrun does not know, for a litestream that may: nothing is supplied.
pub(super) async fn unknown(context: &Arc<Context>, words: &[OsString]) -> Result<u8> {
    run(context, words, None).await
}

/// Runs a command of litestream.
pub(super) async fn verb(context: &Arc<Context>, verb: &Verb, words: &[OsString]) -> Result<u8> {
    if verb.name == "version" && words.is_empty() {
        return versions(context).await;
    }
    let mut line = verb.read(words);
    let help = line.has("h") || line.has("help");
    // Of a command that this litestream does not have, there is no help either.
    if !help || verb.is_of_03() {
        check_version(context, verb.name, verb.since, &line).await?;
        resolve(context, verb, &mut line)?;
        if verb.name == "reset" && !line.has("dry-run") {
            refuse_reset(context, &line).await?;
        }
    }
    let config = if help { None } else { supply(context, verb, &mut line)? };
    let mut arguments: Vec<OsString> = vec![verb.name.into()];
    arguments.extend(line.words().cloned());
    let code = run(context, &arguments, config).await?;
    if verb.name == "start" && code == Exit::Success.code() {
        look(&line).await;
    }
    Ok(code)
}

/// After `start`: litestream 0.5.17 opens the database only when it next checks it,
/// and what is written and checkpointed until then never reaches the replica. So it
/// is asked to check now; the result is left to later commands.
async fn look(line: &CommandLine) {
    const PATIENCE: Duration = Duration::from_secs(30);
    let socket = line.value("socket").and_then(|socket| Control::at(socket.as_ref()));
    if let (Some(control), [database]) = (socket, line.positionals.as_slice()) {
        let deadline = Instant::now() + PATIENCE;
        let _told_elsewhere = control.look(database.as_ref(), deadline).await;
    }
}

/// Fails when the binary is too old for the command, or too new for a word of the
/// 0.3 line; warns about what an old binary lacks.
pub(super) async fn check_version(
    context: &Context,
    name: &str,
    since: Option<feature::Feature>,
    line: &CommandLine,
) -> Result<()> {
    let version = &context.binary().await?.version;
    if let Some(lacks) = feature::missing_notes(version) {
        context.notes.warning(&lacks);
    }
    if !version.is_before_05() {
        let flags = line.flags.iter().filter(|_| name != "register");
        let words = std::iter::once(OsStr::new(name)).chain(flags.map(OsString::as_os_str));
        for word in words {
            if let Some(today) = feature::equivalent_of_03(&word.to_string_lossy()) {
                let word = word.to_string_lossy();
                return Err(Error::usage(format!("litestream {version} has no `{word}`"))
                    .hint(today.to_owned()));
            }
        }
    }
    since.map_or(Ok(()), |feature| feature::require(version, feature))
}

/// Litestream 0.5.17 under which its local state is removed ("cannot verify wal state")
/// does not replicate that database again until it is restarted.
async fn refuse_reset(context: &Context, line: &CommandLine) -> Result<()> {
    /// A daemon that waits for its replica says nothing.
    const PATIENCE: Duration = Duration::from_secs(1);
    for word in &line.positionals {
        let path: &Path = word.as_ref();
        let mut runs = unseen::replicates_unseen(path).await || !daemon::running(path).is_empty();
        for control in sockets::controls(context) {
            runs |= control.knows(path, PATIENCE).await;
        }
        if runs {
            let word = shell_words::quote(&word.to_string_lossy()).into_owned();
            let path = path.display();
            return Err(Error::project(format!("a litestream daemon replicates {path}"))
                .cause("without its local state, the daemon stops replicating it until it is restarted")
                .hint(format!("stop the daemon, run lsrun reset {word}, and start the daemon again")));
        }
    }
    Ok(())
}

/// Aliases and paths of the project become the paths that litestream knows.
fn resolve(context: &Context, verb: &Verb, line: &mut CommandLine) -> Result<()> {
    for word in line.positionals.iter_mut().filter(|word| !is_url(word)) {
        let (_name, path) = database(context, word)?;
        // A daemon expands a relative path against its own folder.
        if verb.reaches == Reaches::Daemon || context.cwd.join(&*word) != path {
            *word = path.into();
        }
    }
    Ok(())
}

/// What a word names: its name for people and its absolute path. Paths that are not of
/// the project pass.
pub(super) fn database(context: &Context, word: &OsStr) -> Result<(String, PathBuf)> {
    let path = context.cwd.join(word);
    let Some(text) = word.to_str() else { return Ok((path.display().to_string(), path)) };
    match context.project.database(text) {
        Ok(database) => Ok((database.name(), database.path.clone())),
        Err(_) if text.contains('/') || path.exists() => Ok((text.to_owned(), path)),
        Err(error) => Err(error),
    }
}

/// `-config` with the generated configuration, or `-socket`.
fn supply(context: &Context, verb: &Verb, line: &mut CommandLine) -> Result<Option<ConfigFile>> {
    match verb.reaches {
        Reaches::Nothing => Ok(None),
        Reaches::Daemon => {
            if !line.has("socket") {
                let socket = sockets::live(context)?;
                line.flags.extend(["-socket".into(), socket.into_os_string()]);
            }
            Ok(None)
        }
        Reaches::Configuration => {
            // A URL and `-config` exclude each other.
            if line.has("config") || line.positionals.iter().any(|word| is_url(word)) {
                return Ok(None);
            }
            // lsrun's own references have to be expanded; the project was read
            // with the user's read literally.
            line.remove("no-expand-env", false);
            let database = match line.positionals.as_slice() {
                [one] => Some(one.into()),
                _ => None,
            };
            let known = |path: &std::path::PathBuf| {
                context.project.database(&path.to_string_lossy()).is_ok()
            };
            let purpose = Purpose::Read { database: database.filter(known) };
            let child = context.config()?.for_child(&purpose, &context.environment)?;
            let config = ConfigFile::write(context, child)?;
            line.flags.extend(["-config".into(), config.path().into()]);
            Ok(Some(config))
        }
    }
}

/// Runs litestream with the streams of this process and gives its code.
async fn run(context: &Context, arguments: &[OsString], config: Option<ConfigFile>) -> Result<u8> {
    let binary = context.binary().await?;
    let mut command = child::command(binary, context, arguments, config.as_ref());
    command.stdin(Stdio::inherit()).stdout(Stdio::inherit()).stderr(Stdio::inherit());
    let mut child = child::spawn(command, binary)?;
    // It ends in its own time: it may be finishing something.
    context.stop.allow(Duration::from_secs(300));
    let status = tokio::select! {
        status = child.wait() => status?,
        signal = context.stop.stopped() => {
            let _gone = child.signal(signal.number());
            child.wait().await?
        }
    };
    drop(config);
    Ok(code(status))
}

/// The code of a process as a shell gives it: 128 and the signal that ended it.
pub(super) fn code(status: std::process::ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(Exit::Unexpected.code())
}

/// lsrun's version, litestream's, and where it came from.
async fn versions(context: &Context) -> Result<u8> {
    let binary = tokio::select! {
        binary = context.binary() => binary?,
        signal = context.stop.stopped() => return Err(Stop::error(signal)),
    };
    let text = format!(
        "lsrun {}\nlitestream {}\n{} ({})\n",
        env!("CARGO_PKG_VERSION"),
        binary.version,
        binary.path.display(),
        binary.origin,
    );
    context.reporter.report(Event::Text(&text));
    Ok(Exit::Success.code())
}
