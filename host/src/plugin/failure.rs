//! Errors on their way between the host and a guest.

use super::bindings::types;
use crate::error::Error;
use crate::exit::Exit;
use crate::shown::bounded;

/// The code of a check that has nothing to look at in this database.
pub const NOT_APPLICABLE: &str = "not-applicable";

/// What an import gives a guest instead of a result.
pub enum Failure {
    /// An error that the guest sees.
    Guest(Error),
    /// A mistake that ends the guest, such as a handle used after its end.
    Trap(wasmtime::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Guest(error)
    }
}

/// An error as a guest sees it.
#[must_use]
pub fn to_guest(error: &Error) -> types::Error {
    types::Error {
        code: error.plugin_code().to_owned(),
        message: error.message().to_owned(),
        hint: error.hint_text().map(str::to_owned),
        causes: error.causes().to_vec(),
    }
}

/// How many errors of the host are remembered for one call.
const REMEMBERED: usize = 100;

/// The last errors that the host gave to a guest. A guest that gives one of them back
/// gives back its exit code: an error keeps its code wherever it travels, and a guest
/// can choose none that the host has not given it.
#[derive(Debug, Default)]
pub struct Given(std::collections::VecDeque<Error>);

impl Given {
    /// Remembers an error on its way to the guest.
    pub fn remember(&mut self, error: &Error) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(error.clone());
    }

    /// The exit code of the host's error that this one is, or was caused by.
    #[must_use]
    pub fn exit_of(&self, code: &str, message: &str, causes: &[String]) -> Option<Exit> {
        let own = |error: &&Error| {
            error.plugin_code() == code
                && (error.message() == message || causes.iter().any(|it| it == error.message()))
        };
        self.0.iter().rev().find(own).map(Error::exit)
    }
}

impl From<wasmtime::component::ResourceTableError> for Failure {
    fn from(error: wasmtime::component::ResourceTableError) -> Self {
        Self::Trap(error.into())
    }
}

impl From<wasmtime::Error> for Failure {
    fn from(error: wasmtime::Error) -> Self {
        Self::Trap(error)
    }
}

/// The error that a guest returned. The exit code is that of the host's own error
/// where it is one, else it follows from the code by this table; a guest cannot choose
/// any other.
#[must_use]
pub fn from_guest(error: types::Error, given: &Given) -> Error {
    let (exit, code) = match error.code.as_str() {
        "failed" => (Exit::CheckFailed, "failed"),
        "refused" => (Exit::HookRefused, "refused"),
        "denied" => (Exit::PluginDenied, "denied"),
        "project" => (Exit::Project, "project"),
        "not-found" => (Exit::Inconclusive, "not-found"),
        "not-applicable" => (Exit::Inconclusive, NOT_APPLICABLE),
        "invalid" => (Exit::Usage, "invalid"),
        "exists" => (Exit::Inconclusive, "exists"),
        "busy" => (Exit::Inconclusive, "busy"),
        "timeout" => (Exit::Inconclusive, "timeout"),
        "unreachable" => (Exit::Inconclusive, "unreachable"),
        "no-litestream" => (Exit::LitestreamMissing, "no-litestream"),
        "litestream" => (Exit::Litestream, "litestream"),
        "sqlite" => (Exit::Inconclusive, "sqlite"),
        "damaged" => (Exit::Inconclusive, "damaged"),
        "limit" => (Exit::Inconclusive, "limit"),
        "io" => (Exit::Inconclusive, "io"),
        "crashed" => (Exit::PluginCrashed, "crashed"),
        "cancelled" => (Exit::Inconclusive, "cancelled"),
        _ => (Exit::Inconclusive, "inconclusive"),
    };
    let exit = given.exit_of(&error.code, &error.message, &error.causes).unwrap_or(exit);
    let mut own = Error::new(exit, bounded(error.message)).code(code);
    for cause in error.causes.into_iter().take(20) {
        own = own.cause(bounded(&cause));
    }
    match error.hint {
        Some(hint) => own.hint(bounded(&hint)),
        None => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_code_is_inconclusive() {
        let error = types::Error {
            code: "whatever".into(),
            message: "m".into(),
            hint: None,
            causes: vec!["c".into()],
        };
        let own = from_guest(error, &Given::default());
        assert_eq!((own.exit(), own.causes()), (Exit::Inconclusive, &["c".to_owned()][..]));
    }

    #[test]
    fn an_error_of_the_host_keeps_its_exit_code_and_no_other_can_be_had() {
        let mut given = Given::default();
        given.remember(&Error::project("no such alias").code("not-found"));
        let returned = |code: &str, message: &str, causes: &[&str]| {
            let causes = causes.iter().map(|it| (*it).to_owned()).collect();
            let error =
                types::Error { code: code.into(), message: message.into(), hint: None, causes };
            from_guest(error, &given).exit()
        };
        assert_eq!(returned("not-found", "no such alias", &[]), Exit::Project);
        assert_eq!(returned("not-found", "cannot check", &["no such alias"]), Exit::Project);
        assert_eq!(returned("not-found", "made up", &[]), Exit::Inconclusive);
        assert_eq!(returned("failed", "no such alias", &[]), Exit::CheckFailed);
    }
}
