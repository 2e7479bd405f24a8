//! Whether a replica's place answers, in milliseconds and without writing.
//! Litestream itself is silent for two minutes about a dead endpoint.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::project::Database;

/// Connects to the replica's host, or looks at its folder.
///
/// A folder that does not exist yet is fine: litestream makes it.
pub async fn reach(context: &Context, database: &Database, timeout: Duration) -> Result<()> {
    let replica = context.config()?.replica(database)?;
    let unreachable = |cause: String| {
        Error::inconclusive(format!("the replica does not answer: {}", replica.description))
            .code("unreachable")
            .cause(cause)
            .hint("check its address and the network")
    };
    if let Some(folder) = &replica.folder {
        return match std::fs::read_dir(folder) {
            Ok(_entries) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(unreachable(error.to_string())),
        };
    }
    let Some((host, port)) = &replica.endpoint else { return Ok(()) };
    match tokio::time::timeout(timeout, TcpStream::connect((host.as_str(), *port))).await {
        Ok(Ok(_connected)) => Ok(()),
        Ok(Err(error)) => Err(unreachable(format!("{host}:{port}: {error}"))),
        Err(_late) => Err(unreachable(format!("{host}:{port}: no answer in {timeout:?}"))),
    }
}
