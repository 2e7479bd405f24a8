//! The command line: global options, then a command, then what belongs to it.

mod globals;
mod litestream_style;

use std::ffi::OsString;

use clap::Parser;

pub(crate) use self::globals::Global;
pub(crate) use self::litestream_style::{go_booleans, long_options, two_dashes, with_config};
use crate::error::{Error, Result};

/// Proves that SQLite backups restore.
#[derive(Debug, Parser)]
#[command(name = "lsrun", version, disable_help_subcommand = true, arg_required_else_help = true)]
#[command(override_usage = "lsrun [OPTIONS] COMMAND [ARGUMENTS]")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub global: Global,
    /// The command and everything after it.
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND",
        hide = true
    )]
    pub command: Vec<OsString>,
}

/// A duration on the command line: `30s`, `5m`, `1h`.
pub(crate) fn duration(text: &str) -> Result<std::time::Duration> {
    crate::quantity::parse_duration(text).ok_or_else(|| {
        Error::usage(format!("{text:?} is not a valid duration"))
            .hint("write it like 30s, 5m or 1h")
    })
}
