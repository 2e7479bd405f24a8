//! The parts of the project file besides its databases and Litestream's, a file each.

mod aliases;
mod config;
mod plugins;
mod quantities;
mod restore;
mod tasks;
mod verify;

pub(super) use self::aliases::did_you_mean;
pub(crate) use self::config::PluginConfig;
pub(super) use self::plugins::plugins;
pub(crate) use self::plugins::{PluginLimits, PluginSetting, PluginSettings};
pub(crate) use self::restore::RestoreSettings;
pub(super) use self::restore::restore;
pub(super) use self::tasks::tasks;
pub(crate) use self::tasks::{Task, TaskSettings};
pub(super) use self::verify::verify;
pub(crate) use self::verify::{ResultSettings, VerifySettings, listen_address};
