//! Where the results of a run that proves something go besides standard output: files,
//! GitHub, servers, the history. It reads finished [reports](crate::report).

mod delivery;
mod github;
mod history;
mod http;
mod junit;
mod ping;
mod prometheus;
mod server;
mod standing;
mod webhook;

pub(crate) use self::delivery::{Delivery, Destinations};
pub(crate) use self::history::{History, PassedCheck, Past};
pub(crate) use self::prometheus::is_reserved;
pub(crate) use self::server::Server;
pub(crate) use self::standing::Standings;
