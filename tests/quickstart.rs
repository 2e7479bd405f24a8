//! The README's first line, as a new user types it.

use crate::support::{Sandbox, repository};

#[test]
fn the_quickstart_verifies_again_and_again_and_leaves_the_sources_alone() {
    let sandbox = Sandbox::empty();
    let sources = repository().join("examples/quickstart");
    let before = names(&sources);
    for _ in 0..2 {
        let run = sandbox
            .command(&["-C", sources.to_str().unwrap(), "verify", "default"])
            .env("LSRUN_QUICKSTART", sandbox.path("quickstart"))
            .output()
            .unwrap();
        crate::support::Run::from(run).expect(0).says(&[
            "default verified",
            "integrity_check",
            "every order has a customer",
        ]);
    }
    assert_eq!(names(&sources), before);
    sandbox.assert_clean();
}

fn names(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names
}
