//! Litestream: finding its binary, knowing what each version can do, and driving it.

pub(crate) mod binary;
pub(crate) mod daemon;
pub(crate) mod examine;
pub(crate) mod process;
pub(crate) mod proof;
pub(crate) mod replica;
pub(crate) mod restore;
pub(crate) mod room;
mod session;
pub(crate) mod sync;

pub(crate) use self::session::Session;
