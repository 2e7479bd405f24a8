//! SQL for plugins: each connection lives in its own thread and is limited to
//! its grant by SQLite's authorizer.

mod authorizer;
mod connection;
mod content;
pub(crate) mod descriptors;
mod distrust;
mod errors;
mod identity;
mod integrity;
mod jobs;
mod json;
mod limits;
mod math;
mod open;
mod rows;
mod slots;
mod snapshot;
mod statement;
mod threads;
mod turn;
mod value;
mod worker;

pub(crate) use authorizer::Access;
pub(crate) use connection::Connection;
pub(crate) use content::TableContent;
pub(crate) use integrity::{Integrity, Level};
pub(crate) use jobs::{Contents, IntegrityJob, Running};
pub(crate) use json::rows_as_json;
pub(crate) use open::immutable;
pub(crate) use rows::Rows;
pub(crate) use slots::{MOST_CONNECTIONS, Slots};
pub(crate) use statement::Statement;
pub(crate) use threads::Threads;
pub(crate) use value::Value;
