//! Litestream's version numbers: parsing and order. What a version can do is in
//! [`super::feature`].

use std::fmt;

use crate::error::{Error, Result};

/// The oldest version that has everything lsrun uses.
pub(crate) const MINIMUM: Version = Version::new(0, 5, 12);

/// The version that lsrun downloads when the project file names none.
pub(crate) const PINNED: Version = Version::new(0, 5, 17);

/// A version as `litestream version` prints it.
///
/// The order of the variants matters: a development build counts as newer than
/// every release, so that it passes minimum checks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// `0.5.17`, or `v0.3.13` as the 0.3 line prints it.
    Release {
        /// The first number.
        major: u32,
        /// The second number.
        minor: u32,
        /// The third number.
        patch: u32,
    },
    /// Anything else, such as `(development build)`, as printed.
    Development(String),
}

impl Version {
    /// The release `major.minor.patch`.
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self::Release { major, minor, patch }
    }

    /// Parses `0.5.17` or `v0.3.13`; `None` for everything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = |part: &str| {
            // `parse` alone would take `+5`.
            part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok()).flatten()
        };
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.');
        let (major, minor, patch) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        Some(Self::new(number(major)?, number(minor)?, number(patch)?))
    }

    /// What `litestream version` printed: a release, or a development build.
    #[must_use]
    pub fn of_output(stdout: &str) -> Self {
        let line = stdout.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        Self::parse(line).unwrap_or_else(|| {
            let line = if line.is_empty() { "(no version printed)" } else { line };
            // It ends up in messages: nothing that a terminal would act on.
            Self::Development(line.chars().filter(|c| !c.is_control()).take(80).collect())
        })
    }

    /// The value of `litestream.version` in the project file. Exit 20 when it is
    /// not the number of a release.
    pub fn of_setting(text: &str) -> Result<Self> {
        Self::parse(text.trim()).ok_or_else(|| {
            Error::project(format!("litestream.version: `{text}` is not a version"))
                .hint(format!("write the number of a release, such as {PINNED}"))
        })
    }

    /// Whether this is a development build, whose abilities are not known.
    #[must_use]
    pub fn is_development(&self) -> bool {
        matches!(self, Self::Development(_))
    }

    /// Whether this is of the line before 0.5, which has other commands and flags
    /// and another backup format.
    #[must_use]
    pub fn is_before_05(&self) -> bool {
        *self < Self::new(0, 5, 0)
    }
}

/// Without the `v`.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release { major, minor, patch } => write!(f, "{major}.{minor}.{patch}"),
            Self::Development(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MINIMUM, PINNED, Version};

    #[test]
    fn parses_both_lines() {
        assert_eq!(Version::parse("0.5.17"), Some(PINNED));
        assert_eq!(Version::parse("v0.3.13"), Some(Version::new(0, 3, 13)));
        assert_eq!(Version::of_output("0.5.17\n"), PINNED);
        assert_eq!(Version::new(0, 3, 13).to_string(), "0.3.13");
        for wrong in ["", "v", "0.5", "0.5.17.1", "0.5.x", "0.5.-1", "+0.5.1", "0..1", "latest"] {
            assert_eq!(Version::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn orders_by_number_not_by_text() {
        assert!(Version::new(0, 5, 9) < MINIMUM);
        assert!(MINIMUM < PINNED);
        assert!(Version::new(0, 3, 13).is_before_05());
    }

    #[test]
    fn a_development_build_passes_minimum_checks() {
        let version = Version::of_output("(development build)\n");
        assert!(version.is_development());
        assert!(version >= MINIMUM);
        assert_eq!(version.to_string(), "(development build)");
        assert!(Version::of_output("").is_development());
        assert_eq!(Version::of_output("\u{1b}[31mred").to_string(), "[31mred");
    }

    #[test]
    fn a_setting_that_is_no_version_names_itself() {
        let error = Version::of_setting("latest").unwrap_err();
        assert_eq!(error.exit().code(), 20);
        assert!(error.message().contains("`latest`"), "{error}");
    }
}
