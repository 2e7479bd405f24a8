//! `settings`: a plugin's settings in the project file.

use serde_json::Value;

use crate::plugin::Origin;
use crate::plugin::bindings::settings::Host;
use crate::plugin::store::State;

impl Host for State {
    async fn get(&mut self) -> wasmtime::Result<String> {
        Ok(self.settings().to_string())
    }

    async fn at(&mut self, pointer: String) -> wasmtime::Result<Option<String>> {
        Ok(match self.settings().pointer(&pointer) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(other) => Some(other.to_string()),
        })
    }
}

impl State {
    fn settings(&self) -> Value {
        let call = &self.call;
        // A built-in command has its own section of the project file.
        if call.plugin.origin == Origin::Builtin {
            call.context.project.section(&call.plugin.name)
        } else {
            let database = match call.databases.as_slice() {
                [one] => Some(one.name()),
                _ => None,
            };
            call.plugin.config.of(database.as_deref()).clone()
        }
    }
}
