//! Requests of plugins to other servers: which hosts a permission names, which addresses
//! a name may lead to, and the request itself. Whether a plugin has the permission is for
//! [`super::grants`] to say.

mod address;
mod client;
mod headers;
mod held;
mod target;

pub(super) use client::{HttpAnswer, Outgoing, Traffic, system_lookup};
pub(super) use headers::{is_forbidden, size_of};
pub(super) use held::{HeldBytes, RequestMemory};
pub(super) use target::{Scope, WebTarget};
