//! What the tests of the whole use of the crate. Not for anybody else.

pub use crate::environment::Environment;
pub use crate::litestream::binary::{Binary, Progress, Wanted, find};
pub use crate::litestream::daemon::running;
