//! What the tests of the whole use of the crate, and the fuzz targets. Not for anybody
//! else.

pub mod fuzz;
pub mod objects;
pub mod replica;

pub use crate::environment::Environment;
pub use crate::litestream::binary::find::{Wanted, find};
pub use crate::litestream::binary::found::Binary;
pub use crate::litestream::daemon::running;
pub use crate::notes::Progress;
