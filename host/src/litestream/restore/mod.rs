//! Restoring a backup into a private folder, and putting it in place of a database.

pub(crate) mod attempts;
pub(crate) mod command;
pub(crate) mod copy;
pub(crate) mod damage;
pub(crate) mod fetch;
pub(crate) mod folder;
pub(crate) mod kept;
pub(crate) mod links;
pub(crate) mod pause;
pub(crate) mod place;
pub(crate) mod plan;
pub(crate) mod reader;
pub(crate) mod refusal;
pub(crate) mod replace;
pub(crate) mod request;
pub(crate) mod retention;
pub(crate) mod rights;
pub(crate) mod swap;
