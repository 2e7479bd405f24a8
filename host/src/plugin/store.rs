//! What one call of a guest runs in: its own store with its limits, its handles
//! and what it was called for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{Engine, Store, StoreLimits, StoreLimitsBuilder, UpdateDeadline};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

use super::bindings::Imports;
use super::engine::{self, TICK};
use super::{Hooks, Plugin, Sink};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::project::Database;

/// How much of a guest's own stdout and stderr is kept, in bytes.
const GUEST_OUTPUT: usize = 64 << 10;
/// How many lines a call may log.
const MAX_LINES: usize = 10_000;

/// What a guest is called for and by whom.
#[derive(Clone)]
pub struct Call {
    /// The run.
    pub context: Arc<Context>,
    /// The guest.
    pub plugin: Arc<Plugin>,
    /// Where its words go.
    pub sink: Arc<Sink>,
    /// What it may read without a grant.
    pub databases: Vec<Database>,
    /// How long one wait for the replica may take.
    pub patience: Duration,
    /// What it may fire.
    pub hooks: Arc<Hooks>,
    /// What its checks' ids start with.
    pub prefix: String,
}

impl Call {
    /// The same run for a hook.
    #[must_use]
    pub(super) fn for_plugin(&self, plugin: &Arc<Plugin>, databases: Vec<Database>) -> Self {
        Self {
            plugin: Arc::clone(plugin),
            databases,
            // A hook that fired hooks could go on for ever.
            hooks: Arc::default(),
            prefix: format!("{}/", plugin.name),
            ..self.clone()
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
    pub(super) call: Call,
    pub(super) lines_left: usize,
    /// What its connections to databases may take.
    pub(super) connections: crate::sqlite::Slots,
    limits: StoreLimits,
    ticks_left: u128,
    wasi: WasiCtx,
    pub(super) output: MemoryOutputPipe,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// The guest computed for longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("it computed for longer than {0:?}")]
pub(super) struct CpuLimit(pub(super) Duration);

/// The run is being stopped.
#[derive(Debug, thiserror::Error)]
#[error("the run is being stopped")]
pub(super) struct Stopped;

/// Whether a component needs WASI.
pub(super) fn wants_wasi(engine: &Engine, component: &Component) -> bool {
    component.component_type().imports(engine).any(|(name, _)| name.starts_with("wasi:"))
}

/// Everything that a guest can import. WASI comes only where it is imported: it
/// costs time, and what is not linked cannot be reached.
pub(super) fn linker(engine: &Engine, wasi: bool) -> Result<Linker<State>> {
    let failed = |error: wasmtime::Error| {
        Error::new(Exit::Unexpected, "cannot offer the interfaces").cause(format!("{error:#}"))
    };
    let mut linker = Linker::new(engine);
    Imports::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut State| state)
        .map_err(failed)?;
    if wasi {
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(failed)?;
    }
    Ok(linker)
}

/// A store for one call.
pub(super) fn store(call: Call) -> Result<Store<State>> {
    let engine = engine::engine()?;
    engine::tick(engine)?;
    let limits = &call.plugin.manifest.limits;
    let cpu = limits.cpu();
    let output = MemoryOutputPipe::new(GUEST_OUTPUT);
    let state = State {
        table: ResourceTable::new(),
        lines_left: MAX_LINES,
        connections: crate::sqlite::Slots::default(),
        limits: StoreLimitsBuilder::new()
            .memory_size(limits.memory())
            .table_elements(100_000)
            .instances(100)
            .tables(100)
            .memories(10)
            .trap_on_grow_failure(true)
            .build(),
        ticks_left: cpu.as_millis() / TICK.as_millis(),
        // No environment, no folder, no network.
        wasi: WasiCtxBuilder::new().stdout(output.clone()).stderr(output.clone()).build(),
        output,
        call,
    };
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.limits);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |mut store| {
        let state = store.data_mut();
        if state.call.context.stop.signal().is_some() {
            return Err(Stopped.into());
        }
        // Waiting for the host ends in one tick, however long it took.
        state.ticks_left = state.ticks_left.saturating_sub(1);
        if state.ticks_left == 0 {
            return Err(CpuLimit(cpu).into());
        }
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    });
    Ok(store)
}
