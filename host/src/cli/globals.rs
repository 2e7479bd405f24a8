//! The options that every command accepts, anywhere on the line.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::ValueEnum;

use crate::report::reporter::Format;
use crate::terminal::Color;

/// The options that every command knows.
#[derive(Debug, Clone, Default, clap::Args)]
// A plugin may have an argument of any name but these.
#[group(skip)]
pub(crate) struct Global {
    /// The project: a folder with an lsrun.yml, a project file, or a Litestream
    /// configuration [env: LSRUN_PROJECT]
    #[arg(short = 'C', long, global = true, value_name = "PATH")]
    pub project: Option<PathBuf>,
    /// How results are written
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Only results, warnings and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When colours are used (NO_COLOR is respected)
    #[arg(long, global = true, value_enum, value_name = "WHEN")]
    pub color: Option<Color>,
    /// Run only the plugins of lsrun.lock, as they were locked; --locked=false runs others too
    /// [default: true if CI is set and there is an lsrun.lock]
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", hide_possible_values = true)]
    pub locked: Option<bool>,
    /// Run none of the project's plugins
    #[arg(long, global = true)]
    pub no_plugins: bool,
}

impl Global {
    /// These, if they are given, else those of `before`.
    #[must_use]
    pub(crate) fn or(self, before: &Self) -> Self {
        Self {
            project: self.project.or_else(|| before.project.clone()),
            format: self.format.or(before.format),
            quiet: self.quiet || before.quiet,
            color: self.color.or(before.color),
            locked: self.locked.or(before.locked),
            no_plugins: self.no_plugins || before.no_plugins,
        }
    }

    /// Those among the words after a command whose own options are not known yet. What
    /// cannot be read is left to the command.
    #[must_use]
    pub(crate) fn after(words: &[OsString]) -> Self {
        let mut global = Self::default();
        let mut words = words.iter().take_while(|word| *word != "--");
        while let Some(word) = words.next() {
            // A path need not be Unicode.
            let bytes = word.as_bytes();
            let mut parts = bytes.splitn(2, |byte| *byte == b'=');
            let (name, value) = (parts.next().unwrap_or_default(), parts.next());
            let value = value.map(|value| OsStr::from_bytes(value).to_owned());
            let mut value = || value.clone().or_else(|| words.next().cloned());
            match name {
                b"-q" | b"--quiet" | b"-quiet" => global.quiet = true,
                b"-C" | b"--project" | b"-project" | b"--config" | b"-config" => {
                    global.project = value().map(PathBuf::from);
                }
                b"--format" | b"-format" => {
                    global.format = value().and_then(|value| parsed(&value));
                }
                b"--color" | b"-color" => global.color = value().and_then(|value| parsed(&value)),
                // Its value is never another word.
                b"--locked" | b"-locked" => global.locked = locked(bytes),
                b"--no-plugins" | b"-no-plugins" => global.no_plugins = true,
                b"-qC" => {
                    global.quiet = true;
                    global.project = value().map(PathBuf::from);
                }
                _ => {
                    let after_quiet = bytes.strip_prefix(b"-qC");
                    if let Some(path) = after_quiet.or_else(|| bytes.strip_prefix(b"-C")) {
                        global.quiet |= after_quiet.is_some();
                        global.project = Some(OsStr::from_bytes(path).into());
                    }
                }
            }
        }
        global
    }
}

fn locked(word: &[u8]) -> Option<bool> {
    match word.splitn(2, |byte| *byte == b'=').nth(1) {
        None | Some(b"true") => Some(true),
        Some(b"false") => Some(false),
        Some(_) => None,
    }
}

fn parsed<T: ValueEnum>(value: &OsString) -> Option<T> {
    T::from_str(value.to_str()?, false).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Global {
        Global::after(&words.iter().map(Into::into).collect::<Vec<OsString>>())
    }

    #[test]
    fn the_project_may_be_named_after_the_command() {
        for words in [&["x", "-C", "there"][..], &["-Cthere"], &["--project=there", "x"]] {
            assert_eq!(of(words).project, Some("there".into()), "{words:?}");
        }
        assert_eq!(of(&["x", "--", "-C", "there"]).project, None);
        let path = OsStr::from_bytes(b"th\xe9re=");
        let words = [OsStr::from_bytes(b"-Cth\xe9re=").to_owned()];
        assert_eq!(Global::after(&words).project.as_deref(), Some(path.as_ref()));
    }

    #[test]
    fn so_may_the_others_and_what_is_wrong_is_left_to_the_command() {
        let global = of(&["default", "--format=json", "-q", "--color", "never"]);
        assert_eq!((global.format, global.quiet), (Some(Format::Json), true));
        assert_eq!(global.color, Some(Color::Never));
        for words in [&["-qC", "there"][..], &["-qC=there"], &["-qCthere"]] {
            let global = of(words);
            assert_eq!((global.quiet, global.project), (true, Some("there".into())), "{words:?}");
        }
        assert_eq!(of(&["--locked", "x"]).locked, Some(true));
        assert_eq!(of(&["--locked=false"]).locked, Some(false));
        assert_eq!((of(&["x"]).locked, of(&["x", "--no-plugins"]).no_plugins), (None, true));
        assert_eq!(of(&["--format", "xml"]).format, None);
        assert_eq!(of(&["--format"]).format, None);
    }
}
