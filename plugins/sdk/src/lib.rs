//! The SDK for plugins of lsrun: the host's interfaces as Rust, and a
//! macro for each kind of plugin.
//!
//! ```ignore
//! use lsrun_plugin::prelude::*;
//!
//! lsrun_plugin::manifest!("../manifest.yml");
//! lsrun_plugin::check!(run);
//!
//! fn run(_database: Option<&Database>, copy: &RestoredCopy) -> Result<(), Error> {
//!     let count = sqlite::open_copy(copy)?.integer("SELECT count(*) FROM users")?;
//!     if count == 0 { Err(failed("there are no users")) } else { Ok(()) }
//! }
//! ```

pub mod backup;
pub mod bindings;
pub mod integrity;
pub mod json;
pub mod rules;
mod sql;
pub mod tables;
pub mod testing;
#[cfg(feature = "serde")]
mod typed;
pub mod words;

pub use bindings::host;
pub use bindings::{
    check_world, command_world, not_restored_world, post_restore_world, pre_replicate_world,
    pre_restore_world, pre_verify_world, replicated_world, restored_world, verified_world,
};
pub use sql::{Query, integer, is_damage, text};
#[cfg(feature = "serde")]
pub use typed::{TypedRows, settings_as};

use host::types::Error;

/// What nearly every plugin uses.
pub mod prelude {
    pub use crate::host::types::{
        Database, Error, Invocation, Replaced, ReplicatePlan, Replication, RestorePlan,
        RestoredCopy, Verification, VerifyPlan,
    };
    pub use crate::host::{
        config, databases, history, hooks, http, litestream, report, settings, sqlite, tasks,
    };
    pub use crate::sql::{Query, integer, text};
    #[cfg(feature = "serde")]
    pub use crate::typed::{TypedRows, settings_as};
    pub use crate::{error, failed, refused};
}

/// An error of this code; the codes are in `types.wit`.
#[must_use]
pub fn error(code: &str, message: impl Into<String>) -> Error {
    Error { code: code.into(), message: message.into(), hint: None, causes: Vec::new() }
}

/// The error of a check that found the copy wrong.
#[must_use]
pub fn failed(message: impl Into<String>) -> Error {
    error("failed", message)
}

/// The error of a hook that refuses.
#[must_use]
pub fn refused(message: impl Into<String>) -> Error {
    error("refused", message)
}

/// Called by the macros before a plugin's own code: sends the message of a panic
/// to the host, which otherwise sees only that the guest crashed.
#[doc(hidden)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        host::report::log("error", &panic.to_string());
    }));
}

/// Makes the plugin a command that runs `fn(&Invocation) -> Result<(), Error>`.
#[macro_export]
macro_rules! command {
    ($run:path) => {
        struct CommandPlugin;
        impl $crate::command_world::exports::lsrun::plugin::command::Guest for CommandPlugin {
            fn run(
                invocation: $crate::host::types::Invocation,
            ) -> Result<(), $crate::host::types::Error> {
                $crate::start();
                $run(&invocation)
            }
        }
        $crate::command_world::export_command!(CommandPlugin with_types_in $crate::command_world);
    };
}

/// Makes the plugin a check that runs
/// `fn(Option<&Database>, &RestoredCopy) -> Result<(), Error>`; the copy of a replica URL has
/// no database.
#[macro_export]
macro_rules! check {
    ($run:path) => {
        struct CheckPlugin;
        impl $crate::check_world::exports::lsrun::plugin::check::Guest for CheckPlugin {
            fn run(
                database: Option<$crate::host::types::Database>,
                copy: $crate::host::types::RestoredCopy,
            ) -> Result<(), $crate::host::types::Error> {
                $crate::start();
                $run(database.as_ref(), &copy)
            }
        }
        $crate::check_world::export_check!(CheckPlugin with_types_in $crate::check_world);
    };
}

/// What a macro of a hook makes: the world's export, with the plugin's own function.
#[doc(hidden)]
#[macro_export]
macro_rules! __hook {
    ($world:ident, $hook:ident, $plugin:ident, $export:ident, $run:path, $($name:ident: $type:ident),+) => {
        struct $plugin;
        impl $crate::$world::exports::lsrun::plugin::$hook::Guest for $plugin {
            fn run(
                $($name: $crate::host::types::$type),+
            ) -> Result<(), $crate::host::types::Error> {
                $crate::start();
                $run($(&$name),+)
            }
        }
        $crate::$world::$export!($plugin with_types_in $crate::$world);
    };
}

/// Makes the plugin a hook that runs
/// `fn(&RestorePlan) -> Result<(), Error>` before a restore.
#[macro_export]
macro_rules! pre_restore {
    ($run:path) => {
        $crate::__hook!(
            pre_restore_world,
            pre_restore,
            PreRestorePlugin,
            export_pre_restore,
            $run,
            plan: RestorePlan
        );
    };
}

/// Makes the plugin a hook that runs
/// `fn(&RestorePlan, &RestoredCopy) -> Result<(), Error>` before a restored copy is put in place.
#[macro_export]
macro_rules! post_restore {
    ($run:path) => {
        $crate::__hook!(
            post_restore_world,
            post_restore,
            PostRestorePlugin,
            export_post_restore,
            $run,
            plan: RestorePlan, copy: RestoredCopy
        );
    };
}

/// Makes the plugin a hook that runs
/// `fn(&RestorePlan, &Replaced) -> Result<(), Error>` when a restored copy has been put in place.
#[macro_export]
macro_rules! restored {
    ($run:path) => {
        $crate::__hook!(
            restored_world,
            restored,
            RestoredPlugin,
            export_restored,
            $run,
            plan: RestorePlan, replaced: Replaced
        );
    };
}

/// Makes the plugin a hook that runs
/// `fn(&RestorePlan, &Error) -> Result<(), Error>` when a restore did not happen after all.
#[macro_export]
macro_rules! not_restored {
    ($run:path) => {
        $crate::__hook!(
            not_restored_world,
            not_restored,
            NotRestoredPlugin,
            export_not_restored,
            $run,
            plan: RestorePlan, reason: Error
        );
    };
}

/// Makes the plugin a hook that runs
/// `fn(&VerifyPlan) -> Result<(), Error>` before a proof.
#[macro_export]
macro_rules! pre_verify {
    ($run:path) => {
        $crate::__hook!(
            pre_verify_world,
            pre_verify,
            PreVerifyPlugin,
            export_pre_verify,
            $run,
            plan: VerifyPlan
        );
    };
}

/// Makes the plugin a hook that runs
/// `fn(&Verification) -> Result<(), Error>` when a proof has ended.
#[macro_export]
macro_rules! verified {
    ($run:path) => {
        $crate::__hook!(
            verified_world,
            verified,
            VerifiedPlugin,
            export_verified,
            $run,
            verification: Verification
        );
    };
}

/// Makes the plugin a hook that runs
/// `fn(&ReplicatePlan) -> Result<(), Error>` before a replication.
#[macro_export]
macro_rules! pre_replicate {
    ($run:path) => {
        $crate::__hook!(
            pre_replicate_world,
            pre_replicate,
            PreReplicatePlugin,
            export_pre_replicate,
            $run,
            plan: ReplicatePlan
        );
    };
}

/// Makes the plugin a hook that runs
/// `fn(&Replication) -> Result<(), Error>` when a replication has ended.
#[macro_export]
macro_rules! replicated {
    ($run:path) => {
        $crate::__hook!(
            replicated_world,
            replicated,
            ReplicatedPlugin,
            export_replicated,
            $run,
            replication: Replication
        );
    };
}

/// Puts a manifest file into the component, where lsrun reads it without running
/// the plugin. The path is relative to the file that uses the macro.
#[macro_export]
macro_rules! manifest {
    ($path:literal) => {
        #[used]
        #[unsafe(link_section = "lsrun:manifest")]
        static LSRUN_MANIFEST: [u8; include_bytes!($path).len()] = *include_bytes!($path);
    };
}
