//! Restores while the files of the backup change: retention and compaction remove what
//! was planned a moment ago.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::Sandbox;
use crate::support::backups::{INTACT, USERS, six_transactions};
use crate::support::stand_in::{RESTORE, vanishing, with_script};

/// How often the script was called for what is not a plan.
fn attempts(sandbox: &Sandbox) -> usize {
    std::fs::read_to_string(sandbox.path("attempts")).unwrap_or_default().lines().count()
}

#[test]
fn what_fails_because_a_file_vanished_is_tried_until_it_succeeds() {
    let sandbox = six_transactions();
    let attempts_file = sandbox.path("attempts").display().to_string();
    let script = vanishing(&sandbox, &format!("[ $(wc -l < {attempts_file}) -le 4 ]"));
    with_script(&sandbox, &script, &RESTORE).expect(0);
    assert_eq!(attempts(&sandbox), 5);
    assert_eq!(sandbox.integer("copy.sqlite3", INTACT), 1);
}

#[test]
fn what_fails_with_the_same_files_fails_at_once() {
    let sandbox = six_transactions();
    let file = &sandbox.names("replica/ltx/0")[2];
    std::fs::remove_file(sandbox.path("replica/ltx/0").join(file)).unwrap();
    // The plan finds it before anything is restored.
    with_script(&sandbox, "", &RESTORE).expect(22).says(&["not restored"]);
    assert_eq!(attempts(&sandbox), 0);
    let sandbox = six_transactions();
    with_script(&sandbox, "echo 'Error: decode: broken' >&2; exit 1", &RESTORE).expect(22);
    assert_eq!(attempts(&sandbox), 2);
}

#[test]
fn files_that_come_are_no_reason_to_try_for_ever() {
    let sandbox = six_transactions();
    let level = sandbox.path("replica/ltx/0").display().to_string();
    let script = format!(
        "n=$(printf %016x $(($(wc -l < {}) + 4096))); echo more > {level}/$n-$n.ltx; echo 'Error: decode: broken' >&2; exit 1",
        sandbox.path("attempts").display()
    );
    with_script(&sandbox, &script, &RESTORE).expect(22);
    assert_eq!(attempts(&sandbox), 2);
}

#[test]
fn files_that_vanish_every_time_are_inconclusive_and_nothing_is_blamed() {
    let sandbox = six_transactions();
    sandbox.write("lsrun.yml", &format!("{}verify: {{timeout: 2s}}\n", crate::support::PROJECT));
    let script = vanishing(&sandbox, "true");
    with_script(&sandbox, &script, &RESTORE).expect(11).says(&[
        "removed while they were read",
        "attempts",
        "retention",
    ]);
    assert!(attempts(&sandbox) > 2);
    assert!(!sandbox.path("copy.sqlite3").exists());
    let run = with_script(&sandbox, &script, &["verify", "default"]).expect(11);
    run.says(&["removed while they were read"]);
}

/// A file of the replica comes and goes, as next to a daemon that compacts.
#[test]
fn beside_a_thread_that_takes_files_away_restores_succeed() {
    let sandbox = six_transactions();
    let level = sandbox.path("replica/ltx/0");
    let names = sandbox.names("replica/ltx/0");
    let stop = AtomicBool::new(false);
    let mut codes = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0;
            while !stop.load(Ordering::SeqCst) {
                let file = level.join(&names[1 + round % 4]);
                let away = sandbox.path("away.ltx");
                std::fs::rename(&file, &away).unwrap();
                std::thread::sleep(Duration::from_millis(60));
                std::fs::rename(&away, &file).unwrap();
                std::thread::sleep(Duration::from_millis(700));
                round += 1;
            }
        });
        for round in 0..10 {
            let copy = format!("copy{round}.sqlite3");
            let run = sandbox.lsrun(&["restore", "-o", &copy, "default"]);
            codes.push(run.code);
            // Whatever happens, a backup that is whole is not called damaged.
            if ![0, 11].contains(&run.code) {
                stop.store(true, Ordering::SeqCst);
                panic!("{run:?}");
            }
        }
        stop.store(true, Ordering::SeqCst);
    });
    assert!(codes.iter().filter(|code| **code == 0).count() >= 8, "{codes:?}");
    assert_eq!(sandbox.integer("copy0.sqlite3", USERS), 9);
}
