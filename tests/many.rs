//! Projects with many databases: what is loaded, and what is read by a person.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::support::Sandbox;

/// `count` entries whose databases do not exist.
fn project(count: usize) -> Sandbox {
    let sandbox = Sandbox::empty();
    let (mut databases, mut dbs) = (String::from("databases:\n"), String::new());
    for index in 0..count {
        writeln!(databases, "  tenant-{index}: data/t{index}.db").unwrap();
        writeln!(dbs, "  - {{path: tenant-{index}, replica: {{type: file, path: r/{index}}}}}")
            .unwrap();
    }
    sandbox.write("lsrun.yml", &format!("{databases}litestream:\n  dbs:\n{dbs}"));
    sandbox
}

/// A quadratic loader takes minutes for these in an unoptimised build.
#[test]
fn thousands_of_entries_are_loaded_and_checked() {
    let sandbox = project(5000);
    let start = Instant::now();
    let run = sandbox.lsrun(&["config"]).expect(0);
    assert_eq!(run.stdout.matches("data/t").count(), 5000);
    let run = sandbox.lsrun(&["config", "--check"]).expect(0);
    // Everything of one kind is reported once.
    let words = ["the files do not exist", "and 4995 more", "5000 replicas answer"];
    assert!(run.stdout.lines().count() < 10, "{}", run.stdout);
    run.says(&words);
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

#[test]
fn the_bad_ones_of_many_come_first_and_are_named_at_the_end() {
    let sandbox = project(60);
    // Without files each is inconclusive at once; three are no databases at all.
    std::fs::create_dir(sandbox.path("data")).unwrap();
    let run = sandbox.lsrun(&["verify", "--read-only"]);
    let states = run.stderr.lines().filter(|line| line.starts_with("tenant-")).count();
    assert_eq!(states, 60, "{}", run.stderr);
    assert!(run.stderr.contains("30 of 60 databases done"), "{}", run.stderr);
    let last = run.stdout.lines().rev().nth(1).unwrap();
    assert!(last.contains("tenant-0, tenant-1") && last.contains("and 40 more"), "{last}");
}
