//! The error that a user reads: what is wrong, its causes, and what to do.
//!
//! Built where the cause is known, with the hint; printed in one place
//! ([`crate::terminal`]); it carries its exit code.

use std::error::Error as StdError;
use std::fmt::Display;

use crate::code::Code;
use crate::exit::Exit;

/// `Result` with lsrun's own error.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// What is at the bottom of an error, which says most: "connection refused". reqwest's own
/// text has the whole URL in it.
pub(crate) fn deepest(error: &dyn StdError) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

/// An expected failure. Messages are lower-case fragments without a full stop.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    code: Code,
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl Error {
    /// `message` says what is wrong and where.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), causes: Vec::new(), hint: None }
    }

    /// Wrong project file or alias (exit 20).
    pub fn project(message: impl Into<String>) -> Self {
        Self::new(Code::Project, message)
    }

    /// Wrong command line (exit 2).
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Invalid, message)
    }

    /// A step that could not be carried out (exit 11).
    pub fn inconclusive(message: impl Into<String>) -> Self {
        Self::new(Code::Inconclusive, message)
    }

    /// The same error of another kind.
    #[must_use]
    pub(crate) fn with_code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// What kind of error it is.
    #[must_use]
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// Appends one cause, outermost first.
    #[must_use]
    pub fn cause(mut self, cause: impl Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Appends `source` and everything it was caused by.
    #[must_use]
    pub fn source_chain(mut self, source: &(dyn StdError + 'static)) -> Self {
        let mut next = Some(source);
        while let Some(error) = next {
            let text = error.to_string();
            // Many libraries repeat their source in their own message.
            if !self.causes.last().is_some_and(|last| last.contains(&text)) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// What the user can do about it; replaces an earlier hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The hint, unless there is one already.
    #[must_use]
    pub fn or_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint.get_or_insert_with(|| hint.into());
        self
    }

    /// Puts `message` in front; the present message becomes its first cause.
    #[must_use]
    pub fn context(mut self, message: impl Into<String>) -> Self {
        let inner = std::mem::replace(&mut self.message, message.into());
        self.causes.insert(0, inner);
        self
    }

    /// The same error with all of its texts replaced.
    #[must_use]
    pub fn map_texts(mut self, exchange: impl Fn(&str) -> String) -> Self {
        self.message = exchange(&self.message);
        for text in self.causes.iter_mut().chain(&mut self.hint) {
            *text = exchange(text);
        }
        self
    }

    /// The code the process ends with when nothing outranks it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.code.exit()
    }

    /// What is wrong.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Why, outermost first.
    #[must_use]
    pub fn causes(&self) -> &[String] {
        &self.causes
    }

    /// What to do.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Message and causes on one line, for reports.
    #[must_use]
    pub fn one_line(&self) -> String {
        let mut line = self.message.clone();
        for cause in &self.causes {
            line.push_str(": ");
            line.push_str(cause);
        }
        line
    }
}

/// An unforeseen error: exit 1, with its whole chain.
impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(other) => {
                let mut chain = other.chain();
                let message = chain.next().map(ToString::to_string).unwrap_or_default();
                let mut own = Self::new(Code::Unexpected, message);
                own.causes.extend(chain.map(ToString::to_string));
                own
            }
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::new(Code::Unexpected, error.to_string())
    }
}

/// Nothing, the one problem, or all of them as causes of one error.
pub(crate) fn gather(problems: Vec<Error>, summary: impl FnOnce(usize) -> String) -> Result<()> {
    match <[Error; 1]>::try_from(problems) {
        Ok([only]) => Err(only),
        Err(problems) if problems.is_empty() => Ok(()),
        Err(problems) => {
            let mut all = Error::project(summary(problems.len()));
            for problem in &problems {
                let mut line = problem.one_line();
                if let Some(hint) = problem.hint_text() {
                    line.push_str(&format!(" ({hint})"));
                }
                all = all.cause(line);
            }
            Err(all)
        }
    }
}
