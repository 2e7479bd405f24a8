//! The project's hooks, and how their outcomes count.

use std::sync::Arc;

use futures_util::future::join_all;

use super::store::Call;
use super::{CHECK, POST_RESTORE, PRE_RESTORE, Plugin, handles, registry, run};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::litestream::restore::Source;
use crate::report::Outcome;

/// The hooks of a project, by what they export.
#[derive(Default)]
pub struct Hooks {
    plugins: Vec<Arc<Plugin>>,
}

impl Hooks {
    /// Loads every plugin of the project. One that cannot be used is an error,
    /// unless the project file calls it optional.
    pub fn load(context: &Context) -> Result<Self> {
        let mut plugins = Vec::new();
        for found in registry::scan(context) {
            let optional = found
                .as_ref()
                .is_ok_and(|found| context.project.plugins().setting(&found.name).optional);
            match found.and_then(|found| found.load(context)) {
                Ok(plugin) => plugins.push(plugin),
                Err(error) if optional => context.terminal.warning(&error.one_line()),
                Err(error) => return Err(error),
            }
        }
        Ok(Self { plugins })
    }

    fn exporting(&self, interface: &str) -> impl Iterator<Item = &Arc<Plugin>> {
        self.plugins.iter().filter(move |plugin| plugin.exports(interface))
    }

    /// Runs every `check` that applies, side by side, and gives the worst outcome
    /// of those that count.
    pub(super) async fn check(
        &self,
        call: &Call,
        database: &handles::Database,
        copy: &handles::RestoredCopy,
    ) -> Outcome {
        let checks = self.exporting(CHECK).filter(|plugin| plugin.applies_to(&database.0));
        let outcomes = join_all(checks.map(|plugin| check_one(plugin, call, database, copy))).await;
        outcomes.into_iter().max().unwrap_or(Outcome::Passed)
    }

    /// Runs every `pre-restore` that applies, in the order of names; the first
    /// that does not agree ends it.
    pub(super) async fn pre_restore(&self, call: &Call, plan: &handles::RestorePlan) -> Result<()> {
        for (plugin, own) in self.around_restore(PRE_RESTORE, call, plan) {
            let result = run::pre_restore(plugin, own, plan).await;
            settle(plugin, call, "refused the restore", result)?;
        }
        Ok(())
    }

    /// Runs every `post-restore` that applies, likewise.
    pub(super) async fn post_restore(
        &self,
        call: &Call,
        plan: &handles::RestorePlan,
        copy: &handles::RestoredCopy,
    ) -> Result<()> {
        for (plugin, own) in self.around_restore(POST_RESTORE, call, plan) {
            let result = run::post_restore(plugin, own, plan, copy).await;
            settle(plugin, call, "refused the restored copy", result)?;
        }
        Ok(())
    }

    /// The hooks for a plan's database, each with the call that it gets.
    fn around_restore(
        &self,
        interface: &str,
        call: &Call,
        plan: &handles::RestorePlan,
    ) -> impl Iterator<Item = (&Arc<Plugin>, Call)> {
        let database = match &plan.request.source {
            Source::Database(database) => Some(database.clone()),
            Source::Url(_) => None,
        };
        let applies = |plugin: &&Arc<Plugin>| {
            database.as_ref().is_none_or(|database| plugin.applies_to(database))
        };
        let plugins: Vec<&Arc<Plugin>> = self.exporting(interface).filter(applies).collect();
        let databases: Vec<_> = database.into_iter().collect();
        let calls: Vec<Call> =
            plugins.iter().map(|plugin| call.for_plugin(plugin, databases.clone())).collect();
        plugins.into_iter().zip(calls)
    }
}

/// What the answer of a hook means for the run.
fn settle(plugin: &Plugin, call: &Call, refusal: &str, result: Result<()>) -> Result<()> {
    let Err(error) = result else { return Ok(()) };
    if plugin.setting.optional {
        let text = format!("{} (optional): {}", plugin.name, error.one_line());
        call.context.terminal.warning(&text);
        return Ok(());
    }
    Err(match error.exit() {
        Exit::PluginCrashed | Exit::PluginDenied => error,
        _ => Error::new(Exit::HookRefused, format!("{} {refusal}", plugin.name))
            .code("refused")
            .cause(error.one_line())
            .or_hint(error.hint_text().unwrap_or("nothing was touched")),
    })
}

async fn check_one(
    plugin: &Arc<Plugin>,
    call: &Call,
    database: &handles::Database,
    copy: &handles::RestoredCopy,
) -> Outcome {
    let mut started = call.sink.start(plugin.name.clone(), &plugin.name, plugin.setting.optional);
    let own = call.for_plugin(plugin, vec![database.0.clone()]);
    let (outcome, message, exit) = match run::check(plugin, own, database, copy).await {
        Ok(()) => (Outcome::Passed, String::new(), None),
        Err(error) => {
            let wrong = error.exit() == Exit::CheckFailed;
            let outcome = if wrong { Outcome::Failed } else { Outcome::Inconclusive };
            let mut message = error.one_line();
            if let Some(hint) = error.hint_text() {
                message.push_str("\nhint: ");
                message.push_str(hint);
            }
            (outcome, message, Some(error.exit()))
        }
    };
    started.end(outcome, message, exit);
    // Its own `report.check`s count as well.
    let own_checks = call.sink.worst_of(&plugin.name);
    if plugin.setting.optional { Outcome::Passed } else { outcome.max(own_checks) }
}
