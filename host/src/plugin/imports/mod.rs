//! The interfaces of `lsrun:host`, one file each, as `wit/deps/host` has them.

mod config;
mod databases;
mod events;
mod history;
mod hooks;
mod http;
mod instants;
mod litestream;
mod processes;
mod proofs;
mod report;
mod settings;
mod sqlite;
mod tasks;
mod types;
