//! The project's hooks, and how their outcomes count.

use std::sync::Arc;

use futures_util::future::join_all;

use super::store::Call;
use super::{CHECK, PRE_RESTORE, Plugin, handles, registry, run};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
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
        let database = match &plan.request.source {
            crate::litestream::restore::Source::Database(database) => Some(database.clone()),
            crate::litestream::restore::Source::Url(_) => None,
        };
        for plugin in self.exporting(PRE_RESTORE) {
            if database.as_ref().is_some_and(|database| !plugin.applies_to(database)) {
                continue;
            }
            let own = call.for_plugin(plugin, database.clone().into_iter().collect());
            let Err(error) = run::pre_restore(plugin, own, plan).await else { continue };
            if plugin.setting.optional {
                let context = &call.context;
                context.terminal.warning(&format!(
                    "{} (optional): {}",
                    plugin.name,
                    error.one_line()
                ));
                continue;
            }
            return Err(match error.exit() {
                Exit::PluginCrashed | Exit::PluginDenied => error,
                _ => Error::new(Exit::HookRefused, format!("{} refused the restore", plugin.name))
                    .code("refused")
                    .cause(error.one_line())
                    .or_hint(error.hint_text().unwrap_or("nothing was touched")),
            });
        }
        Ok(())
    }
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
