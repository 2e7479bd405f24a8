//! Whether a replica's place answers, in milliseconds and without writing.
//! Litestream itself is silent for two minutes about a dead endpoint.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpStream;

use crate::config::{self, Problem, Replica};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::project::Database;

/// Connects to the host of the database's replica, or looks at its folder.
///
/// A folder that does not exist yet is fine: litestream makes it.
pub async fn reach(context: &Context, database: &Database, timeout: Duration) -> Result<()> {
    answers(&context.config()?.replica(database)?, timeout).await
}

/// The same for a replica URL.
pub async fn reach_url(context: &Context, url: &str, timeout: Duration) -> Result<()> {
    answers(&Replica::of_url(url, &context.environment), timeout).await
}

/// Everything wrong with the project's configuration, and every replica that does
/// not answer. They are tried side by side.
pub async fn problems(context: &Context, timeout: Duration) -> Vec<Problem> {
    let (project, environment) = (&context.project, &context.environment);
    let mut problems = config::problems(project, environment);
    let replicas = config::replicas(project, environment);
    let tried = replicas.iter().map(|(name, replica)| async move {
        let error = answers(replica, timeout).await.err()?;
        Some(error.context(format!("the backup of {name} cannot be reached")))
    });
    let unreachable = join_all(tried).await;
    problems.extend(unreachable.iter().flatten().map(Problem::from));
    problems.sort_by_key(|problem| problem.severity);
    problems
}

async fn answers(replica: &Replica, timeout: Duration) -> Result<()> {
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
