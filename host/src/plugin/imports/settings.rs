//! `settings`: what the project file says to a plugin.

use crate::plugin::Origin;
use crate::plugin::bindings::settings::Host;
use crate::plugin::store::State;

impl Host for State {
    async fn get(&mut self) -> wasmtime::Result<String> {
        let call = &self.call;
        // A built-in command has its own section of the project file.
        let value = if call.plugin.origin == Origin::Builtin {
            call.context.project.section(&call.plugin.name)
        } else {
            call.plugin.setting.config.clone()
        };
        Ok(value.to_string())
    }
}
