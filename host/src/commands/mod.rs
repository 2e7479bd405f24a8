//! What a command line runs, one file for each kind of command.

mod alone;
mod arguments;
mod around;
mod calls;
mod component;
mod history;
mod native;
mod passthrough;
mod plugin;
mod replicate;
mod rounds;
mod selection;
mod shard;
mod supervisor;
mod sync;
mod table;
mod user;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use self::arguments::options;
use self::table::Command;
pub(crate) use self::table::command_line;
use crate::cli::Global;
use crate::context::{Context, PluginUse};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::litestream::process::line::{Reaches, Verb, is_url};
use crate::output::Output;
use crate::plugin::Builtin;
use crate::project::Project;
use crate::report::event::Event;
use crate::report::reporter::Reporter;
use crate::stop::Stop;
use crate::terminal::Terminal;

/// What a run starts with.
pub(crate) struct Start {
    /// The options before the command.
    pub global: Global,
    /// The words after the command.
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

/// One run of a command.
struct Run {
    start: Start,
    /// The options before the command, and those after it if they are lsrun's.
    global: Global,
    reporter: Arc<Reporter>,
}

/// Runs the command and gives the code that the process ends with. Errors have
/// been printed.
pub(crate) async fn run(name: &str, start: Start) -> u8 {
    for argument in &start.arguments {
        start.environment.redactor().learn_urls(&argument.to_string_lossy());
    }
    let run = Run::of(start);
    let command = Command::named(name, &run);
    let run = match command {
        // What comes after a command of litestream is litestream's.
        Ok(Command::Litestream(_)) => run.before_the_command(),
        _ => run,
    };
    let done = match command {
        Ok(command) => command.run(name, &run).await,
        Err(error) => Err(error),
    };
    done.unwrap_or_else(|error| {
        run.reporter.report(Event::Idle);
        run.reporter.report(Event::Error(&error));
        error.exit().code()
    })
}

impl Command {
    /// Runs it to its end.
    async fn run(self, name: &str, run: &Run) -> Result<u8> {
        match self {
            Self::Builtin(builtin) => builtin_command(builtin, run).await.map(Exit::code),
            Self::Project(command) => command.run(name, run).await.map(Exit::code),
            Self::Native(native) => (native.run)(run).await.map(Exit::code),
            Self::Litestream(verb) => litestream(verb, run).await,
            Self::Unknown(context) => {
                context.say_notes();
                let mut words: Vec<OsString> = vec![name.into()];
                words.extend(run.start.arguments.iter().cloned());
                passthrough::unknown(&Arc::new(*context), &words).await
            }
        }
    }
}

impl Run {
    fn of(start: Start) -> Self {
        let global = Global::after(&start.arguments).or(&start.global);
        let reporter = Arc::new(reporter(&global, &start));
        Self { start, global, reporter }
    }

    /// The same with the options before the command only.
    fn before_the_command(self) -> Self {
        let global = self.start.global.clone();
        let reporter = Arc::new(reporter(&global, &self.start));
        Self { start: self.start, global, reporter }
    }

    /// The run in the project that is named after the command or before it, or in the one
    /// that is found. `without_file` needs none: one that is there is used.
    fn context(&self, after: Option<&Path>, without_file: bool) -> Result<Context> {
        let Start { global, cwd, environment, .. } = &self.start;
        let named = after.or(global.project.as_deref());
        let project = match Project::load(named, cwd, environment) {
            Err(_none) if without_file && named.is_none() => Project::without_file(cwd),
            other => other?,
        };
        Ok(self.within(project))
    }

    /// The run in this project.
    fn within(&self, project: Project) -> Context {
        let context = self.silently_within(project);
        context.say_notes();
        context
    }

    /// The run in this project, with nothing said about it yet.
    fn silently_within(&self, project: Project) -> Context {
        let Start { environment, cwd, stop, .. } = &self.start;
        let (environment, cwd, stop) = (environment.clone(), cwd.clone(), stop.clone());
        let plugins = PluginUse { locked: self.global.locked, none: self.global.no_plugins };
        Context::new(project, environment, cwd, Arc::clone(&self.reporter), stop).using(plugins)
    }
}

/// A command that comes with lsrun as a component.
async fn builtin_command(builtin: &Builtin, run: &Run) -> Result<Exit> {
    let Start { arguments, cwd, environment, .. } = &run.start;
    let parsed = arguments::parse(builtin.name, builtin.manifest()?, arguments)?;
    if let Some(help) = parsed.help {
        run.reporter.report(Event::Data(help.as_bytes()));
        return Ok(Exit::Success);
    }
    let context = match parsed.values.get("config").and_then(|files| files.first()) {
        Some(file) => run.within(Project::of_litestream(file.as_ref(), cwd, environment)?),
        None => run.context(parsed.global.project.as_deref(), parsed.urls_only())?,
    };
    let context = match parsed.flags.contains("no-expand-env") {
        true => context.without_expansion(),
        false => context,
    };
    component::run(&Arc::new(context), |context, engine| builtin.load(context, engine), parsed)
        .await
}

/// A command of litestream. Those that need no project run without one.
async fn litestream(verb: &Verb, run: &Run) -> Result<u8> {
    let words = &run.start.arguments;
    let line = verb.read(words);
    if let Some(flag) = &line.without_value {
        return Err(Error::usage(format!("-{flag} needs a value"))
            .hint(format!("see lsrun {} --help", verb.name)));
    }
    let needless = verb.reaches != Reaches::Configuration
        || line.has("config")
        || line.has("h")
        || line.has("help")
        || line.positionals.iter().any(|word| is_url(word));
    let context = run.context(None, needless)?;
    let context =
        Arc::new(if line.has("no-expand-env") { context.without_expansion() } else { context });
    match verb.name {
        "replicate" => replicate::run(&context, verb, words).await,
        "sync" => sync::run(&context, words).await,
        _ => passthrough::verb(&context, verb, words).await,
    }
}

fn reporter(global: &Global, start: &Start) -> Reporter {
    let no_color = start.environment.get("NO_COLOR").is_some();
    let color = global.color.unwrap_or_default();
    let terminal = Terminal::new(global.quiet, color, no_color)
        .within(&start.environment)
        .onto(Arc::clone(&start.output));
    Reporter::new(terminal, global.format.unwrap_or_default())
}
