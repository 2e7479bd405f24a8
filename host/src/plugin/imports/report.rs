//! `report`: what a guest says about its work.

use wasmtime::component::Resource;

use crate::plugin::bindings::report::{Host, HostCheck};
use crate::plugin::failure::bounded;
use crate::plugin::handles::Check;
use crate::plugin::store::State;
use crate::report::Outcome;

impl Host for State {
    async fn fact(&mut self, key: String, json: String) -> wasmtime::Result<()> {
        self.call.sink.fact(key, &json);
        Ok(())
    }

    async fn skipped(&mut self, reason: String) -> wasmtime::Result<()> {
        self.call.sink.skipped(reason);
        Ok(())
    }

    async fn progress(&mut self, message: String) -> wasmtime::Result<()> {
        self.count_line()?;
        self.call.sink.state(&message);
        Ok(())
    }

    async fn log(&mut self, level: String, message: String) -> wasmtime::Result<()> {
        self.count_line()?;
        let terminal = &self.call.context.terminal;
        let line = format!("{}: {}", self.call.plugin.name, bounded(message));
        match level.as_str() {
            "debug" => {}
            "warning" | "error" => terminal.warning(&line),
            _ => terminal.note(&line),
        }
        Ok(())
    }

    async fn data(&mut self, bytes: Vec<u8>) -> wasmtime::Result<()> {
        if self.call.sink.data(&bytes) {
            Ok(())
        } else {
            Err(wasmtime::format_err!("it wrote more data than it may"))
        }
    }

    async fn cancelled(&mut self) -> wasmtime::Result<bool> {
        Ok(self.call.context.stop.signal().is_some())
    }
}

impl HostCheck for State {
    async fn new(&mut self, id: String) -> wasmtime::Result<Resource<Check>> {
        self.count_line()?;
        let id = format!("{}{id}", self.call.prefix);
        let plugin = &self.call.plugin;
        let started = self.call.sink.start(id, &plugin.name, plugin.setting.optional);
        Ok(self.table.push(Check(started))?)
    }

    async fn passed(&mut self, handle: Resource<Check>, message: String) -> wasmtime::Result<()> {
        self.end(&handle, Outcome::Passed, message)
    }

    async fn failed(&mut self, handle: Resource<Check>, message: String) -> wasmtime::Result<()> {
        self.end(&handle, Outcome::Failed, message)
    }

    async fn failed_as_live(
        &mut self,
        handle: Resource<Check>,
        message: String,
    ) -> wasmtime::Result<()> {
        self.table.get_mut(&handle)?.0.end_as_live(message);
        Ok(())
    }

    async fn inconclusive(
        &mut self,
        handle: Resource<Check>,
        message: String,
    ) -> wasmtime::Result<()> {
        self.end(&handle, Outcome::Inconclusive, message)
    }

    async fn skipped(&mut self, handle: Resource<Check>, message: String) -> wasmtime::Result<()> {
        self.end(&handle, Outcome::Skipped, message)
    }

    async fn drop(&mut self, handle: Resource<Check>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl State {
    fn count_line(&mut self) -> wasmtime::Result<()> {
        self.lines_left = self
            .lines_left
            .checked_sub(1)
            .ok_or_else(|| wasmtime::format_err!("it reported more lines than it may"))?;
        Ok(())
    }

    fn end(
        &mut self,
        handle: &Resource<Check>,
        outcome: Outcome,
        message: String,
    ) -> wasmtime::Result<()> {
        self.table.get_mut(handle)?.0.end(outcome, message, None);
        Ok(())
    }
}
