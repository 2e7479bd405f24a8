//! Who reads a replica.

use std::str::FromStr;

use crate::environment::Environment;
use crate::error::{Error, Result};

/// Who restores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Engine {
    /// lsrun's own reader where it knows for certain what litestream would do, else
    /// litestream.
    #[default]
    Auto,
    /// Litestream.
    Litestream,
}

impl Engine {
    /// The one that LSRUN_ENGINE names.
    pub(crate) fn of(environment: &Environment) -> Result<Self> {
        let Some(name) = environment.get("LSRUN_ENGINE") else { return Ok(Self::default()) };
        name.parse().map_err(|error: Error| error.context("LSRUN_ENGINE cannot be used"))
    }
}

impl FromStr for Engine {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "auto" => Ok(Self::Auto),
            "litestream" => Ok(Self::Litestream),
            other => {
                Err(Error::usage(format!("unknown engine: {other}"))
                    .hint("it is auto or litestream"))
            }
        }
    }
}
