//! `lsrun plugin add`: a plugin from a file or a URL, into the project and its lock.

use clap::Args;

use super::inspect::details;
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::plugin::adding::{Addition, add};
use crate::plugin::inspect;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lsrun plugin add row-count.wasm
  lsrun plugin add https://example.com/row-count.wasm --digest sha256:2c26…
  lsrun plugin add oci://ghcr.io/me/row-count:1.0
  lsrun plugin add build/check.wasm --name row-count --force")]
pub(super) struct AddArguments {
    /// A component: a file, an https URL (http only with --digest), or an artifact of a registry
    #[arg(value_name = "SOURCE")]
    source: String,
    /// The SHA-256 that it has to have, such as sha256:2c26…
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    /// Its name in the project, instead of that of its file
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Replace the plugin of that name
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(context: &Context, arguments: &AddArguments) -> Result<Exit> {
    let AddArguments { source, digest, name, force } = arguments;
    let (digest, name) = (digest.as_deref(), name.as_deref());
    let name = add(context, &Addition { source, digest, name, force: *force }).await?;
    let plugins = [inspect::named(context, &name)?];
    Ok(super::shown(context, &plugins, &|| plugins.iter().map(details).collect()))
}
