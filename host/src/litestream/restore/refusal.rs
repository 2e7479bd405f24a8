//! Why a target is not replaced.

use std::path::Path;

use crate::code::Code;
use crate::error::Error;

pub(crate) fn io(what: &str, target: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::new(Code::Io, format!("cannot {what} {}", target.display())).cause(error)
}

pub(crate) fn busy(target: &Path, holder: String) -> Error {
    Error::new(Code::Busy, format!("{} is in use", target.display()))
        .cause(holder)
        .hint("stop what uses it, restore, and start it again")
}

/// The refusal when a daemon has replicated a database that is missing now.
pub(crate) fn remembered(target: &Path) -> Error {
    busy(target, "a litestream daemon still tracks the database that was there before".to_owned())
        .hint("stop the daemon, restore, and start it again")
}

/// The refusal to replace a database without `-force`.
pub(crate) fn exists(target: &Path) -> Error {
    Error::new(Code::Exists, format!("{} exists", target.display()))
        .hint("use -o FILE, or -force (the old one is kept)")
}
