//! When lsrun gives up on a litestream that does not end.

use std::time::{Duration, Instant};

/// When a litestream that does not end is given up.
pub(crate) enum Limit<'a> {
    /// At this moment.
    At(Instant),
    /// When `progress` has not changed for `patience`.
    Stalled {
        /// How long.
        patience: Duration,
        /// A number that grows while work is done.
        progress: &'a (dyn Fn() -> u64 + Send + Sync),
    },
}

impl Limit<'_> {
    /// Returns when it is reached.
    pub(crate) async fn passed(&self) {
        match self {
            Self::At(moment) => tokio::time::sleep_until((*moment).into()).await,
            Self::Stalled { patience, progress } => {
                let mut last = progress();
                loop {
                    tokio::time::sleep(*patience).await;
                    let now = progress();
                    if now == last {
                        return;
                    }
                    last = now;
                }
            }
        }
    }
}
