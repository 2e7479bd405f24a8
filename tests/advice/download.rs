//! Mirrors of litestream: wrong addresses, own builds, and folders in which nothing runs.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use crate::support::{Run, Sandbox, litestream};

/// Serves one archive under any name that ends like one. It ends with the test.
fn mirror(executable: &[u8]) -> String {
    let mut archive =
        tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(executable.len() as u64);
    header.set_mode(0o755);
    header.set_cksum();
    archive.append_data(&mut header, "litestream", executable).unwrap();
    let archive = archive.into_inner().unwrap().finish().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/litestream", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let first = lines.next().unwrap().unwrap();
            let _headers: Vec<_> =
                lines.map_while(Result::ok).take_while(|it| !it.is_empty()).collect();
            let (status, body) = match first.contains(".tar.gz ") {
                true => ("200 OK", archive.as_slice()),
                false => ("404 Not Found", &b""[..]),
            };
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _gone = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        }
    });
    url
}

/// `lsrun verify` which has to download, with these variables.
fn command(sandbox: &Sandbox, variables: &[(&str, &str)]) -> std::process::Command {
    let mut command = sandbox.command(&["verify"]);
    command.env_remove("LSRUN_LITESTREAM");
    // Without pip.
    command.env("PATH", sandbox.path("none")).env("LSRUN_CACHE_DIR", sandbox.path("cache"));
    command.envs(variables.iter().copied());
    command
}

fn verify(sandbox: &Sandbox, variables: &[(&str, &str)]) -> Run {
    command(sandbox, variables).output().unwrap().into()
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_mirror_is_used_when_its_address_is_right() {
    let url = mirror(&std::fs::read(litestream()).unwrap());
    let proxy = ("HTTPS_PROXY", "http://127.0.0.1:1");
    for (variables, code, hint) in [
        (&[proxy][..], 21, "LSRUN_DOWNLOAD_URL names a mirror of its release files"),
        (
            &[("LSRUN_DOWNLOAD_URL", "mirror.example/litestream")],
            2,
            "it names the folder that holds the release files, such as https://mirror.example/litestream",
        ),
        (
            &[("LSRUN_DOWNLOAD_URL", "http://127.0.0.1:1/litestream")],
            21,
            "LSRUN_DOWNLOAD_URL names the mirror; without it lsrun downloads from GitHub or through pip; litestream.bin_path in lsrun.yml or LSRUN_LITESTREAM name an executable",
        ),
    ] {
        let sandbox = Sandbox::new();
        verify(&sandbox, variables).expect(code).says(&[hint]);
        let named = ("LSRUN_LITESTREAM", litestream().to_str().unwrap());
        verify(&sandbox, &[variables, &[named]].concat()).expect(0);
        verify(&sandbox, &[variables, &[("LSRUN_DOWNLOAD_URL", &*url)]].concat()).expect(0);
    }
}

#[test]
fn a_build_of_a_mirrors_own_is_named_by_its_digest() {
    let mut own = std::fs::read(litestream()).unwrap();
    own.extend_from_slice(b"built here");
    let url = mirror(&own);
    let url = ("LSRUN_DOWNLOAD_URL", &*url);
    let sandbox = Sandbox::new();
    let run = verify(&sandbox, &[url]).expect(21);
    run.says(&["nothing was installed; if a mirror has a build of its own, LSRUN_LITESTREAM_SHA256 names the SHA-256 of its executable"]);
    let digest = sha256(&own);
    let run = verify(&sandbox, &[url, ("LSRUN_LITESTREAM_SHA256", &digest[..40])]).expect(2);
    run.says(&["it takes the 64 hexadecimal digits of the executable itself"]);
    verify(&sandbox, &[url, ("LSRUN_LITESTREAM_SHA256", &digest)]).expect(0);
}

#[cfg(target_os = "linux")]
#[test]
fn another_folder_is_taken_where_there_is_no_room_or_nothing_may_run() {
    let url = mirror(&std::fs::read(litestream()).unwrap());
    let url = ("LSRUN_DOWNLOAD_URL", &*url);
    let full = "make room, or set LSRUN_CACHE_DIR to another folder";
    let noexec = "nothing was installed; set LSRUN_CACHE_DIR to a folder where programs may run, or name an executable with litestream.bin_path or LSRUN_LITESTREAM";
    for (options, hint) in [("size=9m", full), ("noexec", noexec)] {
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.path("cache")).unwrap();
        if crate::support::wrap::can_mount(&sandbox) {
            let script = format!("mount -t tmpfs -o mode=700,{options} tmpfs cache && exec \"$@\"");
            let mut shell = std::process::Command::new("/usr/bin/env");
            shell.args([
                "PATH=/usr/bin:/bin:/usr/sbin:/sbin",
                "unshare",
                "-rm",
                "sh",
                "-c",
                &script,
                "sh",
            ]);
            let run = crate::support::wrap::run(shell, &command(&sandbox, &[url]));
            run.expect(21).says(&[hint]);
        }
        let other = sandbox.path("other");
        verify(&sandbox, &[url, ("LSRUN_CACHE_DIR", other.to_str().unwrap())]).expect(0);
        verify(&sandbox, &[("LSRUN_LITESTREAM", litestream().to_str().unwrap())]).expect(0);
    }
}
