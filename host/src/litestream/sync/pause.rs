//! Growing pauses between checks.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::litestream::Session;
use crate::stop::Stop;

/// Growing pauses between checks, from 5 to 250 milliseconds.
pub(crate) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(Duration::from_millis(5))
    }
}

impl Pause {
    /// Fails with `late` when the next check would be after the deadline.
    pub(crate) async fn wait(
        &mut self,
        session: &Session,
        deadline: Instant,
        late: impl FnOnce() -> Error,
    ) -> Result<()> {
        if Instant::now() + self.0 > deadline {
            return Err(late());
        }
        tokio::select! {
            () = tokio::time::sleep(self.0) => {}
            signal = session.stop.stopped() => return Err(Stop::error(signal)),
        }
        self.0 = (self.0 * 2).min(Duration::from_millis(250));
        Ok(())
    }
}
