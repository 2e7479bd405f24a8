//! The litestream daemon that replicates a database: whether there is one, and what
//! it can be asked.

mod control;
mod holders;
mod locks;
mod presence;
pub(crate) mod sockets;

pub(crate) use control::{Control, ControlError, Left};
pub use holders::running;
pub(crate) use holders::{Holder, holders, identity, refuse_running};
pub(crate) use presence::{Presence, ReadLock, presence, read_lock, replicates_unseen};
