//! Replicating what was committed.

pub(crate) mod guard;
pub(crate) mod hold;
pub(crate) mod once;
pub(crate) mod outlook;
pub(crate) mod pause;
pub(crate) mod request;
pub(crate) mod reveal;
pub(crate) mod sound;
pub(crate) mod turn;
pub(crate) mod unseen;
pub(crate) mod wait;
pub(crate) mod watch;
