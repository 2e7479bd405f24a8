//! What plugins cost that a command does not need.

use std::path::Path;

use crate::{Bench, compare, run};

/// How many plugins.
const COUNT: usize = 50;

pub(crate) fn of(bench: &Bench) {
    let hooks = project(bench, "hooks", "announce", 0);
    let checks = project(bench, "checks", "row-count", 0);
    let large = project(bench, "large", "row-count", 12_000_000);
    let none = bench.path("unused/none");
    std::fs::create_dir_all(&none).unwrap();
    prepare(&none);
    let lsrun = |folder: &Path, arguments: &[&str]| {
        let mut command = bench.command(arguments, &bench.cache);
        run(command.current_dir(folder));
    };
    compare(
        "50 plugins, and a command that needs none (at most 5 ms more)",
        vec![
            ("lsrun config, no plugins", Box::new(|| lsrun(&none, &["config"]))),
            ("50 hooks of 100 KB", Box::new(|| lsrun(&hooks, &["config"]))),
            ("50 checks of 12 MB", Box::new(|| lsrun(&large, &["config"]))),
        ],
    );
    let verify = ["verify", "--check", "integrity_check"];
    compare(
        "50 plugins that are not called (at most 5 ms more)",
        vec![
            ("lsrun verify --check integrity_check, none", Box::new(|| lsrun(&none, &verify))),
            ("50 hooks of 100 KB", Box::new(|| lsrun(&hooks, &verify))),
            ("50 checks of 100 KB", Box::new(|| lsrun(&checks, &verify))),
            ("50 checks of 12 MB", Box::new(|| lsrun(&large, &verify))),
        ],
    );
}

/// A project with copies of this plugin, each made a different one by a section of its own
/// with `bytes` more bytes.
fn project(bench: &Bench, name: &str, plugin: &str, bytes: usize) -> std::path::PathBuf {
    let folder = bench.path("unused").join(name);
    std::fs::create_dir_all(folder.join("plugins")).unwrap();
    prepare(&folder);
    let compat = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/compat/0.1.0");
    let component = std::fs::read(compat.join(format!("{plugin}.wasm"))).unwrap();
    for index in 0..COUNT {
        let mut content = b"\x03pad".to_vec();
        content.extend_from_slice(&index.to_le_bytes());
        content.resize(content.len() + bytes, 0);
        let mut different = component.clone();
        different.push(0);
        let mut left = content.len();
        while left > 0x7f {
            different.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
            left >>= 7;
        }
        different.push(u8::try_from(left).unwrap());
        different.extend_from_slice(&content);
        std::fs::write(folder.join(format!("plugins/p{index}.wasm")), different).unwrap();
    }
    folder
}

fn prepare(folder: &Path) {
    let connection = rusqlite::Connection::open(folder.join("db.sqlite3")).unwrap();
    connection.execute_batch(include_str!("../../examples/quickstart/shop.sql")).unwrap();
    std::fs::write(folder.join("lsrun.yml"), crate::PROJECT).unwrap();
}
