//! The `verify:`, `restore:` and `plugins:` parts of the project file, a file each.

mod aliases;
mod plugins;
mod quantities;
mod restore;
mod verify;

pub(super) use self::aliases::did_you_mean;
pub(super) use self::plugins::plugins;
pub(crate) use self::plugins::{PluginLimits, PluginSetting, PluginSettings};
pub(crate) use self::restore::RestoreSettings;
pub(super) use self::restore::restore;
pub(super) use self::verify::verify;
pub(crate) use self::verify::{ResultSettings, VerifySettings};
