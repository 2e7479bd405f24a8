//! The interfaces of `lsrun:host`, one file each, as `wit/deps/host` has them.

mod config;
mod databases;
mod hooks;
mod litestream;
mod report;
mod settings;
mod sqlite;
mod types;
