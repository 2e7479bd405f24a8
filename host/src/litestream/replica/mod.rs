//! What is in a replica, and in litestream's own state beside the database.

pub(crate) mod chain;
pub(crate) mod engine;
pub(crate) mod listing;
pub(crate) mod ltx;
pub(crate) mod moment;
pub(crate) mod objects;
pub(crate) mod places;
pub(crate) mod points;
pub(crate) mod reach;
pub(crate) mod reading;
pub(crate) mod source;
pub(crate) mod store;
pub(crate) mod txid;
