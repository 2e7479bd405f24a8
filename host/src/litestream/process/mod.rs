//! Running litestream: its command line, its process, and what it says.

pub(crate) mod child;
pub(crate) mod config_file;
pub(crate) mod limit;
pub(crate) mod line;
pub(crate) mod output;
pub(crate) mod said;
