//! What one call of a guest runs in: its own store with its limits, its handles
//! and what it was called for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{Engine, Store, UpdateDeadline};
use wasmtime_wasi::{WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use super::bindings::Imports;
use super::engine::TICK;
use super::failure::Given;
use super::handles::Token;
use super::limits::{self, Exceeded, Limits, Meter};
use super::output::Stream;
use super::wasi::{self, Standard};
use super::{Hooks, Plugin, Restores, Sink};
use crate::code::Code;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::litestream::room::RunId;
use crate::project::Database;
use crate::stop::Stop;

/// The role in which a guest is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The run is its own: it may write data and say that nothing was to be done.
    Command,
    /// It reports for itself, in the run of another command.
    Hook,
    /// The same, of what is over: it runs also when the run is being stopped.
    After,
}

/// What a guest is called for, and the caller.
#[derive(Clone)]
pub(crate) struct Call {
    /// The run.
    pub context: Arc<Context>,
    /// The guest.
    pub plugin: Arc<Plugin>,
    /// The run for one database that it belongs to.
    pub run: RunId,
    /// Where its words go.
    pub sink: Arc<Sink>,
    /// What it may read without a grant.
    pub databases: Vec<Database>,
    /// How long one wait for the replica may take.
    pub patience: Duration,
    /// What it may fire.
    pub hooks: Arc<Hooks>,
    /// The restores for which it has fired hooks.
    pub restores: Restores,
    /// What the ids of its checks and the keys of its facts start with.
    pub prefix: String,
    /// The role in which it is called.
    pub role: Role,
    /// Whether its `debug` lines are shown.
    pub verbose: bool,
}

impl Call {
    /// Of a command, for no database in particular.
    #[must_use]
    pub(crate) fn of_command(
        context: &Arc<Context>,
        plugin: &Arc<Plugin>,
        hooks: &Arc<Hooks>,
        sink: Arc<Sink>,
    ) -> Self {
        Self {
            run: context.session.run(),
            context: Arc::clone(context),
            plugin: Arc::clone(plugin),
            sink,
            databases: Vec::new(),
            patience: context.project.verify().timeout,
            hooks: Arc::clone(hooks),
            restores: Restores::default(),
            prefix: String::new(),
            role: Role::Command,
            verbose: false,
        }
    }

    /// The same run for a hook, in the role [`Role::Hook`] or [`Role::After`].
    #[must_use]
    pub(super) fn for_plugin(
        &self,
        plugin: &Arc<Plugin>,
        databases: Vec<Database>,
        role: Role,
    ) -> Self {
        Self {
            plugin: Arc::clone(plugin),
            databases,
            // A hook that fired hooks could run forever.
            hooks: Arc::default(),
            restores: Restores::default(),
            prefix: format!("{}/", plugin.name),
            role,
            ..self.clone()
        }
    }

    /// What stops the guest and what it waits for. What comes after a run is not stopped
    /// with it, but ended after a while.
    fn stop(&self) -> Stop {
        match self.role {
            Role::After => Stop::default(),
            Role::Command | Role::Hook => self.context.stop.clone(),
        }
    }

    /// The moment at which a wait for the replica that begins now ends.
    #[must_use]
    pub(super) fn deadline(&self, timeout: Option<Duration>) -> Instant {
        Instant::now() + timeout.unwrap_or(self.patience)
    }
}

/// The data of a store.
pub(super) struct State {
    pub(super) table: ResourceTable,
    /// How many handles it may hold.
    pub(super) handles: usize,
    pub(super) call: Call,
    pub(super) limits: Limits,
    pub(super) stop: Stop,
    /// When the call is over, whatever it does.
    pub(super) ends: Instant,
    pub(super) lines_left: usize,
    /// Bytes of log lines that are still shown.
    pub(super) output_left: usize,
    /// What its connections to databases may take.
    pub(super) connections: crate::sqlite::Slots,
    /// One clone is in each job of litestream.
    pub(super) jobs: Token,
    /// The errors that the host gave to the guest, which keep their exit code when
    /// the guest gives them back.
    pub(super) given: Given,
    /// What the guest last logged as an error: where it ends, this may be why.
    pub(super) last_error: Option<String>,
    /// What it did that only commands may.
    pub(super) overstepped: Option<&'static str>,
    pub(super) meter: Meter,
    ticks_left: u128,
    /// What it has of WASI.
    pub(super) standard: Standard,
    pub(super) stdout: Stream,
    pub(super) stderr: Stream,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.standard.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.handles = self.handles.min(limits::HTTP_HANDLES);
        self.table.set_max_capacity(self.handles);
        let Standard { http, requests, .. } = &mut self.standard;
        WasiHttpCtxView { hooks: requests, table: &mut self.table, ctx: http }
    }
}

/// The run is being stopped.
#[derive(Debug, thiserror::Error)]
#[error("the run is being stopped")]
pub(super) struct Stopped;

/// Whether a component needs WASI.
pub(super) fn wants_wasi(engine: &Engine, component: &Component) -> bool {
    component.component_type().imports(engine).any(|(name, _)| name.starts_with("wasi:"))
}

/// Everything that a guest can import. WASI comes only if it is imported: it
/// costs time, and what is not linked cannot be reached.
pub(super) fn linker(engine: &Engine, with_wasi: bool) -> Result<Linker<State>> {
    let failed = |error: wasmtime::Error| {
        Error::new(Code::Unexpected, "cannot offer the interfaces").cause(format!("{error:#}"))
    };
    let mut linker = Linker::new(engine);
    Imports::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut State| state)
        .map_err(failed)?;
    if with_wasi {
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(failed)?;
        wasi::add_http(&mut linker).map_err(failed)?;
    }
    Ok(linker)
}

/// A store for one call.
///
/// Fails if it cannot have what it is granted.
pub(super) fn store(call: Call) -> Result<Store<State>> {
    let plugin = &call.plugin;
    let engine = plugin.offer.engine().clone();
    let is_command = call.role == Role::Command;
    let limits =
        Limits::effective(&plugin.manifest.limits, plugin.setting.limits.as_ref(), is_command);
    let (stdout, stderr) = (Stream::new(limits.output), Stream::new(limits.output));
    let standard = Standard::new(plugin, &call.context, &stdout, &stderr)?;
    let mut table = ResourceTable::new();
    let handles = if standard.has_files { limits::FILE_HANDLES } else { limits::HANDLES };
    table.set_max_capacity(handles);
    let state = State {
        table,
        handles,
        limits,
        stop: call.stop(),
        ends: Instant::now() + limits.wall,
        lines_left: limits::LINES,
        output_left: limits.output,
        connections: crate::sqlite::Slots::of(&call.context.connections),
        jobs: Token::default(),
        given: Given::default(),
        last_error: None,
        overstepped: None,
        meter: Meter::new(limits.memory),
        ticks_left: limits.cpu.as_millis().div_ceil(TICK.as_millis()),
        standard,
        stdout,
        stderr,
        call,
    };
    let mut store = Store::new(&engine, state);
    store.limiter(|state| &mut state.meter);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |mut store| {
        let state = store.data_mut();
        if state.stop.signal().is_some() {
            return Err(Stopped.into());
        }
        // Waiting for the host ends in one tick, however long it took.
        state.ticks_left = state.ticks_left.saturating_sub(1);
        if state.ticks_left == 0 {
            return Err(Exceeded::Cpu(state.limits.cpu).into());
        }
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    });
    Ok(store)
}
