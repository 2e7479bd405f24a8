//! What a plugin may do: what its manifest asks for and the project file grants.
//!
//! The words are a closed list. What follows `=` is the scope: a database by its
//! alias, a command of litestream, a variable, a folder, a host, a task, `*` for all. A
//! `litestream:` word without a scope (`litestream:sync`) is for all as well.

use std::net::IpAddr;

use super::http::{Scope, WebTarget};
use crate::code::Code;
use crate::error::Error;
use crate::project::Database;

/// Words that are for a database.
const SCOPED: [&str; 5] = [
    "sqlite:read=",
    "sqlite:write=",
    "litestream:sync=",
    "litestream:restore=",
    "litestream:replace=",
];
/// Words that are for something outside databases.
const OUTSIDE: [&str; 5] = ["env=", "fs:read=", "fs:write=", "http=", "task="];
/// Those that lsrun.yml grants one by one: all variables are all credentials, and all
/// folders are everything.
const ONE_BY_ONE: [(&str, &str); 3] =
    [("env=*", "variable"), ("fs:read=*", "folder"), ("fs:write=*", "folder")];
/// Words that go without a scope.
const WHOLE: [&str; 5] =
    ["config:secrets", "litestream:sync", "litestream:restore", "litestream:replace", SPAWN];
const SPAWN: &str = "litestream:spawn";

/// The commands of litestream that a plugin may run: they read.
pub(super) const READING: [&str; 7] =
    ["databases", "info", "list", "ltx", "status", "version", "wal"];

/// Whether this permission exists; any other word grants nothing, although its
/// author believes otherwise.
#[must_use]
pub(super) fn is_known(permission: &str) -> bool {
    match permission.split_once('=') {
        None => WHOLE.contains(&permission),
        Some((SPAWN, verb)) => verb == "*" || READING.contains(&verb),
        Some(("env", name)) => name == "*" || is_variable(name),
        Some(("http", host)) => Scope::parse(host).is_some(),
        Some((_, scope)) if OUTSIDE.contains(&kind(permission)) => !scope.trim().is_empty(),
        Some((_, scope)) => SCOPED.contains(&kind(permission)) && !scope.is_empty(),
    }
}

/// Whether lsrun.yml may grant it.
#[must_use]
pub(super) fn is_grantable(permission: &str) -> bool {
    is_known(permission) && ONE_BY_ONE.iter().all(|(wide, _)| *wide != permission)
}

fn is_variable(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(letter) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// `sqlite:read=` of `sqlite:read=cache`.
fn kind(permission: &str) -> &str {
    permission.split_inclusive('=').next().unwrap_or(permission)
}

/// What to write instead of one that is not known.
#[must_use]
pub(super) fn hint(permission: &str) -> String {
    if kind(permission).trim_end_matches('=') == SPAWN {
        return format!("{SPAWN} is for commands that only read: {}", READING.join(", "));
    }
    if let Some((_, what)) = ONE_BY_ONE.iter().find(|(wide, _)| *wide == permission) {
        return format!("grant each {what} by its name: {}NAME", kind(permission));
    }
    if kind(permission) == "http=" {
        return "write a host, as in http=hooks.example.com or http=localhost:8080".to_owned();
    }
    let known: Vec<&str> = WHOLE.into_iter().chain(SCOPED).chain(OUTSIDE).collect();
    match crate::nearest::nearest(kind(permission), known.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("the permissions are {}", known.join(", ")),
    }
}

/// Whether a permission that was asked for covers one that is granted, or the other
/// way round: `sqlite:read=*` and `sqlite:read=cache`.
#[must_use]
pub(super) fn concerns(asked: &[String], granted: &str) -> bool {
    let kind = |permission: &str| permission.split('=').next().map(str::to_owned);
    let wide = |permission: &str| permission.ends_with("=*") || WHOLE.contains(&permission);
    asked
        .iter()
        .any(|one| one == granted || (kind(one) == kind(granted) && (wide(one) || wide(granted))))
        || is_asked_for_otherwise(asked, granted)
}

/// The same host in another way of writing.
fn is_asked_for_otherwise(asked: &[String], granted: &str) -> bool {
    let scope = |word: &str| Scope::parse(word.strip_prefix("http=")?);
    let granted = scope(granted);
    granted.is_some() && asked.iter().any(|one| scope(one) == granted)
}

/// The permissions of one plugin.
#[derive(Debug, Clone, Default)]
pub(super) struct Grants {
    plugin: String,
    asked: Vec<String>,
    /// None for a built-in: what it asks for is granted by those who built it.
    granted: Option<Vec<String>>,
}

impl Grants {
    /// For a plugin of the project.
    #[must_use]
    pub(super) fn new(plugin: &str, asked: &[String], granted: &[String]) -> Self {
        Self { plugin: plugin.to_owned(), asked: asked.to_vec(), granted: Some(granted.to_vec()) }
    }

    /// For a built-in command.
    #[must_use]
    pub(super) fn builtin(plugin: &str, asked: &[String]) -> Self {
        Self { plugin: plugin.to_owned(), asked: asked.to_vec(), granted: None }
    }

    /// What was asked for, each with what is granted of it.
    pub(super) fn each(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        let granted = |asked: &String| {
            let all = self.granted.as_ref().unwrap_or(&self.asked).iter().map(String::as_str);
            all.filter(|one| concerns(std::slice::from_ref(asked), one)).collect()
        };
        self.asked.iter().map(move |asked| (asked.as_str(), granted(asked)))
    }

    /// Fails with the code `denied`, naming the plugin, the permission and what
    /// to write where.
    pub(super) fn require(&self, permission: &str) -> Result<(), Error> {
        if !holds(&self.asked, permission) {
            return Err(self.not_asked_for(permission));
        }
        match &self.granted {
            Some(granted) if !holds(granted, permission) => Err(self.not_granted(permission)),
            _ => Ok(()),
        }
    }

    fn denied(&self, permission: &str) -> Error {
        Error::new(Code::Denied, format!("plugin {} may not {permission}", self.plugin))
    }

    fn not_asked_for(&self, permission: &str) -> Error {
        self.denied(permission).hint(format!(
            "its manifest does not ask for it: add \"{permission}\" to its permissions"
        ))
    }

    fn not_granted(&self, permission: &str) -> Error {
        self.denied(permission).hint(format!(
            "add to lsrun.yml: plugins: {{settings: {{{}: {{grant: [\"{permission}\"]}}}}}}",
            self.plugin
        ))
    }

    /// [`Self::require`] for `sqlite:read=…` or `sqlite:write=…` of a database.
    pub(super) fn require_sqlite(&self, verb: &str, database: &Database) -> Result<(), Error> {
        self.require(&format!("sqlite:{verb}={}", database.name()))
    }

    /// [`Self::require`] for `litestream:<verb>=…` of a database; without one, for all.
    pub(super) fn require_litestream(
        &self,
        verb: &str,
        database: Option<&Database>,
    ) -> Result<(), Error> {
        let scope = database.map_or_else(|| "*".to_owned(), Database::name);
        self.require(&format!("litestream:{verb}={scope}"))
    }

    /// Fails unless something of this kind is granted, whatever its scope: for what a
    /// plugin can only have by that grant.
    pub(super) fn require_some(&self, kind: &str) -> Result<(), Error> {
        let of_kind =
            |list: &[String]| list.iter().any(|word| word.split('=').next() == Some(kind));
        if of_kind(&self.asked) && self.granted.as_deref().is_none_or(of_kind) {
            return Ok(());
        }
        self.require(kind)
    }

    /// [`Self::require`] for `http=…` of a target.
    pub(super) fn require_http(&self, target: &WebTarget) -> Result<(), Error> {
        self.require_covered(target, |scope| scope.covers(target))
    }

    /// Fails unless the project file grants a request to `target`, and its manifest asks for
    /// it, at `address` itself or, for a loopback address, at `localhost`: what has to be
    /// named literally.
    pub(super) fn require_address(&self, target: &WebTarget, address: IpAddr) -> Result<(), Error> {
        let at = target.at(address);
        if target.host() == "localhost" && address.is_loopback() {
            return self.require_covered(target, |scope| is_host(scope) && scope.covers(target));
        }
        let named = self.require_covered(&at, |scope| is_host(scope) && scope.covers(&at));
        named.map_err(|error| {
            error.cause(format!(
                "{} leads to {address}, which is an address of this machine or of its network link",
                target.host()
            ))
        })
    }

    /// `granted` says which of the granted scopes will do.
    fn require_covered(
        &self,
        target: &WebTarget,
        granted: impl Fn(&Scope) -> bool,
    ) -> Result<(), Error> {
        let scopes = |list: &[String]| {
            let scopes = list.iter().filter_map(|word| Scope::parse(word.strip_prefix("http=")?));
            scopes.collect::<Vec<_>>()
        };
        let asked = scopes(&self.asked).iter().any(|scope| scope.covers(target));
        let granted = match &self.granted {
            Some(words) => scopes(words).iter().any(granted),
            None => true,
        };
        match (asked, granted) {
            (true, true) => Ok(()),
            (false, _) => Err(self.not_asked_for(&target.permission())),
            (true, false) => Err(self.not_granted(&target.permission())),
        }
    }

    /// The scopes that it has of a kind (`env`, `fs:read`), as lsrun.yml writes them.
    pub(super) fn scopes(&self, kind: &str) -> Vec<&str> {
        let words = self.granted.as_ref().unwrap_or(&self.asked);
        let mut scopes: Vec<&str> = Vec::new();
        for word in words.iter().filter(|word| is_grantable(word) && holds(&self.asked, word)) {
            if let Some((of, scope)) = word.split_once('=')
                && of == kind
                && !scopes.contains(&scope)
            {
                scopes.push(scope);
            }
        }
        scopes
    }

    /// Whether it is a part of lsrun: it runs commands of litestream that write.
    #[must_use]
    pub(super) fn is_builtin(&self) -> bool {
        self.granted.is_none()
    }
}

fn is_host(scope: &Scope) -> bool {
    matches!(scope, Scope::Host(..))
}

/// Whether the list has the permission itself, or its kind for everything
/// (`sqlite:read=*`, `litestream:sync`).
pub(super) fn holds(list: &[String], permission: &str) -> bool {
    let kind = permission.split_once('=').map(|(kind, _)| kind);
    let wide = kind.map(|kind| format!("{kind}=*"));
    let whole = kind.filter(|kind| WHOLE.contains(kind));
    list.iter()
        .any(|one| one == permission || Some(one) == wide.as_ref() || Some(one.as_str()) == whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn a_permission_has_to_be_asked_for_and_granted() {
        let words =
            |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let asks = words(&["litestream:sync", "sqlite:read=*", "litestream:restore=cache"]);
        let nothing = Grants::new("p", &asks, &[]);
        let error = nothing.require("litestream:sync=cache").unwrap_err();
        assert_eq!(error.exit(), Exit::PluginDenied);
        assert!(
            error.hint_text().unwrap().contains(r#"{p: {grant: ["litestream:sync=cache"]}}"#),
            "{error:?}"
        );
        let some = Grants::new("p", &asks, &words(&["litestream:sync", "sqlite:read=cache"]));
        some.require("litestream:sync=cache").unwrap();
        some.require("litestream:sync=*").unwrap();
        some.require("litestream:restore=cache").unwrap_err();
        some.require("sqlite:read=cache").unwrap();
        some.require("sqlite:read=default").unwrap_err();
        some.require("litestream:spawn=ltx").unwrap_err();
        Grants::builtin("p", &asks).require("sqlite:read=x").unwrap();
        let all = words(&["litestream:restore", "litestream:replace=cache", "litestream:sync=*"]);
        let scoped = Grants::new("p", &all, &words(&["litestream:restore=cache"]));
        scoped.require("litestream:restore=cache").unwrap();
        scoped.require("litestream:restore=default").unwrap_err();
        scoped.require("litestream:restore=*").unwrap_err();
        scoped.require_some("litestream:restore").unwrap();
        scoped.require_some("litestream:replace").unwrap_err();
    }

    #[test]
    fn the_words_are_a_closed_list() {
        for word in [
            "config:secrets",
            "sqlite:read=default",
            "sqlite:write=*",
            "litestream:sync",
            "litestream:restore=*",
            "litestream:replace=a",
            "litestream:spawn",
            "litestream:spawn=ltx",
            "litestream:spawn=*",
            "http=hooks.example.com",
            "http=hooks.example.com:8443",
            "http=[::1]:9000",
            "http=*",
            "env=SLACK_TOKEN",
            "env=*",
            "fs:read=reports",
            "fs:write=/srv/reports",
            "fs:read=*",
            "task=stop-app",
        ] {
            assert!(is_known(word), "{word}");
            let wide = ["env=*", "fs:read=*"].contains(&word);
            assert_eq!(is_grantable(word), !wide, "{word}");
        }
        assert_eq!(hint("env=*"), "grant each variable by its name: env=NAME");
        for word in [
            "",
            "*",
            "sqlite",
            "sqlite:read",
            "sqlite:read=",
            "sqlite:drop=a",
            "litestream:spawn=replicate",
            "litestream:spawn=restore",
            "litestream:spawn ",
            "config:secrets=*",
            "http",
            "http=",
            "http=https://example.com",
            "http=*.example.com",
            "env=",
            "env=A B",
            "env=1A",
            "env=A*",
            "fs=/srv",
            "fs:read=",
            "fs:read= ",
            "task=",
            "tasks=stop",
        ] {
            assert!(!is_known(word), "{word}");
            assert!(!hint(word).is_empty(), "{word}");
        }
    }

    fn of(asked: &[&str], granted: &[&str]) -> Grants {
        let words = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        Grants::new("p", &words(asked), &words(granted))
    }

    #[test]
    fn a_request_needs_its_host_asked_for_and_granted() {
        let may = |asked: &[&str], granted: &[&str], url: &str| {
            of(asked, granted).require_http(&WebTarget::parse(url).unwrap())
        };
        may(&["http=*"], &["http=a.example"], "https://a.example/x").unwrap();
        may(&["http=a.example"], &["http=*"], "https://a.example/x").unwrap();
        may(&["http=A.example"], &["http=a.Example:443"], "https://a.example/x").unwrap();
        let error = may(&["http=*"], &["http=a.example"], "https://b.example:8443/x").unwrap_err();
        assert_eq!(error.exit(), Exit::PluginDenied);
        assert!(error.hint_text().unwrap().contains(r#"grant: ["http=b.example:8443"]"#));
        let error = may(&["http=a.example"], &["http=*"], "https://b.example/x").unwrap_err();
        assert!(error.hint_text().unwrap().contains("does not ask for it"), "{error:?}");
    }

    #[test]
    fn an_address_of_the_machine_is_granted_by_its_own_name_only() {
        let may = |granted: &[&str], url: &str, address: &str| {
            let target = WebTarget::parse(url).unwrap();
            let grants = of(&["http=*"], granted);
            grants.require_http(&target)?;
            grants.require_address(&target, address.parse().unwrap())
        };
        may(&["http=127.0.0.1:9000"], "http://127.0.0.1:9000/", "127.0.0.1").unwrap();
        may(&["http=localhost:9000"], "http://localhost:9000/", "127.0.0.1").unwrap();
        may(&["http=localhost:9000"], "http://localhost:9000/", "::1").unwrap();
        may(&["http=a.example", "http=127.0.0.1"], "http://a.example/", "127.0.0.1").unwrap();
        may(&["http=169.254.169.254"], "http://169.254.169.254/", "169.254.169.254").unwrap();
        for (granted, url, address) in [
            ("http=*", "http://127.0.0.1:9000/", "127.0.0.1"),
            ("http=a.example", "http://a.example/", "127.0.0.1"),
            ("http=a.example", "http://a.example/", "169.254.169.254"),
            ("http=localhost", "http://localhost/", "169.254.169.254"),
            ("http=b.localhost", "http://b.localhost/", "127.0.0.1"),
        ] {
            let error = may(&[granted], url, address).unwrap_err();
            assert_eq!(error.exit(), Exit::PluginDenied);
            assert!(error.hint_text().unwrap().contains(address), "{error:?}");
        }
        let error = may(&["http=*"], "http://localhost/", "127.0.0.1").unwrap_err();
        assert!(error.hint_text().unwrap().contains("http=localhost"), "{error:?}");
    }

    #[test]
    fn variables_and_folders_are_what_both_sides_name() {
        let grants = of(
            &["env=*", "fs:read=reports", "fs:write=*"],
            &["env=A", "env=A", "env=*", "fs:read=other", "fs:write=out", "task=x"],
        );
        assert_eq!(grants.scopes("env"), ["A"]);
        assert_eq!(grants.scopes("fs:read"), [""; 0]);
        assert_eq!(grants.scopes("fs:write"), ["out"]);
        assert_eq!(of(&["fs:read=reports"], &["fs:read=reports"]).scopes("fs:read"), ["reports"]);
    }
}
