//! Scripts in place of litestream.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Run, Sandbox, check, litestream, wait_until};

/// A script in place of litestream that calls the real one as `$real`, and knows
/// `$output`, where a restore is to go.
pub(crate) fn stand_in(sandbox: &Sandbox, on_restore: &str) -> PathBuf {
    sandbox.write(
        "stand-in",
        &format!(
            "#!/bin/sh
real='{}'
if [ \"$1\" != restore ]; then exec \"$real\" \"$@\"; fi
for word in \"$@\"; do [ \"$last\" = -o ] && output=$word; last=$word; done
{on_restore}
",
            litestream().display()
        ),
    );
    let path = sandbox.path("stand-in");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    path
}

/// Runs a command with another litestream, which restores all.
pub(crate) fn with_litestream(mut command: Command, litestream: &Path) -> Run {
    command.env("LSRUN_LITESTREAM", litestream).env("LSRUN_ENGINE", "litestream");
    command.output().unwrap().into()
}

/// Verifies a backup whose restored copy is changed by `sql`; the sentinel in it
/// stays. `meanwhile` is done to the live database.
pub(crate) fn altered(
    sandbox: &Sandbox,
    sql: &str,
    meanwhile: Option<&str>,
    code: i32,
) -> serde_json::Value {
    // The first time Litestream makes its own tables, which cannot be distinguished from a write
    // of the application.
    sandbox.lsrun(&["verify"]).expect(0);
    let script = stand_in(
        sandbox,
        "\"$real\" \"$@\" || exit
echo \"$output\" >restored.new && mv restored.new restored
while [ ! -e altered ]; do sleep 0.02; done",
    );
    let mut command = sandbox.command(&["verify", "--format", "json"]);
    command
        .env("LSRUN_LITESTREAM", &script)
        .env("LSRUN_ENGINE", "litestream")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    wait_until("the copy is there", || sandbox.path("restored").exists());
    let copy = std::fs::read_to_string(sandbox.path("restored")).unwrap();
    let copy = rusqlite::Connection::open(copy.trim_end()).unwrap();
    copy.execute_batch(sql).unwrap();
    // The copy is one file without a log.
    copy.close().unwrap();
    if let Some(sql) = meanwhile {
        sandbox.sql("db.sqlite3", sql);
    }
    sandbox.write("altered", "");
    let run = Run::from(child.wait_with_output().unwrap()).expect(code);
    sandbox.assert_clean();
    let json = run.json();
    assert_eq!(check(&json, "sentinel")["outcome"], "passed");
    assert_eq!(check(&json, "integrity_check")["outcome"], "passed");
    json
}

pub(crate) const RESTORE: [&str; 4] = ["restore", "-o", "copy.sqlite3", "default"];

/// Takes a file away, fails over it, and brings it back as another one.
pub(crate) fn vanishing(sandbox: &Sandbox, condition: &str) -> String {
    let level = sandbox.path("replica/ltx/0");
    let file = level.join(&sandbox.names("replica/ltx/0")[2]).display().to_string();
    format!(
        "if {condition}; then mv {file} {file}.away; \"$real\" \"$@\"; code=$?; mv {file}.away {file}; touch {file}; exit $code; fi"
    )
}

/// Runs lsrun with a litestream that does `script` before it restores.
pub(crate) fn with_script(sandbox: &Sandbox, script: &str, arguments: &[&str]) -> Run {
    let plan = "case \" $* \" in *\" -dry-run \"*) exec \"$real\" \"$@\";; esac";
    let count = format!("echo x >> {}", sandbox.path("attempts").display());
    let script = stand_in(sandbox, &format!("{plan}\n{count}\n{script}\nexec \"$real\" \"$@\""));
    with_litestream(sandbox.command(arguments), &script)
}
