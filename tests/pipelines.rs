//! The commands of `examples/ci`, run as a pipeline runs them.

use serde_yaml::Value;

use crate::support::{Run, Sandbox, repository, wrap};

fn example(name: &str) -> Value {
    let text = std::fs::read_to_string(repository().join("examples/ci").join(name)).unwrap();
    serde_yaml::from_str(&text).unwrap()
}

/// Seven databases that have a backup but do not exist.
fn fleet() -> Sandbox {
    let sandbox = Sandbox::empty();
    let entries = (1..=7).map(|number| {
        let file = format!("{number}.sqlite3");
        sandbox.sql(&file, "CREATE TABLE t (x)");
        format!("  - {{path: {file}, replica: {{type: file, path: r/{number}}}}}\n")
    });
    sandbox.write("lsrun.yml", &format!("litestream:\n  dbs:\n{}", entries.collect::<String>()));
    sandbox.lsrun(&["replicate", "-once"]).expect(0);
    for number in 1..=7 {
        std::fs::remove_file(sandbox.path(&format!("{number}.sqlite3"))).unwrap();
    }
    sandbox
}

/// Runs a shell command with lsrun on PATH, and gives how many databases it proved.
fn proved(sandbox: &Sandbox, script: &str, variables: &[(&str, String)]) -> usize {
    let lsrun = std::path::Path::new(env!("CARGO_BIN_EXE_lsrun"));
    let mut shell = std::process::Command::new("sh");
    wrap::in_place_of(&mut shell, &sandbox.command(&[]));
    let path = std::env::var("PATH").unwrap();
    shell.env("PATH", format!("{}:{path}", lsrun.parent().unwrap().display()));
    shell.args(["-c", script]).envs(variables.iter().cloned());
    let run = Run::from(shell.output().unwrap());
    assert!([0, 4].contains(&run.code), "{run:?}");
    run.stdout.lines().filter(|line| line.starts_with('✓')).count()
}

#[test]
fn the_pods_of_the_indexed_job_prove_everything_once() {
    let job = example("kubernetes.yml");
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    let script = container["command"][2].as_str().unwrap();
    let sandbox = fleet();
    let pods = job["spec"]["completions"].as_u64().unwrap();
    let index = |index: u64| [("JOB_COMPLETION_INDEX", index.to_string())];
    assert_eq!((0..pods).map(|pod| proved(&sandbox, script, &index(pod))).sum::<usize>(), 7);
}

#[test]
fn the_runners_of_the_workflow_prove_everything_once() {
    let workflow = example("github.yml");
    let job = &workflow["jobs"]["verify"];
    let steps = job["steps"].as_sequence().unwrap();
    let script = steps.iter().find_map(|step| step["run"].as_str()).unwrap();
    let sandbox = fleet();
    let shards = job["strategy"]["matrix"]["shard"].as_sequence().unwrap();
    let run = |shard: &Value| {
        let number = shard.as_u64().unwrap().to_string();
        proved(&sandbox, &script.replace("${{ matrix.shard }}", &number), &[])
    };
    assert_eq!(shards.iter().map(run).sum::<usize>(), 7);
    assert!(sandbox.path("results/verify.xml").exists());
}
