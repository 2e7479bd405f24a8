//! The hooks around `lsrun replicate`.

use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::plugin::events::{EndedReplication, ReplicatePlan};
use crate::plugin::offer::Offer;
use crate::plugin::{Call, Hooks, PRE_REPLICATE, REPLICATED};
use crate::project::{Database, PluginSetting};

/// Those of a project for one replication.
pub(super) struct ReplicateHooks {
    hooks: Arc<Hooks>,
    plan: Arc<ReplicatePlan>,
    /// None when there are none.
    call: Option<Call>,
}

impl ReplicateHooks {
    /// Fails for a plugin that cannot be used, unless it is optional.
    pub(super) fn load(
        context: &Arc<Context>,
        databases: Vec<Database>,
        application: Option<&[OsString]>,
    ) -> Result<Self> {
        let offer = Arc::new(Offer::start()?);
        let selects = |setting: &PluginSetting| {
            databases.is_empty() || databases.iter().any(|database| setting.selects(database))
        };
        let hooks = Hooks::load(context, &offer, &[PRE_REPLICATE, REPLICATED], selects)?;
        let hooks = Arc::new(hooks);
        let program = application.and_then(|words| words.first()).map(Path::new);
        let name = program.and_then(Path::file_name).map(|it| it.to_string_lossy().into_owned());
        let call = hooks.call_of_host(context);
        Ok(Self { hooks, plan: Arc::new(ReplicatePlan { databases, application: name }), call })
    }

    /// Calls them before and after `replicate`, which is given a place for the reason of
    /// its end. What comes after is called also when one before has refused.
    pub(super) async fn around<Work: Future<Output = Result<u8>>>(
        self,
        replicate: impl FnOnce(Arc<OnceLock<&'static str>>) -> Work,
    ) -> Result<u8> {
        let reason = Arc::new(OnceLock::new());
        let Some(call) = &self.call else { return replicate(reason).await };
        let started = Instant::now();
        let ended = match self.hooks.pre_replicate(call, &self.plan).await {
            Ok(()) => replicate(Arc::clone(&reason)).await,
            Err(refused) => Err(refused),
        };
        let replication = EndedReplication {
            plan: Arc::clone(&self.plan),
            reason: reason.get().copied().unwrap_or("error"),
            code: ended.as_ref().map_or_else(|error| error.exit().code(), |code| *code),
            error: ended.as_ref().err().cloned(),
            duration: started.elapsed(),
        };
        let told = self.hooks.replicated(call, &Arc::new(replication)).await;
        match ended {
            Ok(code) if code == Exit::Success.code() => Ok(told.code()),
            ended => ended,
        }
    }
}
