//! Litestream: finding its binary, knowing what each version can do, and driving it.

mod archive;
pub(crate) mod attempts;
pub mod binary;
pub mod child;
pub mod daemon;
mod download;
pub mod examine;
pub mod feature;
mod gap;
pub mod line;
mod ltx;
pub mod moment;
pub mod once;
mod pins;
mod pip;
pub(crate) mod places;
pub mod points;
mod probe;
pub mod reach;
pub mod replace;
pub mod restore;
mod room;
pub mod runtime;
mod sound;
pub mod sync;
pub mod txid;
pub mod version;
