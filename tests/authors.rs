//! What authors of plugins get: from `lsrun plugin new` to a plugin that runs, in every
//! language, with the language's own tools.

use crate::support::server::Server;
use crate::support::toolchains::{self, Language};
use crate::support::{PROJECT, Run, Sandbox, files, repository};

/// lsrun with the tools of an author.
fn author(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    toolchains::command(sandbox, arguments).output().unwrap().into()
}

fn new(sandbox: &Sandbox, name: &str, kind: &str, language: Language) {
    let words = ["plugin", "new", name, "--kind", kind, "--lang", language.word()];
    author(sandbox, &words).expect(0).says(&[&format!("{name}/manifest.yml")]);
}

const KINDS: [&str; 10] = [
    "command",
    "check",
    "pre-restore",
    "post-restore",
    "restored",
    "not-restored",
    "pre-verify",
    "verified",
    "pre-replicate",
    "replicated",
];

/// A project whose component is of every kind, since each component takes its time to be
/// compiled: `source` is made of the examples of all kinds.
fn of_every_kind(
    sandbox: &Sandbox,
    language: Language,
    mut add: impl FnMut(&str, String) -> String,
) {
    new(sandbox, "all", "command", language);
    toolchains::equip(&sandbox.path("all"), language);
    let mut source = String::new();
    for kind in KINDS {
        let name = format!("{kind}-it");
        new(sandbox, &name, kind, language);
        let path = sandbox.path(&name).join(language.source());
        source += &add(kind, std::fs::read_to_string(path).unwrap());
    }
    sandbox.write(&format!("all/{}", language.source()), &source);
    let world = std::fs::read_to_string(sandbox.path("all/wit/world.wit")).unwrap();
    let (before, end) = world.rsplit_once('}').unwrap();
    let exports = KINDS[1..].iter().map(|kind| format!("  export lsrun:plugin/{kind}@0.1.0;\n"));
    let exports: String = exports.collect();
    let http = "  import lsrun:host/http@0.1.0;\n";
    sandbox.write("all/wit/world.wit", &format!("{before}{http}{exports}}}{end}"));
    author(sandbox, &["plugin", "build", "all"]).expect(0).says(&["command, check, pre-restore"]);
    let ran = author(sandbox, &["plugin", "test", "all/all.wasm"]).expect(0);
    ran.says(&[
        "✓ all",
        "the old one is",
        "counted",
        "users: 3",
        "of memory",
        "nothing was restored from",
        "the replication is over",
    ]);
    // The manifest is in it.
    let bytes = std::fs::read(sandbox.path("all/all.wasm")).unwrap();
    assert!(bytes.windows(14).any(|some| some == b"lsrun:manifest"));
    sandbox.assert_clean();
}

#[test]
fn javascript_is_at_a_plugin_of_every_kind() {
    let sandbox = Sandbox::empty();
    of_every_kind(&sandbox, Language::Javascript, |kind, source| {
        sandbox.write(&format!("all/{kind}.js"), &source);
        format!("export * from './{kind}.js';\n")
    });
}

#[test]
fn python_is_at_a_plugin_of_every_kind() {
    let sandbox = Sandbox::empty();
    of_every_kind(&sandbox, Language::Python, |_kind, source| source);
}

#[test]
fn c_is_at_a_plugin_of_every_kind() {
    let sandbox = Sandbox::empty();
    for kind in KINDS {
        let name = format!("{kind}-it");
        new(&sandbox, &name, kind, Language::C);
        toolchains::equip(&sandbox.path(&name), Language::C);
        author(&sandbox, &["plugin", "build", &name]).expect(0).says(&[kind]);
        let component = format!("{name}/{name}.wasm");
        let tried = author(&sandbox, &["plugin", "test", &component]).expect(0);
        tried.says(&[trace(kind)]);
        if kind == "verified" {
            posts(&sandbox, &component);
        }
    }
    sandbox.assert_clean();
}

/// In one project, so that its dependencies are built once.
#[test]
fn rust_is_at_a_plugin_of_every_kind_and_its_logic_is_tested_without_webassembly() {
    let sandbox = Sandbox::empty();
    new(&sandbox, "all", "check", Language::Rust);
    let cargo = |arguments: &[&str]| {
        let mut command = toolchains::command(&sandbox, &[]);
        let mut cargo = std::process::Command::new("cargo");
        cargo.args(arguments).current_dir(sandbox.path("all"));
        for (name, value) in command.get_envs() {
            let target = name == "CARGO_BUILD_TARGET" || name == "RUSTFLAGS";
            match value {
                Some(value) if !target => cargo.env(name, value),
                _ => cargo.env_remove(name),
            };
        }
        command.env_clear();
        Run::from(cargo.output().unwrap()).expect(0)
    };
    cargo(&["test"]).says(&["too_few_rows_fail ... ok"]);
    for kind in KINDS {
        let name = format!("{kind}-it");
        new(&sandbox, &name, kind, Language::Rust);
        for file in ["src/lib.rs", "manifest.yml"] {
            std::fs::copy(sandbox.path(&name).join(file), sandbox.path("all").join(file)).unwrap();
        }
        author(&sandbox, &["plugin", "build", "all"]).expect(0).says(&[kind]);
        let tried = author(&sandbox, &["plugin", "test", "all/all.wasm"]).expect(0);
        tried.says(&[trace(kind)]);
        if kind == "verified" {
            posts(&sandbox, "all/all.wasm");
        }
    }
}

/// Fails unless this component, made of the example of a `verified` hook, posts to its
/// webhook when a proof fails.
fn posts(author: &Sandbox, component: &str) {
    let (sandbox, server) = (Sandbox::new(), Server::fine());
    sandbox.plugin("row-count");
    std::fs::copy(author.path(component), sandbox.path("plugins/hook.wasm")).unwrap();
    let config = format!("{{url: 'http://127.0.0.1:{}/x'}}", server.port);
    let grant = format!("['http=127.0.0.1:{}']", server.port);
    let count = "{config: {table: users, min: 100}}";
    let hook = format!("{{config: {config}, grant: {grant}}}");
    let settings = format!("plugins: {{settings: {{row-count: {count}, hook: {hook}}}}}\n");
    sandbox.write("lsrun.yml", &format!("{PROJECT}{settings}"));
    let run = sandbox.lsrun(&["verify", "default"]).expect(10);
    let asked = server.asked();
    assert_eq!(asked.len(), 1, "{run:?}");
    assert!(asked[0].contains("failed") && asked[0].starts_with("post /x"), "{asked:?}");
}

#[test]
fn javascript_and_python_post_to_a_webhook() {
    for language in [Language::Javascript, Language::Python] {
        let sandbox = Sandbox::empty();
        new(&sandbox, "hook", "verified", language);
        toolchains::equip(&sandbox.path("hook"), language);
        author(&sandbox, &["plugin", "build", "hook"]).expect(0).says(&["verified"]);
        posts(&sandbox, "hook/hook.wasm");
    }
}

/// What shows that a plugin of this kind was tried.
fn trace(kind: &str) -> &str {
    match kind {
        "pre-replicate" | "replicated" => "+ lsrun replicate -- true",
        _ => "of memory",
    }
}

/// An example, built in a new project: its source and its manifest are all that it has,
/// and a world if it needs more than a new one has.
fn example(sandbox: &Sandbox, name: &str, language: Language) -> String {
    let own = repository().join("examples/plugins").join(name);
    let world = own.join("world.wit");
    new(sandbox, name, if world.exists() { "verified" } else { "check" }, language);
    for file in [language.source(), "manifest.yml"] {
        std::fs::copy(own.join(file), sandbox.path(name).join(file)).unwrap();
    }
    if world.exists() {
        std::fs::copy(world, sandbox.path(name).join("wit/world.wit")).unwrap();
    }
    toolchains::equip(&sandbox.path(name), language);
    author(sandbox, &["plugin", "build", name]).expect(0);
    format!("{name}/{name}.wasm")
}

#[test]
fn addresses_names_what_is_no_address() {
    let sandbox = Sandbox::empty();
    let component = example(&sandbox, "addresses", Language::Javascript);
    let test = |more: &[&str]| author(&sandbox, &[&["plugin", "test", &component], more].concat());
    test(&[]).expect(0).says(&["✓ addresses"]);
    sandbox.sql("own.db", "CREATE TABLE users (email); INSERT INTO users VALUES ('a@b.c'), (NULL), ('nobody'), (x'00')");
    test(&["--db", "own.db"]).expect(10).says(&["2 of 3 addresses in users are wrong", "nobody"]);
    test(&["--db", "own.db", "--settings", "{most_wrong: 2}"]).expect(0);
    // The user's file is as it was, and nothing is beside it.
    assert_eq!(sandbox.integer("own.db", "SELECT count(*) FROM sqlite_schema"), 1);
    assert!(sandbox.names("").iter().all(|name| !name.starts_with("own.db-")));
    test(&["--settings", "{colum: x}"]).expect(11).says(&["unknown setting colum", "most_wrong"]);
    test(&["--settings", "{table: none}"]).expect(0).says(&["there is no table none"]);
    // A mistake of the author's is no verdict.
    test(&["--settings", "{most_wrong: null, column: none}"]).expect(11).says(&["no such column"]);
    sandbox.assert_clean();
}

#[test]
fn webhook_posts_when_a_backup_is_not_good_and_when_it_is_again() {
    let sandbox = Sandbox::new();
    let component = example(&sandbox, "webhook", Language::Javascript);
    let server = Server::fine();
    let with = |min: u32| {
        sandbox.write(
            "lsrun.yml",
            &format!(
                "{PROJECT}plugins:
  settings:
    row-count: {{config: {{table: users, min: {min}}}}}
    webhook:
      config: {{url: 'http://127.0.0.1:{0}/${{HOOK:-x}}'}}
      grant: ['http=127.0.0.1:{0}']
",
                server.port
            ),
        );
    };
    sandbox.plugin("row-count");
    std::fs::copy(sandbox.path(&component), sandbox.path("plugins/webhook.wasm")).unwrap();
    let posted = || server.asked().len();
    with(1);
    sandbox.lsrun(&["verify", "default"]).expect(0);
    assert_eq!(posted(), 0, "it is good, and was never bad");
    with(100);
    let run = sandbox.lsrun(&["verify", "default"]).expect(10);
    assert_eq!(posted(), 1, "{run:?}");
    let message = server.asked().remove(0);
    for words in [
        "post /x http/1.1",
        "content-type: application/json",
        "row-count: users has 3 rows",
        "last proved good: 20",
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
    with(1);
    sandbox.lsrun(&["verify", "default"]).expect(0);
    assert_eq!(posted(), 2, "it is good again");
    sandbox.lsrun(&["verify", "default"]).expect(0);
    assert_eq!(posted(), 2);
    // Without the grant it says so, and the proof is what it is.
    let project = std::fs::read_to_string(sandbox.path("lsrun.yml")).unwrap();
    let (before, _) = project.split_once("      grant:").unwrap();
    sandbox.write("lsrun.yml", &before.replace("min: 1}", "min: 100}"));
    let grant = format!("grant: [\"http=127.0.0.1:{}\"]", server.port);
    sandbox.lsrun(&["verify", "default"]).expect(10).says(&[&grant, "webhook failed afterwards"]);
}

#[test]
fn ledger_adds_to_the_cent() {
    let sandbox = Sandbox::empty();
    let component = example(&sandbox, "ledger", Language::Python);
    let test = |database: &str| author(&sandbox, &["plugin", "test", &component, "--db", database]);
    let table = "CREATE TABLE entries (booking, amount);";
    sandbox.sql(
        "even.db",
        &format!("{table} INSERT INTO entries VALUES (1, '0.10'), (1, '0.20'), (1, '-0.30')"),
    );
    test("even.db").expect(0).says(&["✓ ledger"]);
    sandbox
        .sql("odd.db", &format!("{table} INSERT INTO entries VALUES (1, 5), (1, -5), (2, '0.01')"));
    test("odd.db")
        .expect(10)
        .says(&["1 bookings do not add up to zero", "booking 2 adds up to 0.01"]);
    sandbox.sql("none.db", "CREATE TABLE other (x)");
    test("none.db").expect(0).says(&["there is no table entries"]);
}

#[test]
fn pictures_begin_like_pictures() {
    let sandbox = Sandbox::empty();
    let component = example(&sandbox, "pictures", Language::C);
    let test = |database: &str| author(&sandbox, &["plugin", "test", &component, "--db", database]);
    let table = "CREATE TABLE pictures (content);";
    sandbox.sql("good.db", &format!("{table} INSERT INTO pictures VALUES (x'89504e470d0a1a0a00'), (x'ffd8ffe0'), (CAST('GIF89a' AS BLOB))"));
    test("good.db").expect(0).says(&["✓ pictures"]);
    sandbox.sql("bad.db", &format!("{table} INSERT INTO pictures VALUES (x'ffd8ffe0'), ('text')"));
    test("bad.db").expect(10).says(&["pictures: row 2 is not a picture"]);
}

#[test]
fn what_is_missing_or_wrong_is_named_with_what_to_do() {
    let sandbox = Sandbox::empty();
    for language in Language::ALL {
        new(&sandbox, language.word(), "check", language);
    }
    let word = |language: Language| language.word();
    author(&sandbox, &["plugin", "build", word(Language::Javascript)])
        .expect(2)
        .says(&["componentize-qjs is not installed in node_modules", "hint: run npm install"]);
    let mut without = toolchains::command(&sandbox, &["plugin", "build", word(Language::Python)]);
    Run::from(without.env("PATH", "/nowhere").output().unwrap())
        .expect(2)
        .says(&["componentize-py is not installed", ".venv/bin/pip install -r requirements.txt"]);
    let mut without = toolchains::command(&sandbox, &["plugin", "build", word(Language::Rust)]);
    Run::from(without.env("PATH", "/nowhere").output().unwrap())
        .expect(2)
        .says(&["cargo is not installed"]);
    // Nothing is written over.
    let words = ["plugin", "new", "c", "--kind", "check", "--lang", "c"];
    author(&sandbox, &words).expect(2).says(&["exists already", "--dir"]);
    author(&sandbox, &[&words[..], &["--dir", "other"]].concat()).expect(0);
    let words = ["plugin", "new", "x", "--kind", "chek", "--lang", "c"];
    author(&sandbox, &words).expect(2).says(&["no such kind of plugin: chek", "pre-restore"]);
    let words = ["plugin", "new", "verify", "--kind", "check", "--lang", "c"];
    author(&sandbox, &words).expect(2).says(&["a command or a check named verify"]);
    author(&sandbox, &["plugin", "build", "tmp"])
        .expect(2)
        .says(&["is not the project of a plugin"]);
    author(&sandbox, &["plugin", "test", "none.wasm"]).expect(2).says(&["cannot read"]);
    sandbox.write("hello.wasm", "hello");
    author(&sandbox, &["plugin", "test", "hello.wasm"]).expect(30).says(&["not WebAssembly"]);
    sandbox.assert_clean();
}

#[test]
fn a_core_module_becomes_a_component_or_is_named() {
    let sandbox = Sandbox::empty();
    sandbox.write("manifest.yml", "version: 0.1.0\n");
    let module = |exports: &str| {
        let wat = format!("(module (memory (export \"memory\") 1) {exports})");
        std::fs::write(sandbox.path("module.wasm"), wat::parse_str(wat).unwrap()).unwrap();
        let words = ["plugin", "pack", "module.wasm", "--manifest", "manifest.yml"];
        author(&sandbox, &words)
    };
    let run = |parameters: &str, body: &str| {
        let name = "lsrun:plugin/check@0.1.0#run";
        format!(
            "(func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) i32.const 512)
             (func (export \"{name}\") (param {parameters}) (result i32) {body})"
        )
    };
    module("").expect(30).says(&["exports nothing of lsrun's", "-DLSRUN_CHECK"]);
    module(&run("i32", "i32.const 1024")).expect(30).says(&["against the lsrun.h"]);
    author(&sandbox, &["plugin", "test", "module.wasm"])
        .expect(30)
        .says(&["is a core module", "lsrun plugin pack FILE --manifest manifest.yml"]);
    // 0 at 1024: it is well.
    module(&run("i32 i32 i32", "i32.const 1024")).expect(0).says(&["module.wasm  check"]);
    author(&sandbox, &["plugin", "test", "module.wasm"]).expect(0).says(&["✓ module"]);
    // A component of nothing of lsrun's.
    std::fs::write(sandbox.path("none.wasm"), wat::parse_str("(component)").unwrap()).unwrap();
    author(&sandbox, &["plugin", "test", "none.wasm"]).expect(30).says(&[
        "exports nothing of lsrun's",
        "build it for a world of lsrun:plugin, as lsrun plugin new and build do",
    ]);
}

#[test]
fn a_manifest_is_packed_whole_or_not_at_all() {
    let sandbox = Sandbox::new();
    let built = repository().join("tests/compat/0.1.0/row-count.wasm");
    std::fs::create_dir(sandbox.path("plugins")).unwrap();
    std::fs::copy(built, sandbox.path("plugins/mine.wasm")).unwrap();
    let before = std::fs::read(sandbox.path("plugins/mine.wasm")).unwrap();
    sandbox.write("bad.yml", "version: 1.0.0\npermission: [x]\n");
    sandbox.write("one.yml", "version: 1.0.0\nabout: One\n");
    sandbox.write("two.yml", "version: 2.0.0\nabout: Two\n");
    let pack = |manifest: &str| {
        sandbox.lsrun(&["plugin", "pack", "plugins/mine.wasm", "--manifest", manifest])
    };
    pack("bad.yml").expect(30).says(&["bad.yml", "permission"]);
    pack("none.yml").expect(2).says(&["cannot read", "none.yml"]);
    assert_eq!(std::fs::read(sandbox.path("plugins/mine.wasm")).unwrap(), before);
    // Its own outweighs that of the module inside, and is replaced.
    for manifest in ["one.yml", "two.yml", "two.yml"] {
        pack(manifest).expect(0).says(&["check"]);
    }
    let json = sandbox.lsrun(&["plugin", "inspect", "mine", "--format", "json"]).expect(0).json();
    assert_eq!(json["plugins"][0]["version"], "2.0.0", "{json}");
    let after = std::fs::read(sandbox.path("plugins/mine.wasm")).unwrap();
    assert_eq!(after.len(), before.len() + 43, "one section more");
    sandbox
        .lsrun(&[
            "plugin",
            "pack",
            "plugins/mine.wasm",
            "--manifest",
            "one.yml",
            "-o",
            "plugins/other.wasm",
        ])
        .expect(0);
    assert_eq!(std::fs::read(sandbox.path("plugins/mine.wasm")).unwrap(), after);
    assert_eq!(sandbox.names("plugins"), ["mine.wasm", "other.wasm"]);
}

#[test]
fn the_bindings_for_c_are_those_of_the_wit() {
    use sha2::Digest;
    let mut wit = files("wit", "wit");
    wit.sort_by_key(|path| path.strip_prefix(repository()).unwrap().as_os_str().to_owned());
    let mut digest = sha2::Sha256::new();
    for path in wit {
        digest.update(std::fs::read(path).unwrap());
    }
    let found: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let written = std::fs::read_to_string(repository().join("plugins/c/WIT.sha256")).unwrap();
    assert_eq!(written.trim(), found, "the WIT has changed: run plugins/c/generate");
}

/// Components that were built against the first version of the interface, in each language
/// but Rust, whose are run by most tests of plugins.
#[test]
fn components_of_0_1_0_run_in_every_language() {
    let sandbox = Sandbox::new();
    let folder = repository().join("tests/compat/0.1.0");
    std::fs::create_dir(sandbox.path("plugins")).unwrap();
    for name in ["addresses.wasm", "pictures.wasm"] {
        std::fs::copy(folder.join(name), sandbox.path("plugins").join(name)).unwrap();
    }
    // Python's interpreter is large: it is compressed, and Python's own library reads it.
    let script = "import lzma, shutil, sys
shutil.copyfileobj(lzma.open(sys.argv[1]), open(sys.argv[2], 'wb'))";
    let unpacked = std::process::Command::new("python3")
        .args(["-c", script])
        .args([folder.join("ledger.wasm.xz"), sandbox.path("plugins/ledger.wasm")])
        .status();
    assert!(unpacked.unwrap().success());
    sandbox.sql(
        "db.sqlite3",
        "ALTER TABLE users ADD COLUMN email; UPDATE users SET email = 'a@example.com';
         CREATE TABLE entries (booking, amount); INSERT INTO entries VALUES (1, 1), (1, -1);
         CREATE TABLE pictures (content); INSERT INTO pictures VALUES (x'ffd8ffe0');",
    );
    sandbox.lsrun(&["verify"]).expect(0).says(&["✓ addresses", "✓ ledger", "✓ pictures"]);
    sandbox.sql(
        "db.sqlite3",
        "UPDATE users SET email = 'nobody' WHERE id = 2; DELETE FROM entries WHERE amount = 1;
         INSERT INTO pictures VALUES ('text');",
    );
    sandbox.lsrun(&["verify"]).expect(10).says(&[
        "1 of 3 addresses in users are wrong",
        "1 bookings do not add up to zero",
        "pictures: row 2 is not a picture",
    ]);
}
