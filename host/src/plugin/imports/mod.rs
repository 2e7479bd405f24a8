//! The interfaces of `lsrun:host`, one file each, as `wit/deps/host` has them.

mod config;
mod databases;
mod hooks;
mod litestream;
mod report;
mod settings;
mod sqlite;
mod types;

/// A duration as guests see it.
fn milliseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
