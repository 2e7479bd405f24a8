//! Fires the hooks of a project, and decides how their outcomes count.

use std::sync::Arc;

use futures_util::future::join_all;

use super::store::Call;
use super::{Hooks, POST_RESTORE, PRE_RESTORE, Plugin, RESTORED, handles, run};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::litestream::replica::source::Source;
use crate::report::{CheckKind, Outcome};

impl Hooks {
    /// Runs every `check` that applies and is `wanted` by its name, in parallel, and
    /// gives the worst outcome of those that count.
    pub(super) async fn check(
        &self,
        call: &Call,
        database: Option<&handles::DatabaseHandle>,
        copy: &handles::RestoredCopyHandle,
        wanted: impl Fn(&str) -> bool,
    ) -> Outcome {
        let checks = self.checks(database).filter(|plugin| wanted(&plugin.name));
        let outcomes = join_all(checks.map(|plugin| check_one(plugin, call, database, copy))).await;
        outcomes.into_iter().max().unwrap_or(Outcome::Passed)
    }

    /// Runs every `pre-restore` that applies, in the order of names; the first that
    /// refuses ends it.
    pub(super) async fn pre_restore(
        &self,
        call: &Call,
        plan: &handles::RestorePlanHandle,
    ) -> Result<()> {
        for (plugin, own) in self.around_restore(PRE_RESTORE, call, plan) {
            let asked = recorded(plugin, call, "pre-restore", run::pre_restore(plugin, own, plan));
            asked.await.map_err(|error| refusal(plugin, "refused the restore", error))?;
        }
        Ok(())
    }

    /// Runs every `post-restore` that applies, likewise.
    pub(super) async fn post_restore(
        &self,
        call: &Call,
        plan: &handles::RestorePlanHandle,
        copy: &handles::RestoredCopyHandle,
    ) -> Result<()> {
        for (plugin, own) in self.around_restore(POST_RESTORE, call, plan) {
            let run = run::post_restore(plugin, own, plan, copy);
            let asked = recorded(plugin, call, "post-restore", run);
            asked.await.map_err(|error| refusal(plugin, "refused the restored copy", error))?;
        }
        Ok(())
    }

    /// Runs every `restored` that applies, whatever the others return, and gives
    /// the first failure.
    pub(super) async fn restored(
        &self,
        call: &Call,
        plan: &handles::RestorePlanHandle,
        replaced: &handles::ReplacedHandle,
    ) -> Result<()> {
        let mut first = Ok(());
        for (plugin, own) in self.around_restore(RESTORED, call, plan) {
            let told =
                recorded(plugin, call, "restored", run::restored(plugin, own, plan, replaced));
            if let Err(error) = told.await {
                first = first.and(Err(not_told(plugin, error)));
            }
        }
        first
    }

    /// The hooks for a plan's database, each with the call that it gets.
    fn around_restore(
        &self,
        interface: &str,
        call: &Call,
        plan: &handles::RestorePlanHandle,
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

/// Runs a hook and puts its answer into the report. One that is optional and fails
/// is reported, and does not count.
async fn recorded(
    plugin: &Plugin,
    call: &Call,
    hook: &str,
    run: impl Future<Output = Result<()>>,
) -> Result<()> {
    let optional = plugin.setting.optional;
    let id = format!("{}/{hook}", plugin.name);
    let mut started = call.sink.start(id, CheckKind::Data, &plugin.name, optional);
    let Err(error) = run.await else {
        started.end(Outcome::Passed, String::new(), None);
        return Ok(());
    };
    started.end_with(&error, Outcome::Inconclusive, None);
    if optional {
        let text = format!("{} (optional): {}", plugin.name, error.one_line());
        call.context.notes.warning(&text);
        return Ok(());
    }
    Err(error)
}

/// The error of a restore that a hook refused.
fn refusal(plugin: &Plugin, refused: &str, error: Error) -> Error {
    match error.code() {
        Code::Crashed | Code::Denied => error,
        _ => Error::new(Code::Refused, format!("{} {refused}", plugin.name))
            .cause(error.one_line())
            .or_hint(error.hint_text().unwrap_or("nothing was touched")),
    }
}

/// The error of a restore that was done, but whose hook failed.
fn not_told(plugin: &Plugin, error: Error) -> Error {
    let code = match error.code() {
        code @ (Code::Crashed | Code::Denied) => code,
        _ => Code::Inconclusive,
    };
    let name = &plugin.name;
    Error::new(code, format!("the database was restored, and {name} failed afterwards"))
        .cause(error.one_line())
        .or_hint(error.hint_text().unwrap_or("nothing is undone: do yourself what the hook is for"))
}

/// The exit code of a check that gave this error. The command line is right whatever
/// a check says of its arguments, and a check refuses nothing.
fn exit_of_check(error: &Error) -> Exit {
    match error.exit() {
        Exit::Usage | Exit::HookRefused | Exit::Success | Exit::NothingSelected => {
            Exit::Inconclusive
        }
        other => other,
    }
}

async fn check_one(
    plugin: &Arc<Plugin>,
    call: &Call,
    database: Option<&handles::DatabaseHandle>,
    copy: &handles::RestoredCopyHandle,
) -> Outcome {
    let mut started = call.sink.start(
        plugin.name.clone(),
        CheckKind::Data,
        &plugin.name,
        plugin.setting.optional,
    );
    let own = call.for_plugin(plugin, database.iter().map(|database| database.0.clone()).collect());
    let outcome = match run::check(plugin, own, database, copy).await {
        Ok(()) => {
            started.end(Outcome::Passed, String::new(), None);
            Outcome::Passed
        }
        Err(error) => {
            let outcome = Outcome::of_error(error.code());
            // One that is left out is so for this check, and never for the database.
            let exit = (outcome != Outcome::Skipped).then(|| exit_of_check(&error));
            started.end_with(&error, outcome, exit);
            outcome
        }
    };
    // Its own `report.check`s count as well.
    let own_checks = call.sink.worst_of(&plugin.name);
    if plugin.setting.optional { Outcome::Passed } else { outcome.max(own_checks) }
}
