//! What a plugin may do: what its manifest asks for and the project file grants.
//!
//! The words are a closed list. What follows `=` is the scope: a database by its
//! alias, a command of litestream, `*` for all. A `litestream:` word without a scope
//! (`litestream:sync`) is for all as well.

use crate::code::Code;
use crate::error::Error;
use crate::project::Database;

/// Words that are for a database.
const SCOPED: [&str; 6] = [
    "sqlite:read=",
    "sqlite:write=",
    "litestream:sync=",
    "litestream:restore=",
    "litestream:replace=",
    "task=",
];
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
        Some((_, scope)) => SCOPED.contains(&kind(permission)) && !scope.is_empty(),
    }
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
    let known: Vec<&str> = WHOLE.into_iter().chain(SCOPED).collect();
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
        let denied = |hint: String| {
            Error::new(Code::Denied, format!("plugin {} may not {permission}", self.plugin))
                .hint(hint)
        };
        if !holds(&self.asked, permission) {
            return Err(denied(format!(
                "its manifest does not ask for it: add \"{permission}\" to its permissions"
            )));
        }
        match &self.granted {
            Some(granted) if !holds(granted, permission) => Err(denied(format!(
                "add to lsrun.yml: plugins: {{settings: {{{}: {{grant: [\"{permission}\"]}}}}}}",
                self.plugin
            ))),
            _ => Ok(()),
        }
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

    /// Whether it is a part of lsrun: it runs commands of litestream that write.
    #[must_use]
    pub(super) fn is_builtin(&self) -> bool {
        self.granted.is_none()
    }
}

/// Whether the list has the permission itself, or its kind for everything
/// (`sqlite:read=*`, `litestream:sync`).
fn holds(list: &[String], permission: &str) -> bool {
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
        ] {
            assert!(is_known(word), "{word}");
        }
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
            "http=example.com",
        ] {
            assert!(!is_known(word), "{word}");
            assert!(!hint(word).is_empty(), "{word}");
        }
    }
}
