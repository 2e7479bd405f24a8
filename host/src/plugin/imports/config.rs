//! `config`: the Litestream configuration.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::Resource;

use crate::error::Error;
use crate::litestream::examine;
use crate::plugin;
use crate::plugin::bindings::config::{Host, HostProblem};
use crate::plugin::failure::Failure;
use crate::plugin::handles::ProblemHandle;
use crate::plugin::store::State;

impl Host for State {
    async fn render(&mut self, format: String) -> Result<String, Failure> {
        render(self, &format, false)
    }

    async fn render_with_secrets(&mut self, format: String) -> Result<String, Failure> {
        self.call.plugin.grants.require("config:secrets")?;
        render(self, &format, true)
    }

    async fn check(&mut self, timeout: u64) -> wasmtime::Result<Vec<Resource<ProblemHandle>>> {
        let context = Arc::clone(&self.call.context);
        let timeout = self.call.patience.min(Duration::from_millis(timeout));
        let problems = examine::problems(&context, plugin::problems(&context), timeout).await;
        problems.into_iter().map(|one| Ok(self.table.push(ProblemHandle(one))?)).collect()
    }
}

fn render(state: &State, format: &str, reveal: bool) -> Result<String, Failure> {
    let config = state.call.context.config()?;
    match format {
        "yaml" => Ok(config.to_yaml(reveal)),
        "json" => Ok(config.to_json(reveal)),
        other => Err(Error::usage(format!("no such format: {other}"))
            .hint("the formats are yaml and json")
            .into()),
    }
}

impl HostProblem for State {
    async fn severity(&mut self, handle: Resource<ProblemHandle>) -> wasmtime::Result<String> {
        let severity = self.table.get(&handle)?.0.severity.word();
        Ok(severity.to_owned())
    }

    async fn code(&mut self, handle: Resource<ProblemHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.0.code.to_owned())
    }

    async fn message(&mut self, handle: Resource<ProblemHandle>) -> wasmtime::Result<String> {
        let message = &self.table.get(&handle)?.0.message;
        // `config` prints what it is given exactly.
        Ok(self.call.context.reporter.redactor().apply(message).into_owned())
    }

    async fn hint(&mut self, handle: Resource<ProblemHandle>) -> wasmtime::Result<Option<String>> {
        let hint = self.table.get(&handle)?.0.hint.as_deref();
        Ok(hint.map(|hint| self.call.context.reporter.redactor().apply(hint).into_owned()))
    }

    async fn drop(&mut self, handle: Resource<ProblemHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}
