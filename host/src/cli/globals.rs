//! The options that every command knows, wherever on the line they are.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ValueEnum;

use crate::report::reporter::Format;
use crate::terminal::Color;

/// The options that every command knows.
#[derive(Debug, Clone, Default, clap::Args)]
// A plugin may have an argument of any name but these.
#[group(skip)]
pub(crate) struct Global {
    /// The project: a folder with an lsrun.yml, such a file, or a Litestream
    /// configuration [env: LSRUN_PROJECT]
    #[arg(short = 'C', long, value_name = "PATH")]
    pub project: Option<PathBuf>,
    /// How results are written
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Only results, warnings and errors
    #[arg(short, long)]
    pub quiet: bool,
    /// When colours are used (NO_COLOR is respected)
    #[arg(long, value_enum, value_name = "WHEN")]
    pub color: Option<Color>,
}

impl Global {
    /// These, where they are given, else those of `before`.
    #[must_use]
    pub(crate) fn or(self, before: &Self) -> Self {
        Self {
            project: self.project.or_else(|| before.project.clone()),
            format: self.format.or(before.format),
            quiet: self.quiet || before.quiet,
            color: self.color.or(before.color),
        }
    }

    /// Those among the words after a command whose own options are not known yet. What
    /// cannot be read is left to the command.
    #[must_use]
    pub(crate) fn after(words: &[OsString]) -> Self {
        let mut global = Self::default();
        let mut words = words.iter().take_while(|word| *word != "--");
        while let Some(word) = words.next() {
            let text = word.to_str().unwrap_or_default();
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value.into())),
                None => (text, None),
            };
            let mut value = || value.clone().or_else(|| words.next().cloned());
            match name {
                "-q" | "--quiet" | "-quiet" => global.quiet = true,
                "-C" | "--project" | "-project" => global.project = value().map(PathBuf::from),
                "--format" | "-format" => {
                    global.format = value().and_then(|value| parsed(&value));
                }
                "--color" | "-color" => global.color = value().and_then(|value| parsed(&value)),
                _ => {
                    if let Some(path) = text.strip_prefix("-C") {
                        global.project = Some(PathBuf::from(path.trim_start_matches('=')));
                    }
                }
            }
        }
        global
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
    }

    #[test]
    fn so_may_the_others_and_what_is_wrong_is_left_to_the_command() {
        let global = of(&["default", "--format=json", "-q", "--color", "never"]);
        assert_eq!((global.format, global.quiet), (Some(Format::Json), true));
        assert_eq!(global.color, Some(Color::Never));
        assert_eq!(of(&["--format", "xml"]).format, None);
        assert_eq!(of(&["--format"]).format, None);
    }
}
