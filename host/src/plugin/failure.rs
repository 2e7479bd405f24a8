//! Errors on their way between the host and a guest.

use super::bindings::types;
use crate::code::Code;
use crate::error::Error;
use crate::shown::bounded;

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
        code: error.code().as_str().to_owned(),
        message: error.message().to_owned(),
        hint: error.hint_text().map(str::to_owned),
        causes: error.causes().to_vec(),
    }
}

/// How many errors of the host are remembered for one call.
const REMEMBERED: usize = 100;

/// The last errors that the host gave to a guest. A guest that gives one of them back
/// gives back its code: an error keeps its code wherever it travels, and a guest
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

    /// The code of the host's error that this one is, or was caused by.
    #[must_use]
    pub fn code_of(&self, code: &str, message: &str, causes: &[String]) -> Option<Code> {
        let own = |error: &&Error| {
            error.code().as_str() == code
                && (error.message() == message || causes.iter().any(|it| it == error.message()))
        };
        self.0.iter().rev().find(own).map(Error::code)
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

/// The error that a guest returned. Its code is that of the host's own error if it is
/// one, else the guest's word; a guest cannot choose an exit code that no word has.
#[must_use]
pub(crate) fn from_guest(error: types::Error, given: &Given) -> Error {
    let code = given.code_of(&error.code, &error.message, &error.causes);
    let code = code.unwrap_or_else(|| Code::of_guest(&error.code));
    let mut own = Error::new(code, bounded(error.message));
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
    use crate::exit::Exit;

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
        given.remember(&Error::new(Code::UnknownDatabase, "no such alias"));
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
