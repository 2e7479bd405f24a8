//! `config`: the Litestream configuration.

use crate::error::Error;
use crate::plugin::bindings::config::Host;
use crate::plugin::failure::Failure;
use crate::plugin::store::State;

impl Host for State {
    async fn render(&mut self, format: String) -> Result<String, Failure> {
        render(self, &format, false)
    }

    async fn render_with_secrets(&mut self, format: String) -> Result<String, Failure> {
        self.call.plugin.grants.require("config:secrets")?;
        render(self, &format, true)
    }
}

fn render(state: &State, format: &str, reveal: bool) -> Result<String, Failure> {
    let config = state.call.context.config()?;
    match format {
        "yaml" => Ok(config.to_yaml(reveal)),
        "json" => Ok(config.to_json(reveal)),
        other => Err(Error::usage(format!("no such format: {other}"))
            .hint("yaml and json are there")
            .into()),
    }
}
