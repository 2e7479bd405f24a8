//! Litestream's executable: found, or downloaded; its version, and what that can do.

pub(crate) mod archive;
pub(crate) mod feature;
pub(crate) mod fetch;
pub(crate) mod find;
pub(crate) mod found;
pub(crate) mod pins;
pub(crate) mod pip;
pub(crate) mod source;
pub(crate) mod store;
pub(crate) mod url;
pub(crate) mod version;
pub(crate) mod version_probe;
