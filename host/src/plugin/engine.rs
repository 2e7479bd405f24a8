//! The wasmtime engine of a run, and the clock that lets its guests be stopped.

use std::time::Duration;

use wasmtime::Config;
pub(crate) use wasmtime::Engine;

use crate::code::Code;
use crate::error::{Error, Result};

/// Time between two epochs: how often a running guest is checked.
pub(super) const TICK: Duration = Duration::from_millis(10);
/// The deepest stack of a guest, in bytes.
const STACK: usize = 1 << 20;

/// An engine whose clock runs for as long as it is in use. Its settings are part of
/// what compiled code is bound to, so they are the same in every command.
///
/// Fails (exit 1) where the machine cannot run WebAssembly, or start a thread.
pub(crate) fn start() -> Result<Engine> {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.max_wasm_stack(STACK);
    config.async_stack_size(STACK + (1 << 20));
    // A trap names the functions it went through; their addresses are noise.
    config.wasm_backtrace_max_frames(std::num::NonZeroUsize::new(8));
    let engine = Engine::new(&config).map_err(|error| {
        Error::new(Code::Unexpected, "WebAssembly does not work on this machine")
            .cause(format!("{error:#}"))
    })?;
    let clock = engine.weak();
    std::thread::Builder::new()
        .name("epochs".into())
        .spawn(move || {
            loop {
                std::thread::sleep(TICK);
                match clock.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => break,
                }
            }
        })
        .map_err(|error| Error::new(Code::Unexpected, "cannot start a thread").cause(error))?;
    Ok(engine)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_clock_keeps_no_engine() {
        let engine = start().unwrap();
        let weak = engine.weak();
        drop(engine);
        let deadline = Instant::now() + Duration::from_secs(10);
        // The clock holds it for as long as a tick takes.
        while weak.upgrade().is_some() {
            assert!(Instant::now() < deadline, "somebody has it still");
            std::thread::sleep(TICK);
        }
    }
}
