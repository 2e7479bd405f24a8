//! One run: arguments, runtime, signals, exit code.

use std::process::ExitCode;
use std::sync::Arc;

use clap::FromArgMatches;

use crate::cli::Cli;
use crate::commands::{self, Start};
use crate::environment::Environment;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;
use crate::report::event::Event;
use crate::report::reporter::Reporter;
use crate::stop::Stop;

/// Runs the program of this process's arguments to its end.
pub fn run() -> ExitCode {
    let exit = match parse() {
        Ok((cli, name)) => command(cli, &name),
        Err(exit) => exit.code(),
    };
    ExitCode::from(exit)
}

/// Reads the global options; prints help, version and usage errors.
fn parse() -> Result<(Cli, String), Exit> {
    let matches = commands::command_line().try_get_matches();
    let cli = matches.and_then(|matches| Cli::from_arg_matches(&matches)).map_err(|error| {
        let printed = error.print();
        if error.use_stderr() { Exit::Usage } else { after_print(printed) }
    })?;
    let mut cli = cli;
    // `lsrun help restore` is `lsrun restore --help`.
    if cli.command.first().is_some_and(|name| name == "help") && cli.command.len() > 1 {
        cli.command.remove(0);
        cli.command.truncate(1);
        cli.command.push("--help".into());
    }
    let name = cli.command.first().map(|name| name.to_string_lossy().into_owned());
    match name {
        Some(option) if option.starts_with('-') => {
            let error = Error::usage(format!("no such option: {option}"))
                .hint("lsrun --help lists the options that go before a command");
            Reporter::plain().report(Event::Error(&error));
            Err(Exit::Usage)
        }
        Some(name) if name != "help" => Ok((cli, name)),
        _ => {
            let printed = commands::command_line().print_help();
            Err(after_print(printed))
        }
    }
}

/// The code after a text on stdout: a reader that has gone is not a failure.
fn after_print(printed: std::io::Result<()>) -> Exit {
    match Output::unwritable(printed) {
        None => Exit::Success,
        Some(error) => {
            Reporter::plain().report(Event::Error(&error));
            error.exit()
        }
    }
}

/// The code of the process: one of [`Exit`], or that of the program it ran.
fn command(cli: Cli, name: &str) -> u8 {
    let failed = |error: &Error| {
        Reporter::plain().report(Event::Error(error));
        error.exit().code()
    };
    let cwd = match std::env::current_dir() {
        Ok(cwd) => cwd,
        Err(error) => {
            return failed(&Error::usage("the working directory is gone").cause(error));
        }
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let stop = Stop::default();
    let start = Start {
        global: cli.global,
        arguments: cli.command.into_iter().skip(1).collect(),
        environment: Environment::of_process(),
        cwd,
        stop: stop.clone(),
        output: Arc::default(),
    };
    let output = Arc::clone(&start.output);
    let exit = runtime.block_on(async {
        let (again, mut impatient) = tokio::sync::mpsc::channel(1);
        if let Err(error) = stop.listen(again) {
            return failed(&error);
        }
        tokio::select! {
            exit = commands::run(name, start) => exit,
            Some(signal) = impatient.recv() => signal.exit().code(),
            signal = stop.overdue() => signal.exit().code(),
        }
    });
    // A look-up of a name in the network must not hold up the end.
    runtime.shutdown_background();
    match output.failure() {
        // The result outweighs that it could not be printed.
        Some(error) => {
            let code = failed(&error);
            if exit == Exit::Success.code() { code } else { exit }
        }
        None => exit,
    }
}
