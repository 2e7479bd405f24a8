//! lsrun proves that SQLite backups restore. See `README.md` and `wit/README.md`.

pub mod cache;
pub mod cli;
pub mod commands;
pub mod config;
pub mod context;
pub mod create;
pub mod environment;
pub mod error;
pub mod exit;
pub mod history;
pub mod http;
pub mod litestream;
pub mod output;
pub mod pages;
mod percent;
pub mod plugin;
pub mod project;
pub mod redact;
pub mod report;
pub mod scratch;
pub mod shown;
pub mod sqlite;
pub mod stop;
mod suffix;
pub mod terminal;
pub mod trust;
