//! Fires the hooks of a project, and decides how their outcomes count.

use std::sync::Arc;

use futures_util::future::join_all;

use super::events::{EndedReplication, ReplicatePlan, Verification, VerifyPlan};
use super::restores::UnsettledRestore;
use super::store::{Call, Role};
use super::{
    Hooks, NOT_RESTORED, Origin, POST_RESTORE, PRE_REPLICATE, PRE_RESTORE, PRE_VERIFY, Plugin,
    REPLICATED, RESTORED, Sink, VERIFIED, handles, run,
};
use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::litestream::replica::source::Source;
use crate::project::Database;
use crate::report::event::Event;
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
        for (plugin, own) in self.of_plan(PRE_RESTORE, call, plan, Role::Hook) {
            let asked = recorded(plugin, call, "pre-restore", run::pre_restore(plugin, own, plan));
            asked.await.map_err(|error| {
                refusal(plugin, "refused the restore", error).or_hint(NOTHING_TOUCHED)
            })?;
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
        for (plugin, own) in self.of_plan(POST_RESTORE, call, plan, Role::Hook) {
            let run = run::post_restore(plugin, own, plan, copy);
            let asked = recorded(plugin, call, "post-restore", run);
            asked.await.map_err(|error| {
                refusal(plugin, "refused the restored copy", error).or_hint(NOTHING_TOUCHED)
            })?;
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
        // Also when the run is being stopped meanwhile: the copy is in place.
        for (plugin, own) in self.of_plan(RESTORED, call, plan, Role::After) {
            let told =
                recorded(plugin, call, "restored", run::restored(plugin, own, plan, replaced));
            if let Err(error) = told.await {
                first = first.and(Err(not_told(plugin, error)));
            }
        }
        first
    }

    /// Calls what comes after restores that the command of `call` has left unsettled: it
    /// has ended, and `reason` is why. What fails is a warning.
    pub(crate) async fn settle(&self, call: &Call, reason: Option<&Error>) {
        let unsettled = call.restores.take().await;
        if unsettled.is_empty() {
            return;
        }
        // What finished is reported when it is done; it does not take long.
        let _hold = call.context.stop.hold();
        let gave_up = || Error::inconclusive("the command ended without restoring anything");
        let reason = reason.cloned().unwrap_or_else(gave_up);
        for restore in unsettled {
            match restore {
                UnsettledRestore::Planned(plan) => self.not_restored(call, &plan, &reason).await,
                UnsettledRestore::Replaced(plan, replaced) => {
                    if let Err(error) = self.restored(call, &plan, &replaced).await {
                        call.context.notes.warning(&error.one_line());
                    }
                }
            }
        }
    }

    /// Calls every `not-restored` that applies.
    async fn not_restored(&self, call: &Call, plan: &handles::RestorePlanHandle, reason: &Error) {
        for (plugin, own) in self.of_plan(NOT_RESTORED, call, plan, Role::After) {
            let told = apart(own, |own| run::not_restored(plugin, own, plan, reason)).await;
            if let Err(error) = told {
                let text = format!("{} failed after a restore that did not happen", plugin.name);
                call.context.notes.warning(&format!("{text}: {}", error.one_line()));
            }
        }
    }

    /// Runs every `pre-verify` that applies, in the order of names; the first that refuses
    /// ends it.
    pub(crate) async fn pre_verify(&self, call: &Call, plan: &Arc<VerifyPlan>) -> Result<()> {
        let databases = plan.database().into_iter().cloned().collect();
        for (plugin, own) in self.of(PRE_VERIFY, call, databases, Role::Hook) {
            // Nothing of it proves anything.
            let plan = Arc::clone(plan);
            let asked = apart(own, |own| run::pre_verify(plugin, own, plan)).await;
            optionally(plugin, call, asked).map_err(|error| {
                refusal(plugin, "refused to verify", error).or_hint(NOTHING_EXAMINED)
            })?;
        }
        Ok(())
    }

    /// Calls every `verified` that applies, in parallel, and gives the code of those that
    /// failed. They change nothing of the report.
    pub(crate) async fn verified(&self, call: &Call, verification: &Arc<Verification>) -> Exit {
        let databases = verification.plan.database().into_iter().cloned().collect();
        let hooks = self.of(VERIFIED, call, databases, Role::After);
        let told = hooks.map(async |(plugin, own)| {
            let verification = Arc::clone(verification);
            let told = apart(own, |own| run::verified(plugin, own, verification)).await;
            told_after(plugin, call, told)
        });
        join_all(told).await.into_iter().fold(Exit::Success, Exit::worst)
    }

    /// Runs every `pre-replicate`, in the order of names; the first that refuses ends it.
    pub(crate) async fn pre_replicate(&self, call: &Call, plan: &Arc<ReplicatePlan>) -> Result<()> {
        for (plugin, own) in self.of(PRE_REPLICATE, call, plan.databases.clone(), Role::Hook) {
            let plan = Arc::clone(plan);
            let asked = apart(own, |own| run::pre_replicate(plugin, own, plan)).await;
            optionally(plugin, call, asked).map_err(|error| {
                refusal(plugin, "refused to replicate", error).or_hint(NOTHING_STARTED)
            })?;
        }
        Ok(())
    }

    /// Calls every `replicated`, whatever the others return, and gives the code of those
    /// that failed.
    pub(crate) async fn replicated(
        &self,
        call: &Call,
        replication: &Arc<EndedReplication>,
    ) -> Exit {
        let mut worst = Exit::Success;
        let databases = replication.plan.databases.clone();
        for (plugin, own) in self.of(REPLICATED, call, databases, Role::After) {
            let replication = Arc::clone(replication);
            let told = apart(own, |own| run::replicated(plugin, own, replication)).await;
            worst = worst.worst(told_after(plugin, call, told));
        }
        worst
    }

    /// The call of a command that the host has itself; none when it has no hooks.
    #[must_use]
    pub(crate) fn call_of_host(self: &Arc<Self>, context: &Arc<Context>) -> Option<Call> {
        // Each hook gets its own call of its own plugin.
        let first = self.plugins().next()?;
        Some(Call::of_command(context, first, self, Sink::aside(Arc::clone(context))))
    }

    /// The hooks for a plan's database, each with the call that it gets.
    fn of_plan(
        &self,
        interface: &str,
        call: &Call,
        plan: &handles::RestorePlanHandle,
        role: Role,
    ) -> impl Iterator<Item = (&Arc<Plugin>, Call)> {
        let databases = match &plan.request.source {
            Source::Database(database) => vec![database.clone()],
            Source::Url(_) => Vec::new(),
        };
        self.of(interface, call, databases, role)
    }

    /// The hooks that apply to any of these databases, or to none in particular, each with
    /// the call that it gets.
    fn of(
        &self,
        interface: &str,
        call: &Call,
        databases: Vec<Database>,
        role: Role,
    ) -> impl Iterator<Item = (&Arc<Plugin>, Call)> {
        let applies = |plugin: &&Arc<Plugin>| {
            databases.is_empty() || databases.iter().any(|database| plugin.applies_to(database))
        };
        let plugins: Vec<&Arc<Plugin>> = self.exporting(interface).filter(applies).collect();
        let calls: Vec<Call> = plugins
            .iter()
            .map(|plugin| {
                let own = databases.iter().filter(|database| plugin.applies_to(database));
                call.for_plugin(plugin, own.cloned().collect(), role)
            })
            .collect();
        plugins.into_iter().zip(calls)
    }
}

/// Runs a hook whose checks are in no report: one that does not pass is its failure.
async fn apart<Hook: Future<Output = Result<()>>>(
    own: Call,
    hook: impl FnOnce(Call) -> Hook,
) -> Result<()> {
    let sink = Sink::aside(Arc::clone(&own.context));
    hook(Call { sink: Arc::clone(&sink), ..own }).await?;
    let (report, _data) = sink.finish(None);
    match report.not_passed().next() {
        Some(check) => Err(Error::inconclusive(format!("{}: {}", check.id, check.message))),
        None => Ok(()),
    }
}

/// The answer of a hook; one that is optional and fails is a warning.
fn optionally(plugin: &Plugin, call: &Call, answer: Result<()>) -> Result<()> {
    match answer {
        Err(error) if plugin.setting.optional => {
            let text = format!("{} (optional): {}", plugin.name, error.one_line());
            call.context.notes.warning(&text);
            Ok(())
        }
        answer => answer,
    }
}

/// The code for what a hook answered that is called when everything is over; what failed
/// is shown.
fn told_after(plugin: &Plugin, call: &Call, told: Result<()>) -> Exit {
    let Err(error) = optionally(plugin, call, told) else { return Exit::Success };
    let mut shown =
        Error::new(code_afterwards(&error), format!("{} failed afterwards", plugin.name))
            .cause(error.one_line());
    if let Some(hint) = error.hint_text() {
        shown = shown.hint(hint);
    }
    call.context.reporter.report(Event::Error(&shown));
    shown.exit()
}

/// Runs a hook and puts its answer into the report. One that is optional and fails
/// is reported, and does not count.
async fn recorded(
    plugin: &Plugin,
    call: &Call,
    hook: &str,
    run: impl Future<Output = Result<()>>,
) -> Result<()> {
    if plugin.origin == Origin::Builtin {
        // It reports each of its tasks.
        return run.await;
    }
    let optional = plugin.setting.optional;
    let id = format!("{}/{hook}", plugin.name);
    let mut started = call.sink.start(id, CheckKind::Data, &plugin.name, optional);
    let Err(error) = run.await else {
        started.end(Outcome::Passed, String::new(), None);
        return Ok(());
    };
    started.end_with(&error, Outcome::Inconclusive, None);
    optionally(plugin, call, Err(error))
}

/// Whether it says something about the plugin, and nothing about what it was asked.
fn is_of_plugin(error: &Error) -> bool {
    matches!(error.code(), Code::Crashed | Code::Denied | Code::UnusablePlugin)
}

/// The code of a hook that failed when everything was done.
fn code_afterwards(error: &Error) -> Code {
    if is_of_plugin(error) { error.code() } else { Code::Inconclusive }
}

/// What is so when something was refused.
const NOTHING_TOUCHED: &str = "nothing was touched";
const NOTHING_EXAMINED: &str = "nothing was examined";
const NOTHING_STARTED: &str = "nothing was started";

/// The error of what a hook refused.
fn refusal(plugin: &Plugin, refused: &str, error: Error) -> Error {
    if is_of_plugin(&error) {
        return error;
    }
    let own = Error::new(Code::Refused, format!("{} {refused}", plugin.name));
    let own = own.cause(error.one_line());
    match error.hint_text() {
        Some(hint) => own.hint(hint),
        None => own,
    }
}

/// The error of a restore that was done, but whose hook failed.
fn not_told(plugin: &Plugin, error: Error) -> Error {
    let name = &plugin.name;
    let code = code_afterwards(&error);
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
    let databases = database.iter().map(|database| database.0.clone()).collect();
    let own = call.for_plugin(plugin, databases, Role::Hook);
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
