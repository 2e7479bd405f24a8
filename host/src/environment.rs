//! The process environment, read once, so that what depends on it can be tested
//! without changing it.

use std::collections::BTreeMap;

use crate::redact::Redactor;

/// A snapshot of environment variables. Values that are not Unicode are left out:
/// every variable lsrun reads is text.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    /// What is secret in it, and what a run finds out besides.
    redactor: Redactor,
}

impl Environment {
    /// The variables of this process.
    #[must_use]
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The value of `name`; an empty one counts as not set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The same with another value of `name`.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The secrets of this run; clones of the environment share them.
    #[must_use]
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }
}

/// The name of this machine.
#[must_use]
pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let redactor = Redactor::default();
        let pairs = pairs.into_iter().map(|(key, value)| (key.into(), value.into()));
        let variables: BTreeMap<String, String> = pairs.collect();
        for (name, value) in &variables {
            redactor.learn_variable(name, value);
        }
        Self { variables, redactor }
    }
}

/// Names only: values may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}
