//! `lsrun.lock`: which plugins run, by digest and by what they were granted when somebody
//! looked at them. It is committed beside the project file.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use serde::Deserialize;

use super::grants;
use crate::cache::write_atomically;
use crate::code::Code;
use crate::config::Severity;
use crate::context::Context;
use crate::digest::Digest;
use crate::error::{Error, Result};

/// The largest that is read, in bytes.
const MOST: u64 = 4 << 20;
const VERSION: u32 = 1;
const HEADER: &str = "\
# The plugins of this project, as they were when `lsrun plugin lock` or `lsrun plugin add`
# last wrote this file. With --locked, which is the default where CI is set, nothing else runs.
# Commit it.
";

/// A plugin in the lock.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LockedPlugin {
    /// The SHA-256 of its component, in hexadecimal digits.
    pub sha256: String,
    /// Where it came from, if that is known.
    #[serde(default)]
    pub source: Option<String>,
    /// What it was granted.
    #[serde(default)]
    pub grant: Vec<String>,
}

impl LockedPlugin {
    /// One with this digest.
    #[must_use]
    pub(crate) fn new(digest: &Digest, source: Option<String>, grant: &[String]) -> Self {
        let mut grant = grant.to_vec();
        grant.sort();
        grant.dedup();
        Self { sha256: digest.to_string(), source, grant }
    }

    /// Whether it is the lock of this component.
    #[must_use]
    pub(crate) fn is_of(&self, digest: &Digest) -> bool {
        Digest::parse(&self.sha256).as_ref() == Some(digest)
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockFile {
    version: u32,
    #[serde(default)]
    plugins: BTreeMap<String, LockedPlugin>,
}

/// The lock of a project.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lock {
    /// By the names of the plugins.
    pub plugins: BTreeMap<String, LockedPlugin>,
}

impl Lock {
    /// Where that of the project is.
    #[must_use]
    pub(crate) fn path(context: &Context) -> PathBuf {
        let project = &context.project;
        match &project.file {
            Some(file) => file.with_extension("lock"),
            None => project.root.join("lsrun.lock"),
        }
    }

    /// None if there is none.
    ///
    /// Fails with exit 30 for one that cannot be read, or that others may change.
    pub(crate) fn read(context: &Context) -> Result<Option<Self>> {
        let path = Self::path(context);
        let place = path.display();
        let bytes = match context.project.trust().read(&path, MOST) {
            Ok(bytes) => bytes,
            Err(distrust) if distrust.is_missing() => return Ok(None),
            Err(distrust) => {
                return Err(distrust.error(Code::UnusablePlugin, format!("cannot use {place}")));
            }
        };
        let again = "correct it, or write it again with `lsrun plugin lock`";
        let file: LockFile = serde_yaml::from_slice(&bytes).map_err(|error| {
            Error::new(Code::UnusablePlugin, format!("{place} is wrong")).cause(error).hint(again)
        })?;
        if file.version != VERSION {
            let message =
                format!("{place} has version {}, and this lsrun reads {VERSION}", file.version);
            return Err(Error::new(Code::UnusablePlugin, message).hint(again));
        }
        if let Some((name, _)) =
            file.plugins.iter().find(|(_, one)| Digest::parse(&one.sha256).is_none())
        {
            let message =
                format!("{place} is wrong: the sha256 of {name} is not 64 hexadecimal digits");
            return Err(Error::new(Code::UnusablePlugin, message).hint(again));
        }
        Ok(Some(Self { plugins: file.plugins }))
    }

    /// Writes it: readers see the old one or the whole new one.
    pub(crate) fn write(&self, context: &Context) -> Result<()> {
        let path = Self::path(context);
        write_atomically(&path, self.text().as_bytes(), 0o644).map_err(|error| {
            Error::new(Code::Unexpected, format!("cannot write {}", path.display())).cause(error)
        })
    }

    fn text(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let mut text = format!("{HEADER}version: {VERSION}\nplugins:");
        if self.plugins.is_empty() {
            text.push_str(" {}\n");
            return text;
        }
        text.push('\n');
        for (name, one) in &self.plugins {
            let _infallible = writeln!(text, "  {}:\n    sha256: \"{}\"", quoted(name), one.sha256);
            if let Some(source) = &one.source {
                let _infallible = writeln!(text, "    source: {}", quoted(source));
            }
            if !one.grant.is_empty() {
                let grant: Vec<String> = one.grant.iter().map(|word| quoted(word)).collect();
                let _infallible = writeln!(text, "    grant: [{}]", grant.join(", "));
            }
        }
        text
    }

    /// What is different in the plugin `name` of this digest and with these grants.
    pub(super) fn difference(
        &self,
        name: &str,
        digest: &Digest,
        granted: &[String],
    ) -> Option<Error> {
        let error = |message: String| Error::new(Code::UnusablePlugin, message);
        let found = match self.plugins.get(name) {
            None => error(format!("the plugin {name} is not in lsrun.lock"))
                .cause(format!("its digest is sha256:{digest}")),
            Some(locked) if !locked.is_of(digest) => {
                error(format!("the plugin {name} is not the one in lsrun.lock"))
                    .cause(format!("locked sha256:{}", locked.sha256))
                    .cause(format!("found  sha256:{digest}"))
            }
            Some(locked) => {
                let more: Vec<&str> = granted
                    .iter()
                    .filter(|word| !grants::holds(&locked.grant, word))
                    .map(String::as_str)
                    .collect();
                if more.is_empty() {
                    return None;
                }
                error(format!("the plugin {name} is granted more than lsrun.lock has"))
                    .cause(format!("not in the lock: {}", more.join(", ")))
                    .cause(format!("its digest is sha256:{digest}, as locked"))
            }
        };
        Some(found.hint(format!("if that is what you want: lsrun plugin lock {name}")))
    }
}

/// The lock of a run, and whether it is enforced.
pub(crate) struct LockRules {
    lock: Option<Lock>,
    enforced: bool,
}

impl LockRules {
    /// By `--locked`; without it, enforced where there is a lock and `CI` is set.
    pub(crate) fn of(context: &Context) -> Result<Self> {
        let lock = Lock::read(context)?;
        let in_ci =
            context.environment.get("CI").is_some_and(|ci| !matches!(ci, "" | "false" | "0"));
        let enforced = context.plugins.locked.unwrap_or(in_ci && lock.is_some());
        Ok(Self { lock, enforced })
    }

    /// Whether a plugin may turn out not to be allowed.
    pub(super) fn is_in_use(&self) -> bool {
        self.enforced || self.lock.is_some()
    }

    /// Whether what differs does not run.
    #[must_use]
    pub(super) fn is_enforced(&self) -> bool {
        self.enforced
    }

    /// How much it counts that something differs.
    #[must_use]
    pub(super) fn severity(&self) -> Severity {
        if self.enforced { Severity::Error } else { Severity::Warning }
    }

    /// Those that are locked.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.lock.iter().flat_map(|lock| lock.plugins.keys())
    }

    /// How a plugin differs from what was locked.
    #[must_use]
    pub(super) fn difference(
        &self,
        name: &str,
        digest: &Digest,
        granted: &[String],
    ) -> Option<Error> {
        match &self.lock {
            Some(lock) => lock.difference(name, digest, granted),
            None if self.enforced => Lock::default().difference(name, digest, granted),
            None => None,
        }
    }

    /// Fails for a plugin that must not run; warns of one that differs.
    pub(super) fn admit(
        &self,
        context: &Context,
        name: &str,
        digest: &Digest,
        granted: &[String],
    ) -> Result<()> {
        match self.difference(name, digest, granted) {
            Some(error) if self.enforced => Err(error),
            Some(error) => {
                context.notes.warning(&error.one_line());
                Ok(())
            }
            None => Ok(()),
        }
    }
}
