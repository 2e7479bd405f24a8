//! Object storage that refuses, and what makes it accept.

use crate::s3::{SECRET, project, with_keys};
use crate::support::s3::{BUCKET, KEY, S3, refusing};
use crate::support::{Run, Sandbox};

#[test]
fn the_right_keys_are_accepted() {
    let (sandbox, server) = (Sandbox::new(), S3::start(SECRET));
    sandbox.write("lsrun.yml", &project(&server.endpoint(), BUCKET, "addr: ''"));
    let hint = "the storage refuses the credentials: check the keys and the clock";
    with_keys(&sandbox, "LITESTREAM", "wrong", &["verify"]).expect(11).says(&[hint]);
    with_keys(&sandbox, "LITESTREAM", SECRET, &["verify"]).expect(0);
}

#[test]
fn where_there_are_none_the_variables_are_enough() {
    let (sandbox, server) = (Sandbox::new(), S3::start(SECRET));
    sandbox.write("lsrun.yml", &project(&server.endpoint(), BUCKET, "addr: ''"));
    let run = |keys: &[(&str, &str)]| -> Run {
        let mut command = sandbox.command(&["verify"]);
        // No metadata service, no file.
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", sandbox.path("tmp"));
        command.envs(keys.iter().copied()).output().unwrap().into()
    };
    let [key, secret] = ["LITESTREAM_ACCESS_KEY_ID", "LITESTREAM_SECRET_ACCESS_KEY"];
    run(&[]).expect(11).says(&[&format!("no credentials: set {key} and {secret}")]);
    run(&[(key, KEY), (secret, SECRET)]).expect(0);
}

#[test]
fn the_right_bucket_is_found() {
    let (sandbox, server) = (Sandbox::new(), S3::start(SECRET));
    sandbox.write("lsrun.yml", &project(&server.endpoint(), "backup", "addr: ''"));
    let hint = "the bucket does not exist: check its name";
    with_keys(&sandbox, "LITESTREAM", SECRET, &["verify"]).expect(11).says(&[hint]);
    sandbox.write("lsrun.yml", &project(&server.endpoint(), BUCKET, "addr: ''"));
    with_keys(&sandbox, "LITESTREAM", SECRET, &["verify"]).expect(0);
}

#[test]
fn the_right_address_answers() {
    let (sandbox, server) = (Sandbox::new(), S3::start(SECRET));
    sandbox.write("lsrun.yml", &project(&refusing(), BUCKET, "addr: ''"));
    let hint = "check its address and the network";
    for words in [&["verify"][..], &["config", "--check"]] {
        with_keys(&sandbox, "LITESTREAM", SECRET, words).expect(11).says(&[hint]);
    }
    sandbox.write("lsrun.yml", &project(&server.endpoint(), BUCKET, "addr: ''"));
    for words in [&["verify"][..], &["config", "--check"]] {
        with_keys(&sandbox, "LITESTREAM", SECRET, words).expect(0);
    }
}
