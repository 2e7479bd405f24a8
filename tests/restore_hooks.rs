//! Hooks around a restore: which are asked, which are informed, and what a refusal or a failure
//! means.

use crate::support::backups::{USERS, backed_up, kept};
use crate::support::{PROJECT, Run, Sandbox, check};

#[test]
fn a_pre_restore_hook_can_refuse() {
    let sandbox = backed_up();
    sandbox.plugin("protect");
    sandbox.write(
        "lsrun.yml",
        &format!(
            "{PROJECT}plugins: {{settings: {{protect: {{config: {{reason: ask first}}}}}}}}\n"
        ),
    );
    sandbox
        .lsrun(&["restore", "-force", "default"])
        .expect(33)
        .says(&["protect refused", "ask first"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
    sandbox.lsrun(&["restore", "-o", "copy.sqlite3", "default"]).expect(0);
}

#[test]
fn a_check_that_fails_keeps_the_copy_out() {
    let sandbox = backed_up();
    sandbox.plugin("row-count");
    let settings = "plugins: {settings: {row-count: {config: {table: users, min: 100}}}}\n";
    sandbox.write("lsrun.yml", &format!("{PROJECT}{settings}"));
    sandbox.lsrun(&["restore", "-force", "default"]).expect(10).says(&["users has 3 rows"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
    assert!(!sandbox.names("").iter().any(|name| name.contains("lsrun-")));
}

#[test]
fn a_post_restore_hook_can_refuse_the_copy() {
    let sandbox = backed_up();
    sandbox.plugin("fresh");
    let with = |sql: &str| {
        let settings = format!("fresh: {{config: {{sql: {sql}}}}}");
        sandbox.write("lsrun.yml", &format!("{PROJECT}plugins: {{settings: {{{settings}}}}}\n"));
    };
    with("SELECT count(*) > 3 FROM users");
    for arguments in
        [&["restore", "-force", "default"][..], &["restore", "-o", "copy.sqlite3", "default"]]
    {
        sandbox.lsrun(arguments).expect(33).says(&[
            "fresh refused",
            "too old",
            "nothing was touched",
        ]);
    }
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
    assert!(kept(&sandbox).is_empty() && !sandbox.path("copy.sqlite3").exists());
    assert!(!sandbox.names("").iter().any(|name| name.contains("lsrun-")));
    with("SELECT count(*) = 3 FROM users");
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 3);
    // One that asks nothing cannot agree.
    sandbox.write("lsrun.yml", PROJECT);
    sandbox.lsrun(&["restore", "-force", "default"]).expect(33).says(&["needs a query"]);
}

/// With the settings of one plugin, which is in the folder.
fn with(sandbox: &Sandbox, plugin: &str, setting: &str) {
    sandbox.plugin(plugin);
    sandbox.write(
        "lsrun.yml",
        &format!("{PROJECT}plugins: {{settings: {{{plugin}: {{{setting}}}}}}}\n"),
    );
}

#[test]
fn a_refusal_and_its_reason_are_in_the_report() {
    let sandbox = backed_up();
    with(&sandbox, "protect", "config: {reason: ask first}");
    let run = sandbox.lsrun(&["restore", "-force", "--format", "json", "default"]).expect(33);
    let json = run.json();
    let hook = check(&json, "protect/pre-restore");
    assert_eq!(hook["outcome"], "inconclusive");
    assert!(hook["message"].as_str().unwrap().contains("ask first"), "{hook}");
    assert_eq!(json["databases"][0]["error"]["code"], "refused");
    // The plan that it refused.
    assert_eq!(json["databases"][0]["facts"]["plan"]["replaces"], true);
}

#[test]
fn an_undo_asks_the_hooks_as_well() {
    let sandbox = backed_up();
    sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
    with(&sandbox, "protect", "config: {reason: ask first}");
    sandbox.lsrun(&["restore", "--undo", "default"]).expect(33).says(&["ask first"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 3);
    with(&sandbox, "protect", "optional: true, config: {reason: ask first}");
    sandbox.lsrun(&["restore", "--undo", "default"]).expect(0).says(&["optional", "ask first"]);
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 4);
}

#[test]
fn hooks_are_told_of_a_restore_when_it_is_done_and_not_before() {
    let sandbox = backed_up();
    with(&sandbox, "announce", "config: {text: 'tell the team:'}");
    sandbox.lsrun(&["restore", "-dry-run", "-force", "default"]).expect(0).says_not("tell");
    sandbox.lsrun(&["restore", "default"]).expect(11).says_not("tell");
    let run = sandbox.lsrun(&["restore", "-force", "default"]).expect(0);
    let run = run.says(&["tell the team:", "is at TXID 00000000", "announce/restored"]);
    let old = &kept(&sandbox)[0];
    assert!(run.stderr.contains(&format!("the old one is {}", sandbox.path(old).display())));
    sandbox.lsrun(&["restore", "--undo", "default"]).expect(0).says(&["tell the team:"]);
    let copy = sandbox.lsrun(&["restore", "-o", "copy.sqlite3", "default"]).expect(0);
    copy.says(&["copy.sqlite3 is at TXID"]).says_not("the old one");
}

#[test]
fn a_hook_that_cannot_be_told_undoes_nothing_and_fails_the_run_unless_it_is_optional() {
    let sandbox = backed_up();
    with(&sandbox, "announce", "");
    let json = |run: &Run| run.json()["databases"][0].clone();
    let run = sandbox.lsrun(&["restore", "-force", "--format", "json", "default"]).expect(11);
    assert_eq!(json(&run)["outcome"], "inconclusive");
    let message = json(&run)["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("was restored, and announce failed"), "{message}");
    assert_eq!(sandbox.integer("db.sqlite3", USERS), 3);
    with(&sandbox, "announce", "optional: true");
    let run = sandbox.lsrun(&["restore", "-force", "--format", "json", "default"]).expect(0);
    assert_eq!(json(&run)["outcome"], "restored");
    let run = run.json();
    assert_eq!(check(&run, "announce/restored")["outcome"], "inconclusive");
    assert_eq!(check(&run, "announce/restored")["optional"], true);
}
