//! Litestream: finding its binary, knowing what each version can do, and driving it.

mod archive;
pub(crate) mod attempts;
pub(crate) mod binary;
pub(crate) mod child;
pub(crate) mod daemon;
mod download;
pub(crate) mod examine;
pub(crate) mod feature;
mod gap;
pub(crate) mod line;
mod ltx;
pub(crate) mod moment;
pub(crate) mod once;
mod pins;
mod pip;
pub(crate) mod places;
pub(crate) mod points;
mod probe;
pub(crate) mod reach;
pub(crate) mod replace;
pub(crate) mod restore;
mod room;
pub(crate) mod runtime;
mod session;
mod sound;
pub(crate) mod sync;
pub(crate) mod txid;
pub(crate) mod version;

pub(crate) use self::session::Session;
