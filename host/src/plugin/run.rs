//! Calls guests, and turns whatever comes of it into an outcome.

use std::sync::Arc;

use wasmtime::component::{ComponentNamedList, Lower, Resource};
use wasmtime::{Trap, WasmBacktrace};

use super::bindings::types;
use super::failure::{bounded, from_guest};
use super::handles::{self, InvocationData};
use super::store::{self, Call, CpuLimit, State, Stopped};
use super::{CHECK, COMMAND, POST_RESTORE, PRE_RESTORE, Plugin, RESTORED};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::report::human;
use crate::stop::Stop;

/// Runs a command. Its checks are in the call's sink.
pub async fn run_command(call: Call, invocation: Arc<InvocationData>) -> Result<()> {
    let plugin = Arc::clone(&call.plugin);
    invoke(&plugin, call, COMMAND, |state| {
        Ok((state.table.push(handles::Invocation(invocation))?,))
    })
    .await
}

/// Runs a check.
pub(super) async fn check(
    plugin: &Plugin,
    call: Call,
    database: &handles::Database,
    copy: &handles::RestoredCopy,
) -> Result<()> {
    invoke(plugin, call, CHECK, |state| {
        let database: Resource<handles::Database> = state.table.push(database.clone())?;
        Ok((database, state.table.push(copy.clone())?))
    })
    .await
}

/// Runs a pre-restore hook.
pub(super) async fn pre_restore(
    plugin: &Plugin,
    call: Call,
    plan: &handles::RestorePlan,
) -> Result<()> {
    invoke(plugin, call, PRE_RESTORE, |state| Ok((state.table.push(plan.clone())?,))).await
}

/// Runs a post-restore hook.
pub(super) async fn post_restore(
    plugin: &Plugin,
    call: Call,
    plan: &handles::RestorePlan,
    copy: &handles::RestoredCopy,
) -> Result<()> {
    invoke(plugin, call, POST_RESTORE, |state| {
        let plan: Resource<handles::RestorePlan> = state.table.push(plan.clone())?;
        Ok((plan, state.table.push(copy.clone())?))
    })
    .await
}

/// Tells a hook that a restore is done.
pub(super) async fn restored(
    plugin: &Plugin,
    call: Call,
    plan: &handles::RestorePlan,
    replaced: &handles::Replaced,
) -> Result<()> {
    invoke(plugin, call, RESTORED, |state| {
        let plan: Resource<handles::RestorePlan> = state.table.push(plan.clone())?;
        Ok((plan, state.table.push(replaced.clone())?))
    })
    .await
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
    let mut store = store::store(call)?;
    let result: wasmtime::Result<std::result::Result<(), types::Error>> = async {
        let instance = plugin.pre.instantiate_async(&mut store).await?;
        let missing = || wasmtime::format_err!("it does not export {interface} with run");
        let interface =
            instance.get_export_index(&mut store, None, interface).ok_or_else(missing)?;
        let run =
            instance.get_export_index(&mut store, Some(&interface), "run").ok_or_else(missing)?;
        let run = instance
            .get_typed_func::<Params, (std::result::Result<(), types::Error>,)>(&mut store, run)?;
        let parameters = parameters(store.data_mut())?;
        let (result,) = run.call_async(&mut store, parameters).await?;
        Ok(result)
    }
    .await;
    let said = String::from_utf8_lossy(&store.data().output.contents()).into_owned();
    for line in bounded(said).lines() {
        context.terminal.note(&format!("{}: {line}", plugin.name));
    }
    match result {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(from_guest(error)),
        Err(error) => Err(crashed(plugin, &error, context.stop.signal().map(Stop::error))),
    }
}

/// The error of a guest that did not return.
fn crashed(plugin: &Plugin, error: &wasmtime::Error, stopped: Option<Error>) -> Error {
    if error.is::<Stopped>()
        && let Some(stopped) = stopped
    {
        return stopped;
    }
    let name = &plugin.name;
    let limit = |message: String, key: &str| {
        Error::new(Exit::PluginCrashed, message)
            .code("crashed")
            .hint(format!("its manifest can ask for more: limits: {{{key}: …}}"))
    };
    if let Some(CpuLimit(limit_)) = error.downcast_ref::<CpuLimit>() {
        let time = human::duration(*limit_);
        return limit(format!("plugin {name} computed for longer than {time}"), "cpu-ms");
    }
    let text = format!("{error:#}");
    if text.contains("growing memory to") {
        let allowed = human::bytes(plugin.manifest.limits.memory() as u64);
        return limit(format!("plugin {name} wanted more memory than {allowed}"), "memory");
    }
    let mut own = Error::new(Exit::PluginCrashed, format!("plugin {name} crashed")).code("crashed");
    own = match error.downcast_ref::<Trap>() {
        Some(trap) => own.cause(trap),
        None => own.cause(error.root_cause()),
    };
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>() {
        let frames: Vec<String> = backtrace
            .frames()
            .iter()
            .filter_map(|frame| frame.func_name())
            .map(|symbol| symbol.to_owned())
            .take(4)
            .collect();
        if !frames.is_empty() {
            own = own.cause(format!("in {}", frames.join(" < ")));
        }
    }
    own
}
