//! Calls guests, and turns the result into an outcome.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{ComponentNamedList, Lower, Resource, ResourceTableError};
use wasmtime::{Trap, WasmBacktrace};

use super::bindings::types;
use super::events::{EndedReplication, ReplicatePlan, Verification, VerifyPlan};
use super::failure::{from_guest, to_guest};
use super::handles::{self, InvocationData};
use super::limits::{Exceeded, LimitNames};
use super::store::{self, Call, Role, State, Stopped};
use super::{
    CHECK, COMMAND, NOT_RESTORED, Origin, POST_RESTORE, PRE_REPLICATE, PRE_RESTORE, PRE_VERIFY,
    Plugin, REPLICATED, RESTORED, VERIFIED,
};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::figures;
use crate::shown::bounded;
use crate::stop::Stop;

/// How long a guest may continue when the run is being stopped: time for one that looks
/// at `report.cancelled`.
const GRACE: Duration = Duration::from_secs(2);
/// The same for a built-in command, which has its processes and files to put away.
const BUILTIN_GRACE: Duration = Duration::from_secs(8);
/// How long what comes after a run may take once that was stopped; `plugin.wit` says so.
const AFTER: Duration = Duration::from_secs(10);

/// Runs a command. Its checks are in the call's sink.
pub(crate) async fn run_command(call: Call, invocation: Arc<InvocationData>) -> Result<()> {
    let plugin = Arc::clone(&call.plugin);
    with(&plugin, call, COMMAND, handles::InvocationHandle(invocation)).await
}

/// Runs a check.
pub(super) async fn check(
    plugin: &Plugin,
    call: Call,
    database: Option<&handles::DatabaseHandle>,
    copy: &handles::RestoredCopyHandle,
) -> Result<()> {
    invoke(plugin, call, CHECK, |state| {
        let mut push = |database: &handles::DatabaseHandle| state.table.push(database.clone());
        let database: Option<Resource<handles::DatabaseHandle>> =
            database.map(&mut push).transpose()?;
        Ok((database, state.table.push(copy.clone())?))
    })
    .await
}

/// Runs a pre-restore hook.
pub(super) async fn pre_restore(
    plugin: &Plugin,
    call: Call,
    plan: &handles::RestorePlanHandle,
) -> Result<()> {
    with(plugin, call, PRE_RESTORE, plan.clone()).await
}

/// Runs a post-restore hook.
pub(super) async fn post_restore(
    plugin: &Plugin,
    call: Call,
    plan: &handles::RestorePlanHandle,
    copy: &handles::RestoredCopyHandle,
) -> Result<()> {
    invoke(plugin, call, POST_RESTORE, |state| {
        let plan: Resource<handles::RestorePlanHandle> = state.table.push(plan.clone())?;
        Ok((plan, state.table.push(copy.clone())?))
    })
    .await
}

/// Tells a hook that a restore is done.
pub(super) async fn restored(
    plugin: &Plugin,
    call: Call,
    plan: &handles::RestorePlanHandle,
    replaced: &handles::ReplacedHandle,
) -> Result<()> {
    invoke(plugin, call, RESTORED, |state| {
        let plan: Resource<handles::RestorePlanHandle> = state.table.push(plan.clone())?;
        Ok((plan, state.table.push(replaced.clone())?))
    })
    .await
}

/// Tells a hook that a restore did not happen.
pub(super) async fn not_restored(
    plugin: &Plugin,
    call: Call,
    plan: &handles::RestorePlanHandle,
    reason: &Error,
) -> Result<()> {
    let reason = to_guest(reason);
    invoke(plugin, call, NOT_RESTORED, |state| Ok((state.table.push(plan.clone())?, reason))).await
}

/// Asks a hook before a proof.
pub(super) async fn pre_verify(plugin: &Plugin, call: Call, plan: Arc<VerifyPlan>) -> Result<()> {
    with(plugin, call, PRE_VERIFY, handles::VerifyPlanHandle(plan)).await
}

/// Tells a hook how a proof ended.
pub(super) async fn verified(
    plugin: &Plugin,
    call: Call,
    verification: Arc<Verification>,
) -> Result<()> {
    with(plugin, call, VERIFIED, handles::VerificationHandle(verification)).await
}

/// Asks a hook before a replication.
pub(super) async fn pre_replicate(
    plugin: &Plugin,
    call: Call,
    plan: Arc<ReplicatePlan>,
) -> Result<()> {
    with(plugin, call, PRE_REPLICATE, handles::ReplicatePlanHandle(plan)).await
}

/// Tells a hook how a replication ended.
pub(super) async fn replicated(
    plugin: &Plugin,
    call: Call,
    replication: Arc<EndedReplication>,
) -> Result<()> {
    with(plugin, call, REPLICATED, handles::ReplicationHandle(replication)).await
}

/// [`invoke`] with one handle.
async fn with<T: Send + 'static>(
    plugin: &Plugin,
    call: Call,
    interface: &str,
    handle: T,
) -> Result<()> {
    invoke(plugin, call, interface, |state| Ok((state.table.push(handle)?,))).await
}

/// One call of `run` of an exported interface, in a store of its own.
async fn invoke<Params>(
    plugin: &Plugin,
    call: Call,
    interface: &str,
    parameters: impl FnOnce(&mut State) -> wasmtime::Result<Params>,
) -> Result<()>
where
    Params: ComponentNamedList + Lower + Send + Sync + 'static,
{
    let context = Arc::clone(&call.context);
    let stop = context.stop.clone();
    let is_after = call.role == Role::After;
    let grace = match plugin.origin {
        // It waits only in the host, where everything ends with the run.
        Origin::Builtin => BUILTIN_GRACE,
        Origin::File(_) => GRACE,
    };
    let overdue = async move {
        if is_after {
            stop.stopped().await;
            tokio::time::sleep(AFTER).await;
        } else {
            stop.stopped_for(grace).await;
        }
    };
    Arc::clone(&call.plugin).made_ready(Arc::clone(&context)).await?;
    let pre = plugin.ready(&context)?;
    // Where a command tells what its plugins took, its own share is left out.
    let is_told = call.verbose && matches!(plugin.origin, Origin::File(_));
    let clock = Instant::now();
    let mut store = store::store(call)?;
    let (ends, limits) = (store.data().ends, store.data().limits);
    let work = async {
        let instance = pre.instantiate_async(&mut store).await?;
        let missing = || wasmtime::format_err!("it does not export {interface} with run");
        let interface =
            instance.get_export_index(&mut store, None, interface).ok_or_else(missing)?;
        let run =
            instance.get_export_index(&mut store, Some(&interface), "run").ok_or_else(missing)?;
        let run = instance
            .get_typed_func::<Params, (std::result::Result<(), types::Error>,)>(&mut store, run)?;
        let parameters = parameters(store.data_mut())?;
        let (result,) = run.call_async(&mut store, parameters).await?;
        wasmtime::Result::Ok(result)
    };
    // Also one that sleeps, or waits in the host.
    let result = tokio::select! {
        biased;
        result = work => result,
        () = tokio::time::sleep_until(ends.into()) => Err(Exceeded::Wall(limits.wall).into()),
        () = overdue => Err(Stopped.into()),
    };
    let state = store.data();
    for line in state.stdout.text().lines().chain(state.stderr.text().lines()) {
        context.notes.note(&format!("{}: {}", plugin.name, bounded(line)));
    }
    if is_told {
        let (took, memory) = (clock.elapsed(), state.meter.memory() as u64);
        let (took, memory) = (figures::duration(took), figures::bytes(memory));
        context.notes.note(&format!("{}: took {took} and {memory} of memory", plugin.name));
    }
    match result {
        Ok(Ok(())) => match state.overstepped {
            Some(what) => Err(overstepped(plugin, what)),
            None => Ok(()),
        },
        Ok(Err(error)) => Err(unless_denied(from_guest(error, &state.given), state)),
        Err(error) => {
            let stopped = context.stop.signal().map(Stop::error);
            Err(unless_denied(crashed(plugin, &error, state, stopped), state))
        }
    }
}

/// The error of a guest that failed, or the denial before it: a guest whose toolchain gives
/// it no reason fails of something else. What it says of the copy stays.
fn unless_denied(error: Error, state: &State) -> Error {
    match (error.code(), state.standard.requests.denied()) {
        (
            Code::Failed
            | Code::Refused
            | Code::NotApplicable
            | Code::Denied
            | Code::Cancelled
            | Code::Interrupted
            | Code::Terminated
            | Code::Overdue,
            _,
        )
        | (_, None) => error,
        (_, Some(denied)) => denied.cause(error.one_line()),
    }
}

/// The error of a check or hook that did what only a command may, and reported success.
fn overstepped(plugin: &Plugin, what: &str) -> Error {
    let name = &plugin.name;
    Error::inconclusive(format!("plugin {name} called {what}, which only a command may"))
        .hint("a check that has nothing to check returns an error with the code not-applicable")
}

/// The error of a guest that did not return.
fn crashed(
    plugin: &Plugin,
    error: &wasmtime::Error,
    state: &State,
    stopped: Option<Error>,
) -> Error {
    if error.is::<Stopped>()
        && let Some(stopped) = stopped
    {
        return stopped;
    }
    let name = &plugin.name;
    if let Some(exceeded) = exceeded(error, state) {
        let own = Error::new(Code::Crashed, format!("plugin {name} {exceeded}"));
        return reasons(own, state).hint(remedy(plugin, &exceeded));
    }
    let own = Error::new(Code::Crashed, format!("plugin {name} crashed"));
    let mut own = reasons(own, state);
    own = match error.downcast_ref::<Trap>() {
        Some(trap) => own.cause(trap),
        None => own.cause(bounded(error.root_cause().to_string())),
    };
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        let frames: Vec<String> = backtrace
            .frames()
            .iter()
            .filter_map(|frame| frame.func_name())
            .map(bounded)
            .take(4)
            .collect();
        if !frames.is_empty() {
            own = own.cause(format!("in {}", frames.join(" < ")));
        }
    }
    own
}

/// The limit that a guest ran into, if it was one.
fn exceeded(error: &wasmtime::Error, state: &State) -> Option<Exceeded> {
    if let Some(exceeded) = error.downcast_ref::<Exceeded>() {
        return Some(exceeded.clone());
    }
    match error.downcast_ref::<ResourceTableError>() {
        Some(ResourceTableError::Full) => Some(Exceeded::Handles(state.handles)),
        _ => None,
    }
}

/// What a user does about a limit.
fn remedy(plugin: &Plugin, exceeded: &Exceeded) -> String {
    let Some(LimitNames { manifest, project }) = exceeded.key() else {
        return "no plugin may do more, and this limit cannot be raised".to_owned();
    };
    let name = &plugin.name;
    let by_project = plugin.setting.limits.as_ref().is_some_and(|limits| match exceeded {
        Exceeded::Memory(limit) => limits.memory.is_some_and(|it| it <= *limit as u64),
        Exceeded::Cpu(limit) => limits.cpu.is_some_and(|it| it <= *limit),
        Exceeded::Wall(limit) => limits.timeout.is_some_and(|it| it <= *limit),
        Exceeded::Rows(limit) => limits.rows.is_some_and(|it| it <= *limit),
        _ => false,
    });
    if by_project {
        format!(
            "lsrun.yml allows it no more: plugins: {{settings: {{{name}: {{limits: {{{project}: …}}}}}}}}"
        )
    } else if exceeded.is_the_maximum() {
        "no plugin gets more than that".to_owned()
    } else {
        format!("its manifest can ask for more: limits: {{{manifest}: …}}")
    }
}

/// Adds what a guest said before its end: its last words on its own standard error,
/// and what it logged as an error, as a panic of a Rust guest is.
fn reasons(mut own: Error, state: &State) -> Error {
    /// How many lines of a stream are likely to say why.
    const LAST: usize = 5;
    for line in state.last_error.iter().flat_map(|text| text.lines()).take(LAST) {
        own = own.cause(line);
    }
    for line in state.stderr.last_lines(LAST) {
        own = own.cause(bounded(line));
    }
    own
}
