//! What one call of a guest may use: the least of what its manifest asks for, what
//! the project file allows and the maximum of lsrun. Every maximum is here.

use std::time::Duration;

use wasmtime::ResourceLimiter;

use super::manifest;
use crate::project::PluginLimits;

/// What a guest gets whose manifest asks for nothing. JavaScript engines need tens
/// of MiB.
const DEFAULT: Limits = Limits {
    memory: 256 << 20,
    cpu: Duration::from_secs(10),
    wall: Duration::from_secs(10 * 60),
    output: 64 << 10,
    rows: MAXIMUM.rows,
};

/// What no manifest and no project file can raise.
pub(super) const MAXIMUM: Limits = Limits {
    memory: 1 << 30,
    cpu: Duration::from_secs(10 * 60),
    wall: Duration::from_secs(3600),
    output: 1 << 20,
    rows: 10_000_000,
};

/// A command is waited for by whoever called it: it may take as long as a large
/// restore does.
const COMMAND_WALL: Duration = Duration::from_secs(24 * 3600);

/// Handles that a guest may hold at once: what they refer to is the host's memory.
/// `databases.all` gives one for each database of the project.
pub(super) const HANDLES: usize = 50_000;
/// Litestream processes and jobs of one call that run at once.
pub(super) const JOBS: usize = 8;
/// Lines that one call may report: log lines, states, checks.
pub(super) const LINES: usize = 10_000;
/// Checks that one plugin may report of one database.
pub(super) const CHECKS: usize = 1000;
/// Facts that one plugin may record of one database, and their bytes in all.
pub(super) const FACTS: usize = 1000;
pub(super) const FACT_BYTES: usize = 1 << 20;
/// Figures for monitoring that one plugin may give of one database.
pub(super) const METRICS: usize = 100;
/// Earlier results that are given at once.
pub(super) const RESULTS: u32 = 1000;
/// Bytes of a task's input, and of the variables that a plugin gives it.
pub(super) const INPUT: usize = 1 << 20;
pub(super) const VARIABLES: usize = 64 << 10;
/// Bytes of data that one command may write to standard output.
pub(super) const DATA: usize = 64 << 20;
/// Requests of one call, and how many of them run at once.
pub(super) const HTTP_REQUESTS: usize = 100;
pub(super) const HTTP_AT_ONCE: usize = 8;
/// Bytes of a request's content, and of the headers of a request or an answer.
pub(super) const HTTP_REQUEST: usize = 1 << 20;
pub(super) const HTTP_HEADERS: usize = 64 << 10;
/// Bytes of the content of an answer, and of all answers of one call.
pub(super) const HTTP_ANSWER: usize = 8 << 20;
pub(super) const HTTP_ANSWERS: usize = 64 << 20;
/// Bytes of all requests that one call holds, sent or not.
pub(super) const HTTP_HELD: usize = 16 << 20;
/// Handles of a guest that uses `wasi:http`, each of which may hold the most that headers
/// take; and of one that has a folder, each of which may be an open file.
pub(super) const HTTP_HANDLES: usize = 2000;
pub(super) const FILE_HANDLES: usize = 500;
/// Denials of one plugin that a line is written for.
pub(super) const DENIALS: usize = 20;
/// How long a request that says nothing else may take, and how long any may.
pub(super) const HTTP_PATIENCE: Duration = Duration::from_secs(30);
pub(super) const HTTP_TIMEOUT: Duration = Duration::from_secs(300);

/// The limits of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Bytes of all memories together.
    pub(super) memory: usize,
    /// Time computing in the guest itself.
    pub(super) cpu: Duration,
    /// Time from the start of the call to its end, also while it waits or sleeps.
    pub(super) wall: Duration,
    /// Bytes of log lines, and of each of the guest's own two streams, that are shown.
    pub(super) output: usize,
    /// Rows of one query.
    pub(super) rows: u64,
}

impl Limits {
    /// The least of the three.
    pub(super) fn effective(
        manifest: &manifest::LimitsManifest,
        project: Option<&PluginLimits>,
        is_command: bool,
    ) -> Self {
        let size = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        let none = PluginLimits::default();
        let project = project.unwrap_or(&none);
        let (wall, most_wall) = match is_command {
            true => (COMMAND_WALL, COMMAND_WALL),
            false => (DEFAULT.wall, MAXIMUM.wall),
        };
        Self {
            memory: least(
                manifest.memory.map_or(DEFAULT.memory, size),
                project.memory.map(size),
                MAXIMUM.memory,
            ),
            cpu: least(
                manifest.cpu_ms.map_or(DEFAULT.cpu, Duration::from_millis),
                project.cpu,
                MAXIMUM.cpu,
            ),
            wall: least(
                manifest.timeout_ms.map_or(wall, Duration::from_millis),
                project.timeout,
                most_wall,
            ),
            output: least(
                manifest.output.map_or(DEFAULT.output, size),
                project.output.map(size),
                MAXIMUM.output,
            ),
            rows: least(manifest.rows.unwrap_or(DEFAULT.rows), project.rows, MAXIMUM.rows),
        }
    }
}

fn least<T: Ord>(asked: T, allowed: Option<T>, maximum: T) -> T {
    let asked = asked.min(maximum);
    match allowed {
        Some(allowed) => asked.min(allowed),
        None => asked,
    }
}

/// A limit that a guest ran into, as the reason of its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Exceeded {
    #[error("wanted more memory than {}", crate::figures::bytes(*.0 as u64))]
    Memory(usize),
    #[error("computed for longer than {}", crate::figures::duration(*.0))]
    Cpu(Duration),
    #[error("ran for longer than {}", crate::figures::duration(*.0))]
    Wall(Duration),
    #[error("read more than {0} rows of one query")]
    Rows(u64),
    #[error("reported more than {0} checks of one database")]
    Checks(usize),
    #[error("recorded more facts than it may ({FACTS}, {} in all)", crate::figures::bytes(FACT_BYTES as u64))]
    Facts,
    #[error("gave more than {METRICS} figures for monitoring")]
    Metrics,
    #[error("wrote more than {} of data", crate::figures::bytes(*.0 as u64))]
    Data(usize),
    #[error("reported more than {0} lines")]
    Lines(usize),
    #[error("held more than {0} handles")]
    Handles(usize),
    #[error("wanted more tables, memories or instances than a component has")]
    Instances,
}

impl Exceeded {
    /// The key of `limits` that decides it, if one does.
    pub(super) fn key(&self) -> Option<LimitNames> {
        Some(match self {
            Self::Memory(_) => LimitNames { manifest: "memory", project: "memory" },
            Self::Cpu(_) => LimitNames { manifest: "cpu-ms", project: "cpu" },
            Self::Wall(_) => LimitNames { manifest: "timeout-ms", project: "timeout" },
            Self::Rows(_) => LimitNames { manifest: "rows", project: "rows" },
            _ => return None,
        })
    }

    /// Whether it is the maximum of lsrun.
    pub(super) fn is_the_maximum(&self) -> bool {
        match self {
            Self::Memory(limit) => *limit >= MAXIMUM.memory,
            Self::Cpu(limit) => *limit >= MAXIMUM.cpu,
            Self::Wall(limit) => *limit >= MAXIMUM.wall,
            Self::Rows(limit) => *limit >= MAXIMUM.rows,
            _ => true,
        }
    }
}

/// The names of one limit.
pub(super) struct LimitNames {
    /// In a manifest.
    pub(super) manifest: &'static str,
    /// In the project file.
    pub(super) project: &'static str,
}

/// Counts what all memories and tables of a guest take together.
#[derive(Debug)]
pub(super) struct Meter {
    memory_left: usize,
    memory: usize,
    elements_left: usize,
}

impl Meter {
    pub(super) fn new(memory: usize) -> Self {
        Self { memory_left: memory, memory, elements_left: 100_000 }
    }

    /// Bytes of all memories together: they grow and never shrink.
    pub(super) fn memory(&self) -> usize {
        self.memory - self.memory_left
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let left = self.memory_left.checked_sub(more);
        self.memory_left = left.ok_or(Exceeded::Memory(self.memory))?;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let left = self.elements_left.checked_sub(desired.saturating_sub(current));
        self.elements_left = left.ok_or(Exceeded::Instances)?;
        Ok(true)
    }

    fn instances(&self) -> usize {
        100
    }

    fn tables(&self) -> usize {
        100
    }

    fn memories(&self) -> usize {
        100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_manifest_project_and_maximum_counts() {
        let of = |cpu_ms: Option<u64>, cpu: Option<u64>| {
            let manifest =
                manifest::LimitsManifest { cpu_ms, ..manifest::LimitsManifest::default() };
            let project =
                PluginLimits { cpu: cpu.map(Duration::from_millis), ..PluginLimits::default() };
            Limits::effective(&manifest, Some(&project), false).cpu
        };
        assert_eq!(of(None, None), DEFAULT.cpu);
        assert_eq!(of(Some(1 << 63), None), MAXIMUM.cpu);
        assert_eq!(of(Some(20_000), None), Duration::from_secs(20));
        assert_eq!(of(Some(20_000), Some(300)), Duration::from_millis(300));
        assert_eq!(of(None, Some(300_000)), DEFAULT.cpu, "the project allows, it does not ask");
    }

    #[test]
    fn every_limit_of_the_project_file_has_an_effect() {
        let project = PluginLimits {
            memory: Some(1),
            timeout: Some(Duration::from_millis(2)),
            cpu: Some(Duration::from_millis(3)),
            output: Some(4),
            rows: Some(5),
        };
        let limits = Limits::effective(&manifest::LimitsManifest::default(), Some(&project), true);
        let expected = Limits {
            memory: 1,
            wall: Duration::from_millis(2),
            cpu: Duration::from_millis(3),
            output: 4,
            rows: 5,
        };
        assert_eq!(limits, expected);
    }

    #[test]
    fn memories_are_counted_together() {
        let mut meter = Meter::new(100);
        assert!(meter.memory_growing(0, 60, None).is_ok());
        assert!(meter.memory_growing(60, 70, None).is_ok());
        assert_eq!(meter.memory(), 70);
        assert!(meter.memory_growing(0, 31, None).is_err());
    }
}
