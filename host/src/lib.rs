//! lsrun proves that SQLite backups restore. See `README.md` and `wit/README.md`.

mod author;
mod cache;
mod cli;
mod code;
mod commands;
mod config;
mod context;
mod create;
mod digest;
mod download;
mod entry;
mod environment;
mod error;
mod exit;
mod figures;
mod litestream;
mod ltx;
mod nearest;
mod notes;
mod output;
mod pages;
mod path;
mod percent;
mod plugin;
mod project;
mod quantity;
mod redact;
mod reference;
mod report;
mod results;
mod scratch;
mod secret;
mod shown;
mod sqlite;
mod stop;
mod terminal;
#[doc(hidden)]
pub mod testing;
mod trust;
mod yaml;

pub use entry::run;
