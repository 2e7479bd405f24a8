//! What is run for a command line, one file for each kind of command.

mod arguments;
mod component;
mod history;
mod passthrough;
mod points;
mod replicate;
mod selection;
mod sync;
mod user;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::{self, Global};
use crate::context::Context;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::litestream::line::{RESTORE_OF_03, Reaches, Verb, is_url};
use crate::output::Output;
use crate::plugin::Builtin;
use crate::project::Project;
use crate::stop::Stop;
use crate::terminal::Terminal;

/// What a run starts with.
pub(crate) struct Start {
    /// The options before the command.
    pub global: Global,
    /// Behind the command.
    pub arguments: Vec<OsString>,
    /// The environment.
    pub environment: Environment,
    /// The folder it was called in.
    pub cwd: PathBuf,
    /// Whether it is being stopped.
    pub stop: Stop,
    /// Standard output.
    pub output: Arc<Output>,
}

/// Runs the command and gives the code that the process ends with. Errors have
/// been printed.
pub(crate) async fn run(name: &str, start: Start) -> u8 {
    for argument in &start.arguments {
        start.environment.redactor().learn_urls(&argument.to_string_lossy());
    }
    match find(name, start).await {
        Ok(code) => code,
        Err((terminal, error)) => {
            terminal.clear();
            terminal.error(&error);
            error.exit().code()
        }
    }
}

type Failed = (Box<Terminal>, Error);

async fn find(name: &str, start: Start) -> std::result::Result<u8, Failed> {
    let failed = |error: Error, global: &Global| (Box::new(terminal(global, &start)), error);
    if let Some(command) = user::in_place_of(name, &start) {
        let run = command.run(name, &start).await;
        return run.map_err(|(global, error)| failed(error, &global));
    }
    if name == "restore" && RESTORE_OF_03.read(&start.arguments).is_of_03() {
        let global = start.global.clone();
        return litestream(&RESTORE_OF_03, &start).await.map_err(|error| failed(error, &global));
    }
    if let Some(builtin) = Builtin::named(name) {
        let manifest = builtin.manifest().map_err(|error| failed(error, &start.global))?;
        let parsed = arguments::parse(name, &manifest, &start.arguments)
            .map_err(|error| failed(error, &start.global))?;
        let global = parsed.global.clone().or(&start.global);
        let parsed = match parsed.help {
            Some(help) => {
                terminal(&global, &start).data(help.as_bytes());
                return Ok(Exit::Success.code());
            }
            None => parsed,
        };
        let context = match parsed.values.get("config").and_then(|files| files.first()) {
            Some(file) => context_of(&global, &start, |start| {
                Project::of_litestream(file.as_ref(), &start.cwd, &start.environment)
            }),
            None => context(&global, &start, parsed.urls_only()),
        };
        let context = context
            .and_then(|context| match parsed.flags.contains("no-expand-env") {
                true => without_expansion(context),
                false => Ok(context),
            })
            .map_err(|error| failed(error, &global))?;
        return component::run(&context, |context| builtin.load(context), parsed)
            .await
            .map(Exit::code)
            .map_err(|error| failed(error, &global));
    }
    if name == "history" {
        return history::run(&start).map(Exit::code);
    }
    if name == "points" {
        return points::run(&start).await.map(Exit::code);
    }
    let global = start.global.clone();
    if let Some(verb) = Verb::named(name) {
        return litestream(verb, &start).await.map_err(|error| failed(error, &global));
    }
    let (context, names) = match user::search(name, &start) {
        Ok(user::Search::Found(command)) => {
            let run = command.run(name, &start).await;
            return run.map_err(|(global, error)| failed(error, &global));
        }
        Ok(user::Search::Others(context, names)) => (Arc::new(*context), names),
        // Without a project there are no plugins; the word may be mistyped.
        Err(error) => return Err(failed(cli::mistyped(name, &[]).unwrap_or(error), &global)),
    };
    if let Some(error) = cli::mistyped(name, &names) {
        return Err(failed(error, &global));
    }
    for note in &context.project.notes {
        context.terminal.note(note);
    }
    let mut words: Vec<OsString> = vec![name.into()];
    words.extend(start.arguments.iter().cloned());
    passthrough::unknown(&context, &words).await.map_err(|error| failed(error, &global))
}

/// A command of litestream. Those that need no project run without one.
async fn litestream(verb: &Verb, start: &Start) -> Result<u8> {
    let line = verb.read(&start.arguments);
    let needless = verb.reaches != Reaches::Configuration
        || line.has("config")
        || line.has("h")
        || line.has("help")
        || line.positionals.iter().any(|word| is_url(word));
    let context = context(&start.global, start, needless)?;
    let context = if line.has("no-expand-env") { without_expansion(context)? } else { context };
    if verb.name == "replicate" {
        return replicate::run(&context, verb, &start.arguments).await;
    }
    if verb.name == "sync" {
        return sync::run(&context, &start.arguments).await;
    }
    passthrough::verb(&context, verb, &start.arguments).await
}

fn terminal(global: &Global, start: &Start) -> Terminal {
    let no_color = start.environment.get("NO_COLOR").is_some();
    let format = global.format.unwrap_or_default();
    let color = global.color.unwrap_or_default();
    Terminal::new(format, global.quiet, color, no_color)
        .within(&start.environment)
        .onto(Arc::clone(&start.output))
}

fn context(global: &Global, start: &Start, without_file: bool) -> Result<Arc<Context>> {
    context_of(global, start, |start| {
        match Project::load(global.project.as_deref(), &start.cwd, &start.environment) {
            // A replica URL needs no project; one that is there is used.
            Err(_none) if without_file && global.project.is_none() => {
                Ok(Project::without_file(&start.cwd))
            }
            other => other,
        }
    })
}

/// For Litestream's `-no-expand-env`.
fn without_expansion(context: Arc<Context>) -> Result<Arc<Context>> {
    match Arc::into_inner(context) {
        Some(context) => Ok(Arc::new(context.without_expansion())),
        None => Err(Error::new(Exit::Unexpected, "the context is shared")),
    }
}

fn context_of(
    global: &Global,
    start: &Start,
    project: impl FnOnce(&Start) -> Result<Project>,
) -> Result<Arc<Context>> {
    let project = project(start)?;
    let terminal = terminal(global, start);
    for note in &project.notes {
        terminal.note(note);
    }
    Ok(Arc::new(Context::new(
        project,
        start.environment.clone(),
        start.cwd.clone(),
        terminal,
        start.stop.clone(),
    )))
}
