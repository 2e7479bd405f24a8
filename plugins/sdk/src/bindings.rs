//! Generated from `wit/`. The imports are generated once; the worlds share them,
//! so that a plugin with several exports sees one type for each thing.

/// `lsrun:host`.
pub mod host {
    wit_bindgen::generate!({
        path: "../../wit/deps/host",
        world: "imports",
        generate_all,
    });
    pub use self::lsrun::host::{
        config, databases, history, hooks, http, litestream, report, settings, sqlite, tasks, types,
    };
}

macro_rules! world {
    ($module:ident, $world:literal, $macro:literal) => {
        /// The exports of one world of `lsrun:plugin`.
        pub mod $module {
            wit_bindgen::generate!({
                path: "../../wit",
                world: $world,
                pub_export_macro: true,
                export_macro_name: $macro,
                with: {
                    "lsrun:host/types@0.1.0": crate::bindings::host::types,
                    "lsrun:host/databases@0.1.0": crate::bindings::host::databases,
                    "lsrun:host/config@0.1.0": crate::bindings::host::config,
                    "lsrun:host/settings@0.1.0": crate::bindings::host::settings,
                    "lsrun:host/litestream@0.1.0": crate::bindings::host::litestream,
                    "lsrun:host/sqlite@0.1.0": crate::bindings::host::sqlite,
                    "lsrun:host/hooks@0.1.0": crate::bindings::host::hooks,
                    "lsrun:host/history@0.1.0": crate::bindings::host::history,
                    "lsrun:host/tasks@0.1.0": crate::bindings::host::tasks,
                    "lsrun:host/http@0.1.0": crate::bindings::host::http,
                    "lsrun:host/report@0.1.0": crate::bindings::host::report,
                },
            });
        }
    };
}

world!(command_world, "command-plugin", "export_command");
world!(check_world, "check-plugin", "export_check");
world!(pre_restore_world, "pre-restore-plugin", "export_pre_restore");
world!(post_restore_world, "post-restore-plugin", "export_post_restore");
world!(restored_world, "restored-plugin", "export_restored");
world!(not_restored_world, "not-restored-plugin", "export_not_restored");
world!(pre_verify_world, "pre-verify-plugin", "export_pre_verify");
world!(verified_world, "verified-plugin", "export_verified");
world!(pre_replicate_world, "pre-replicate-plugin", "export_pre_replicate");
world!(replicated_world, "replicated-plugin", "export_replicated");
