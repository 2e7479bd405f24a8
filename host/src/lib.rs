//! lsrun proves that SQLite backups restore. See `README.md` and `wit/README.md`.

mod cache;
mod cli;
mod commands;
mod config;
mod context;
mod create;
mod entry;
mod environment;
mod error;
mod exit;
mod history;
mod http;
mod litestream;
mod output;
mod pages;
mod percent;
mod plugin;
mod project;
mod redact;
mod report;
mod scratch;
mod shown;
mod sqlite;
mod stop;
mod suffix;
mod terminal;
#[doc(hidden)]
pub mod testing;
mod trust;

pub use entry::run;
