//! What a verification costs by the size of the database, for the README's table.

use std::process::Command;

use crate::{Bench, large, many};

pub(crate) fn run(bench: &Bench) {
    println!("\n| database | replicate | restore | checks | all | lsrun's memory |");
    println!("|---|---|---|---|---|---|");
    for (name, rows) in
        [("1 MB", 2_000), ("10 MB", 20_000), ("100 MB", 200_000), ("1 GB", 2_000_000)]
    {
        let folder = bench.path("sizes");
        std::fs::create_dir(&folder).unwrap();
        large::fill(&folder.join("db.sqlite3"), rows);
        std::fs::write(folder.join("lsrun.yml"), crate::PROJECT).unwrap();
        let project = folder.to_str().unwrap();
        // The first replication copies everything; those that follow are the rule.
        bench.lsrun(&["-C", project, "verify", "--timeout", "10m"], &bench.cache);
        let (_, memory) = many::measured(bench, &["-C", project, "verify"]);
        let output = Command::new(env!("CARGO_BIN_EXE_lsrun"))
            .args(["-C", project, "--format", "json", "verify"])
            .env("LSRUN_CACHE_DIR", &bench.cache)
            .env("LSRUN_LITESTREAM", &bench.litestream)
            .env("LSRUN_STATE_DIR", bench.path("state"))
            .output()
            .unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let database = &report["databases"][0];
        let seconds = |value: &serde_json::Value| value.as_f64().unwrap_or_default() / 1000.0;
        let all = seconds(&database["duration_ms"]);
        let (lag, restore) = (
            seconds(&database["replication"]["lag_ms"]),
            seconds(&database["restore"]["duration_ms"]),
        );
        println!(
            "| {name} | {lag:.2} s | {restore:.2} s | {:.2} s | {all:.2} s | {memory:.0} MB |",
            all - lag - restore
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
