//! Litestream: finding its binary and knowing what each version can do.

mod archive;
pub mod binary;
mod download;
pub mod feature;
mod pins;
mod pip;
mod probe;
pub mod version;
