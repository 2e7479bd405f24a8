//! The one wasmtime engine, and the clock that lets guests be stopped.

use std::sync::OnceLock;
use std::time::Duration;

use wasmtime::{Config, Engine};

use crate::code::Code;
use crate::error::{Error, Result};

/// Time between two epochs: how often a running guest is looked at.
pub(super) const TICK: Duration = Duration::from_millis(10);
/// The deepest stack of a guest, in bytes.
const STACK: usize = 1 << 20;

/// The engine of this process. Its settings are part of what compiled code is
/// bound to, so they are the same in every command.
pub(super) fn engine() -> Result<&'static Engine> {
    static ENGINE: OnceLock<std::result::Result<Engine, String>> = OnceLock::new();
    ENGINE
        .get_or_init(|| {
            let mut config = Config::new();
            config.epoch_interruption(true);
            config.max_wasm_stack(STACK);
            config.async_stack_size(STACK + (1 << 20));
            // A trap names the functions it went through; their addresses are noise.
            config.wasm_backtrace_max_frames(std::num::NonZeroUsize::new(8));
            Engine::new(&config).map_err(|error| format!("{error:#}"))
        })
        .as_ref()
        .map_err(|error| {
            Error::new(Code::Unexpected, "WebAssembly does not work on this machine").cause(error)
        })
}

/// Starts the clock, once. Called before the first guest runs.
pub(super) fn tick(engine: &'static Engine) -> Result<()> {
    static CLOCK: OnceLock<std::result::Result<(), String>> = OnceLock::new();
    CLOCK
        .get_or_init(|| {
            std::thread::Builder::new()
                .name("epochs".into())
                .spawn(move || {
                    loop {
                        std::thread::sleep(TICK);
                        engine.increment_epoch();
                    }
                })
                .map(|_detached| ())
                .map_err(|error| error.to_string())
        })
        .clone()
        .map_err(|error| Error::new(Code::Unexpected, "cannot start a thread").cause(error))
}
