//! Projects with many databases.

use crate::support::Sandbox;

/// A project with this many databases, `t0` and up, each with its own file replica.
pub(crate) fn fleet(count: usize) -> Sandbox {
    let sandbox = Sandbox::empty();
    let mut databases = String::from("databases:\n");
    let mut dbs = String::from("litestream:\n  dbs:\n");
    for index in 0..count {
        sandbox.sql(&format!("t{index}.db"), "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
        databases.push_str(&format!("  t{index}: t{index}.db\n"));
        dbs.push_str(&format!(
            "  - {{path: t{index}, replica: {{type: file, path: r/t{index}}}}}\n"
        ));
    }
    sandbox.write("lsrun.yml", &format!("{databases}{dbs}"));
    sandbox
}

/// Makes the next restore of the sandbox fail: the replica's first file is cut.
pub(crate) fn damage(sandbox: &Sandbox, replica: &str) {
    let level = sandbox.path(replica).join("ltx/0");
    let first = std::fs::read_dir(&level).unwrap().flatten().map(|it| it.path()).min().unwrap();
    let whole = std::fs::read(&first).unwrap();
    std::fs::write(&first, &whole[..whole.len() / 2]).unwrap();
}
