//! `lsrun plugin add`: a plugin from a file or a URL, and nothing written if it does not run.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::support::server::Server;
use crate::support::{Sandbox, repository};

fn compat(name: &str) -> Vec<u8> {
    std::fs::read(repository().join(format!("tests/compat/0.1.0/{name}.wasm"))).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mode(sandbox: &Sandbox, name: &str) -> u32 {
    std::fs::metadata(sandbox.path(name)).unwrap().permissions().mode() & 0o777
}

/// Serves these bytes for every path but `/gone`, for as long as the test runs.
fn serve(bytes: Vec<u8>) -> String {
    let server = Server::of_paths(move |path| match path.starts_with("/gone") {
        true => ("404 Not Found", "text/plain", bytes.clone()),
        false => ("200 OK", "application/wasm", bytes.clone()),
    });
    format!("http://127.0.0.1:{}", server.port)
}

#[test]
fn a_file_is_added_shown_and_locked() {
    let sandbox = Sandbox::new();
    let drill = compat("drill");
    std::fs::write(sandbox.path("drill.wasm"), &drill).unwrap();
    let run = sandbox.lsrun(&["plugin", "add", "drill.wasm"]).expect(0);
    let run =
        run.says(&["command", "use litestream", "litestream:restore (not granted)", "to grant"]);
    assert!(run.stdout.contains(&sha256(&drill)), "{}", run.stdout);
    assert_eq!((mode(&sandbox, "plugins"), mode(&sandbox, "plugins/drill.wasm")), (0o755, 0o644));
    let lock = std::fs::read_to_string(sandbox.path("lsrun.lock")).unwrap();
    assert!(lock.contains(&sha256(&drill)) && lock.contains("source: \"drill.wasm\""), "{lock}");
    sandbox
        .lsrun(&["plugin", "inspect", "drill", "--locked"])
        .expect(0)
        .says(&["drill.wasm", "locked"]);
    // Never over another one, unless that is asked for.
    let hint = "--force replaces it, and --name gives this one another name";
    std::fs::write(sandbox.path("drill.wasm"), compat("row-count")).unwrap();
    sandbox.lsrun(&["plugin", "add", "drill.wasm"]).expect(2).says(&["drill.wasm exists", hint]);
    assert_eq!(std::fs::read(sandbox.path("plugins/drill.wasm")).unwrap(), drill);
    sandbox.lsrun(&["plugin", "add", "drill.wasm", "--name", "row-count"]).expect(0);
    sandbox.lsrun(&["plugin", "add", "drill.wasm", "--force"]).expect(0);
    assert_eq!(std::fs::read(sandbox.path("plugins/drill.wasm")).unwrap(), compat("row-count"));
    sandbox.lsrun(&["verify", "--locked"]).expect(11).says(&["? row-count"]);
    // In another folder there is one of its name already.
    let folders = "plugins: {path: [more, plugins]}\n";
    sandbox.write("lsrun.yml", &format!("{}{folders}", crate::support::PROJECT));
    let hint = "remove it, or give this one another name with --name";
    sandbox.lsrun(&["plugin", "add", "drill.wasm", "--force"]).expect(2).says(&[hint]);
    sandbox.lsrun(&["plugin", "add", "drill.wasm", "--name", "other"]).expect(0);
    assert!(sandbox.path("more/other.wasm").exists());
}

#[test]
fn a_manifest_beside_it_comes_along() {
    let sandbox = Sandbox::new();
    let built = repository().join("tests/guests/puppet.wasm");
    std::fs::copy(built, sandbox.path("look.wasm")).unwrap();
    sandbox.write("look.yml", "version: 1.2.3\n");
    sandbox.lsrun(&["plugin", "add", "look.wasm"]).expect(0).says(&["1.2.3"]);
    assert_eq!(mode(&sandbox, "plugins/look.yml"), 0o644);
}

#[test]
fn what_is_not_fit_leaves_nothing() {
    let sandbox = Sandbox::new();
    let digest = sha256(&compat("row-count"));
    std::fs::write(sandbox.path("row-count.wasm"), compat("row-count")).unwrap();
    std::fs::write(sandbox.path("Row Count.wasm"), compat("row-count")).unwrap();
    std::fs::write(sandbox.path("core.wasm"), b"\0asm\x01\0\0\0").unwrap();
    std::fs::write(sandbox.path("empty.wasm"), b"\0asm\x0d\0\x01\0").unwrap();
    std::fs::write(sandbox.path("half.wasm"), &compat("row-count")[..50_000]).unwrap();
    let fifo = sandbox.path("fifo.wasm");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let server = serve(compat("row-count"));
    let (plain, gone) = (format!("{server}/row-count.wasm"), format!("{server}/gone.wasm"));
    let other = format!("sha256:{}", "0".repeat(64));
    let of_verify = "takes the name of a command";
    let cases: &[(&[&str], i32, &[&str])] = &[
        (&["core.wasm"], 30, &["is a core module", "wasm32-wasip2"]),
        (&["empty.wasm"], 30, &["exports nothing that lsrun runs"]),
        (&["half.wasm"], 30, &["is not WebAssembly"]),
        (&["missing.wasm"], 2, &["cannot read", "missing.wasm"]),
        (&["fifo.wasm"], 2, &["it is not a regular file"]),
        (&["Row Count.wasm"], 30, &["give it a name with --name, such as --name row-count"]),
        (&["row-count.wasm", "--name", "verify"], 30, &[of_verify]),
        (&["row-count.wasm", "--name", "../x"], 30, &["cannot have the name"]),
        (
            &["row-count.wasm", "--digest", "abc"],
            2,
            &["write it as sha256: and 64 hexadecimal digits"],
        ),
        (
            &["row-count.wasm", "--digest", &other],
            30,
            &["is not the expected plugin", &other, &digest, "nothing was written"],
        ),
        (&["ftp://server.example/x.wasm"], 2, &["give a file, an https URL, or oci:// and"]),
        (&["oci://registry.example/UPPER CASE"], 2, &["write it like oci://ghcr.io/me/"]),
        (&[&plain], 2, &["plain http", "use https, or say with --digest sha256:"]),
        (&[&gone, "--digest", &digest], 30, &["cannot download", "404"]),
        (&[&plain, "--digest", &other], 30, &["is not the expected plugin", &digest]),
    ];
    for (arguments, code, says) in cases {
        sandbox.lsrun(&[&["plugin", "add"], *arguments].concat()).expect(*code).says(says);
        assert!(!sandbox.path("plugins").exists(), "{arguments:?}");
        assert!(!sandbox.path("lsrun.lock").exists(), "{arguments:?}");
    }
    let project = crate::support::PROJECT;
    sandbox.write("lsrun.yml", &format!("{project}plugins: {{path: []}}\n"));
    let hint = "add one to plugins.path in lsrun.yml";
    sandbox.lsrun(&["plugin", "add", "row-count.wasm"]).expect(2).says(&[hint]);
    sandbox.write("lsrun.yml", &format!("{project}plugins: {{path: [mine]}}\n"));
    sandbox.lsrun(&["plugin", "add", "row-count.wasm"]).expect(0);
    assert!(sandbox.path("mine/row-count.wasm").exists());
}

#[test]
fn a_url_is_fetched_and_kept_without_its_secrets() {
    let sandbox = Sandbox::new();
    let digest = format!("sha256:{}", sha256(&compat("row-count")));
    let url = format!("{}/row-count.wasm?token=canary", serve(compat("row-count")));
    let run = sandbox.lsrun(&["plugin", "add", &url, "--digest", &digest]).expect(0);
    let lock = std::fs::read_to_string(sandbox.path("lsrun.lock")).unwrap();
    assert!(lock.contains("/row-count.wasm\""), "{lock}");
    for text in [&run.stdout, &run.stderr, &lock] {
        assert!(!text.contains("canary"), "{text}");
    }
    // It runs, and misses its settings.
    sandbox.lsrun(&["verify", "--locked"]).expect(11).says(&["? row-count"]);
}

#[test]
fn what_is_added_does_not_accept_what_others_have_become() {
    let sandbox = Sandbox::new();
    for name in ["row-count", "fresh"] {
        std::fs::write(sandbox.path(&format!("{name}.wasm")), compat(name)).unwrap();
    }
    // Without a lock, those that are there are locked as well.
    sandbox.plugin("protect");
    sandbox.lsrun(&["plugin", "add", "row-count.wasm"]).expect(0);
    sandbox.lsrun(&["config", "--check", "--locked"]).expect(0);
    std::fs::write(sandbox.path("plugins/protect.wasm"), compat("announce")).unwrap();
    sandbox.lsrun(&["plugin", "add", "fresh.wasm"]).expect(0);
    let run = sandbox.lsrun(&["config", "--check", "--locked"]).expect(20);
    run.says(&["protect is not the one in lsrun.lock"]).says_not("fresh");
}

/// A registry that has this artifact under every tag, each layer with its media type; what
/// it gives for a layer can be something else.
fn registry(layers: &[(&str, &[u8])], given: Option<&[u8]>) -> String {
    let descriptor = |media_type: &str, bytes: &[u8]| json!({"mediaType": media_type, "digest": format!("sha256:{}", sha256(bytes)), "size": bytes.len()});
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.wasm.config.v0+json", b"{}"),
        "layers": layers.iter().map(|(kind, bytes)| descriptor(kind, bytes)).collect::<Vec<_>>(),
    });
    let manifest = manifest.to_string().into_bytes();
    let mut blobs: Vec<(String, Vec<u8>)> =
        layers.iter().map(|(_, bytes)| (sha256(bytes), given.unwrap_or(bytes).to_vec())).collect();
    blobs.push((sha256(b"{}"), b"{}".to_vec()));
    let server = Server::of_paths(move |path| {
        let blob = blobs.iter().find(|(digest, _)| path.ends_with(digest.as_str()));
        match blob {
            _ if path.contains("/manifests/gone") => ("404 Not Found", "text/plain", Vec::new()),
            _ if path.contains("/manifests/") => {
                ("200 OK", "application/vnd.oci.image.manifest.v1+json", manifest.clone())
            }
            Some((_, bytes)) => ("200 OK", "application/octet-stream", bytes.clone()),
            None => ("200 OK", "application/json", b"{}".to_vec()),
        }
    });
    format!("oci://127.0.0.1:{}", server.port)
}

#[test]
fn an_artifact_of_a_registry_is_added() {
    let (sandbox, good) = (Sandbox::new(), compat("row-count"));
    let digest = format!("sha256:{}", sha256(&good));
    let add = |registry: &str, what: &str, more: &[&str]| {
        let source = format!("{registry}/{what}");
        sandbox.lsrun(&[&["plugin", "add", source.as_str()], more].concat())
    };
    let wasm = "application/wasm";
    let one = registry(&[(wasm, &good)], None);
    // A registry on this machine is reached over http.
    let hint = "say with --digest sha256:… which plugin is expected";
    add(&one, "me/row-count:1.0", &[]).expect(2).says(&["plain http", hint]);
    let known = ["--digest", digest.as_str()];
    for (registry, what, says) in [
        (&one, "me/row-count:gone", "cannot download oci://127.0.0.1"),
        (&registry(&[("application/vnd.oci.image.layer.v1.tar", &good)], None), "x:1", "no layer"),
        (&registry(&[(wasm, &good), (wasm, b"other")], None), "x:1", "more than one component"),
        (&registry(&[(wasm, &good)], Some(b"something else")), "x:1", "cannot download"),
    ] {
        add(registry, what, &known).expect(30).says(&[says]);
        assert!(!sandbox.path("plugins").exists(), "{says}");
    }
    let other = format!("sha256:{}", sha256(b"another"));
    add(&one, "x:1", &["--digest", &other]).expect(30).says(&["is not the expected plugin"]);
    add(&one, "me/row-count:1.0", &known).expect(0).says(&["row-count", "check"]);
    assert_eq!(std::fs::read(sandbox.path("plugins/row-count.wasm")).unwrap(), good);
    let lock = std::fs::read_to_string(sandbox.path("lsrun.lock")).unwrap();
    assert!(lock.contains(&format!("source: \"{one}/me/row-count:1.0\"")), "{lock}");
    let old = registry(&[("application/vnd.wasm.content.layer.v1+wasm", &good)], None);
    add(&old, "me/counts", &[known[0], known[1], "--name", "counts"]).expect(0);
    assert!(sandbox.path("plugins/counts.wasm").exists());
}
