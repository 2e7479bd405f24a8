//! The command line of a command that the host has itself.

use std::pin::Pin;

use clap::{Args, FromArgMatches};

use super::{Run, arguments};
use crate::cli;
use crate::error::Result;
use crate::exit::Exit;
use crate::report::event::Event;

/// A command at work.
pub(super) type CommandRun<'a> = Pin<Box<dyn Future<Output = Result<Exit>> + Send + 'a>>;

/// What a native command is called, what its help says, and what it does.
pub(super) struct Native {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) examples: &'static str,
    pub(super) run: for<'a> fn(&'a Run) -> CommandRun<'a>,
}

impl Native {
    /// The arguments of the run; none when its help was asked for and printed.
    pub(super) fn parse<A: Args + FromArgMatches>(&self, run: &Run) -> Result<Option<A>> {
        let command = A::augment_args(clap::Command::new(self.name))
            .bin_name(format!("lsrun {}", self.name))
            .about(self.about)
            .no_binary_name(true)
            .disable_help_subcommand(true)
            .arg_required_else_help(false)
            .after_help(self.examples);
        let command = cli::with_config(command);
        let words = cli::two_dashes(run.start.arguments.clone(), &cli::long_options(&command));
        let usage = |error: clap::Error| arguments::usage(&error, self.name);
        match command.try_get_matches_from(words) {
            Ok(matches) => A::from_arg_matches(&matches).map(Some).map_err(usage),
            Err(error) if error.kind() == clap::error::ErrorKind::DisplayHelp => {
                run.reporter.report(Event::Data(error.render().to_string().as_bytes()));
                Ok(None)
            }
            Err(error) => Err(usage(error)),
        }
    }
}
