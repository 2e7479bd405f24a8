//! lsrun proves that SQLite backups restore. See `README.md` and `wit/README.md`.

pub mod cache;
pub mod config;
pub mod environment;
pub mod error;
pub mod exit;
pub mod litestream;
pub mod project;
