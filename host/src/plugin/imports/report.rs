//! `report`: what a guest says about its work.

use wasmtime::component::Resource;

use crate::code::Code;
use crate::error::Error;
use crate::plugin::Origin;
use crate::plugin::bindings::report::{Host, HostCheck};
use crate::plugin::bindings::types;
use crate::plugin::failure::Failure;
use crate::plugin::handles::CheckHandle;
use crate::plugin::limits::{self, Exceeded};
use crate::plugin::store::{Call, Role, State};
use crate::report::{CheckKind, Outcome};
use crate::results::is_reserved;
use crate::shown::bounded;

impl Host for State {
    async fn fact(&mut self, key: String, json: String) -> wasmtime::Result<()> {
        let key = format!("{}{key}", self.call.prefix);
        Ok(self.call.sink.fact(&self.call.plugin.name, &key, &json)?)
    }

    async fn remark(&mut self, text: String) -> wasmtime::Result<()> {
        if self.speaks_for_the_run("report.remark") {
            self.call.sink.remark(text);
        }
        Ok(())
    }

    async fn skipped(&mut self, reason: String) -> wasmtime::Result<()> {
        if self.speaks_for_the_run("report.skipped") {
            self.call.sink.skipped(reason);
        }
        Ok(())
    }

    async fn progress(&mut self, message: String, percent: Option<u8>) -> wasmtime::Result<()> {
        self.count_line()?;
        match percent {
            Some(percent) => {
                self.call.sink.state_in_figures(&format!("{message}, {} %", percent.min(100)));
            }
            None => self.call.sink.state(&message),
        }
        Ok(())
    }

    async fn metric(&mut self, name: String, value: f64) -> Result<(), Failure> {
        if !is_metric(&name) || is_reserved(&name) {
            let message = format!("{name:?} is not the name of a metric");
            return Err(Error::usage(message)
                .hint("a lower-case letter, then letters, digits and _, at most 64: rows_seconds")
                .into());
        }
        if !value.is_finite() {
            return Err(Error::usage(format!("the metric {name} is not a finite number")).into());
        }
        let Call { plugin, sink, .. } = &self.call;
        Ok(sink.metric(&plugin.name, name, value).map_err(wasmtime::Error::from)?)
    }

    async fn log(&mut self, level: String, message: String) -> wasmtime::Result<()> {
        self.count_line()?;
        let message = bounded(message);
        if level == "error" {
            self.last_error = Some(message.clone());
        }
        let context = std::sync::Arc::clone(&self.call.context);
        let notes = &context.notes;
        let name = &self.call.plugin.name;
        if self.output_left == 0 {
            return Ok(());
        }
        self.output_left = self.output_left.saturating_sub(message.len().max(1));
        if self.output_left == 0 {
            notes.note(&format!("{name}: what it logs from here on is left out"));
            return Ok(());
        }
        let line = format!("{name}: {message}");
        match level.as_str() {
            "debug" if !self.call.verbose => {}
            "warning" | "error" => notes.warning(&line),
            _ => notes.note(&line),
        }
        Ok(())
    }

    async fn data(&mut self, bytes: Vec<u8>) -> wasmtime::Result<()> {
        if self.speaks_for_the_run("report.data") && !self.call.sink.data(&bytes) {
            return Err(Exceeded::Data(limits::DATA).into());
        }
        Ok(())
    }

    async fn local_time(&mut self, rfc3339: String) -> wasmtime::Result<String> {
        Ok(rfc3339.parse().map_or(rfc3339, crate::litestream::replica::moment::shown))
    }

    async fn cancelled(&mut self) -> wasmtime::Result<bool> {
        Ok(self.stop.signal().is_some())
    }
}

impl HostCheck for State {
    async fn new(&mut self, id: String) -> wasmtime::Result<Resource<CheckHandle>> {
        self.count_line()?;
        let Call { plugin, sink, prefix, .. } = &self.call;
        let optional = plugin.setting.optional;
        let kind = match self.call.role {
            Role::Command => CheckKind::Backup,
            Role::Hook | Role::After => CheckKind::Data,
        };
        let started = match plugin.origin {
            // Known to be few, and under names that are lsrun's.
            Origin::Builtin => sink.start(id, kind, &plugin.name, optional),
            Origin::File(_) => sink.start_of_guest(prefix, &id, kind, &plugin.name, optional)?,
        };
        Ok(self.table.push(CheckHandle(started))?)
    }

    async fn set_kind(
        &mut self,
        handle: Resource<CheckHandle>,
        kind: String,
    ) -> wasmtime::Result<()> {
        if let Some(kind) = CheckKind::of_word(&kind) {
            self.table.get(&handle)?.0.set_kind(kind);
        }
        Ok(())
    }

    async fn set_hint(
        &mut self,
        handle: Resource<CheckHandle>,
        hint: String,
    ) -> wasmtime::Result<()> {
        self.table.get(&handle)?.0.set_hint(&hint);
        Ok(())
    }

    async fn ended(
        &mut self,
        handle: Resource<CheckHandle>,
        error: types::Error,
    ) -> wasmtime::Result<()> {
        let outcome = Outcome::of_error(Code::of_guest(&error.code));
        let check = &mut self.table.get_mut(&handle)?.0;
        if let Some(hint) = &error.hint {
            check.set_hint(hint);
        }
        check.set_code(&error.code);
        let texts = std::iter::once(&error.message).chain(&error.causes);
        let message = texts.map(String::as_str).collect::<Vec<_>>().join(": ");
        check.end(outcome, message, None);
        Ok(())
    }

    async fn passed(
        &mut self,
        handle: Resource<CheckHandle>,
        message: String,
    ) -> wasmtime::Result<()> {
        self.end(&handle, Outcome::Passed, message)
    }

    async fn failed(
        &mut self,
        handle: Resource<CheckHandle>,
        message: String,
    ) -> wasmtime::Result<()> {
        self.end(&handle, Outcome::Failed, message)
    }

    async fn failed_as_live(
        &mut self,
        handle: Resource<CheckHandle>,
        message: String,
    ) -> wasmtime::Result<()> {
        self.table.get_mut(&handle)?.0.end_as_live(message);
        Ok(())
    }

    async fn inconclusive(
        &mut self,
        handle: Resource<CheckHandle>,
        message: String,
    ) -> wasmtime::Result<()> {
        self.end(&handle, Outcome::Inconclusive, message)
    }

    async fn skipped(
        &mut self,
        handle: Resource<CheckHandle>,
        message: String,
    ) -> wasmtime::Result<()> {
        self.end(&handle, Outcome::Skipped, message)
    }

    async fn drop(&mut self, handle: Resource<CheckHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

/// Whether Prometheus takes it, and people know what is meant.
fn is_metric(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(word)
}

impl State {
    fn count_line(&mut self) -> wasmtime::Result<()> {
        self.lines_left = self.lines_left.checked_sub(1).ok_or(Exceeded::Lines(limits::LINES))?;
        Ok(())
    }

    /// Whether the run is the guest's own; if it is not, what it wanted to say for
    /// it is left out, and counts against it.
    fn speaks_for_the_run(&mut self, what: &'static str) -> bool {
        let own = self.call.role == Role::Command;
        if !own {
            self.overstepped.get_or_insert(what);
        }
        own
    }

    fn end(
        &mut self,
        handle: &Resource<CheckHandle>,
        outcome: Outcome,
        message: String,
    ) -> wasmtime::Result<()> {
        self.table.get_mut(handle)?.0.end(outcome, message, None);
        Ok(())
    }
}
