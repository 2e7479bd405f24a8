//! What a plugin may do: what its manifest asks for and the project file grants.

use crate::error::Error;
use crate::exit::Exit;
use crate::project::Database;

/// Every permission there is; one that ends with `=` is for a database, or for all of
/// them with `*`.
const KNOWN: [&str; 8] = [
    "litestream:sync",
    "litestream:restore",
    "litestream:replace",
    "litestream:replace=",
    "litestream:spawn",
    "sqlite:read=",
    "sqlite:write=",
    "config:secrets",
];

/// Whether there is such a permission.
#[must_use]
pub(super) fn is_known(permission: &str) -> bool {
    KNOWN.iter().any(|known| match known.ends_with('=') {
        true => permission.strip_prefix(known).is_some_and(|database| !database.is_empty()),
        false => *known == permission,
    })
}

/// What to write instead of one that is not known.
#[must_use]
pub(super) fn hint(permission: &str) -> String {
    // What stands behind the sign is the database's name.
    let kind = permission.split_inclusive('=').next().unwrap_or(permission);
    match crate::project::nearest(kind, KNOWN) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("known are {}", KNOWN.join(", ")),
    }
}

/// Whether a permission that was asked for covers one that is granted, or the other
/// way round: `sqlite:read=*` and `sqlite:read=cache`.
#[must_use]
pub(super) fn concerns(asked: &[String], granted: &str) -> bool {
    let kind = |permission: &str| permission.split('=').next().map(str::to_owned);
    let wide = |permission: &str| permission.ends_with("=*");
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

    /// Fails with the code `denied`, naming the plugin, the permission and what
    /// to write where.
    pub(super) fn require(&self, permission: &str) -> Result<(), Error> {
        let denied = |hint: String| {
            Error::new(Exit::PluginDenied, format!("plugin {} may not {permission}", self.plugin))
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
}

/// Whether the list has the permission itself, or its kind for everything
/// (`sqlite:read=*`).
fn holds(list: &[String], permission: &str) -> bool {
    let wide = permission.split_once('=').map(|(kind, _)| format!("{kind}=*"));
    list.iter().any(|one| one == permission || Some(one) == wide.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_has_to_be_asked_for_and_granted() {
        let words =
            |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let asks = words(&["litestream:sync", "sqlite:read=*"]);
        let nothing = Grants::new("p", &asks, &[]);
        let error = nothing.require("litestream:sync").unwrap_err();
        assert_eq!(error.exit(), Exit::PluginDenied);
        assert!(
            error.hint_text().unwrap().contains(r#"{p: {grant: ["litestream:sync"]}}"#),
            "{error:?}"
        );
        let some = Grants::new("p", &asks, &words(&["litestream:sync", "sqlite:read=cache"]));
        some.require("litestream:sync").unwrap();
        some.require("sqlite:read=cache").unwrap();
        some.require("sqlite:read=default").unwrap_err();
        some.require("litestream:spawn").unwrap_err();
        Grants::builtin("p", &asks).require("sqlite:read=x").unwrap();
    }
}
