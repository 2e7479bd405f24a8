//! Prometheus' own checker of metrics and rules.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// `promtool`: the one on PATH, else that of Debian's package `prometheus`, unpacked
/// and not installed.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let installed = Command::new("promtool").arg("--version").output();
        if installed.is_ok_and(|run| run.status.success()) {
            return "promtool".into();
        }
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("promtool");
        let binary = cache.join("usr/bin/promtool");
        if !binary.exists() {
            // Other tests may do the same at the same time.
            let own = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            // A new machine has no lists of packages yet, and another test may be making them.
            let script = "{ apt-get download prometheus || {
                for _ in 1 2 3 4 5 6 7 8 9 10; do apt-get update && break; sleep 3; done
                apt-get download prometheus; }; } >&2 && dpkg -x prometheus_*.deb whole";
            let run = Command::new("sh").args(["-c", script]).current_dir(own.path()).output();
            let said = match &run {
                Ok(run) => String::from_utf8_lossy(&run.stderr).into_owned(),
                Err(error) => error.to_string(),
            };
            let _there = std::fs::rename(own.path().join("whole"), &cache);
            assert!(
                binary.exists(),
                "promtool is missing: apt-get install prometheus (or its package: {said})"
            );
        }
        binary
    })
}

/// Runs it to its end with this on its standard input.
pub(crate) fn promtool(arguments: &[&str], folder: &Path, input: &str) -> Output {
    use std::io::Write;
    let mut child = Command::new(binary())
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}
