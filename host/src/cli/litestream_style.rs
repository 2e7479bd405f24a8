//! Command lines in Litestream's style: a single dash before a long option, and Go's truth
//! values.

use std::ffi::OsString;

/// What a word of a command line is read as: Litestream's single-dash options
/// (`-if-replica-exists`) are accepted like those with two.
pub(crate) fn two_dashes(arguments: Vec<OsString>, long: &[impl AsRef<str>]) -> Vec<OsString> {
    let mut verbatim = false;
    arguments
        .into_iter()
        .map(|argument| {
            let Some(text) = argument.to_str() else { return argument };
            verbatim |= text == "--";
            let Some(name) = text.strip_prefix('-').filter(|name| !name.starts_with('-')) else {
                return argument;
            };
            let bare = name.split_once('=').map_or(name, |(bare, _)| bare);
            if verbatim || bare.len() < 2 || !long.iter().any(|name| name.as_ref() == bare) {
                return argument;
            }
            format!("--{name}").into()
        })
        .collect()
}

/// The command with Litestream's `-config` as another name of `--project`, unless it
/// has an option of that name.
#[must_use]
pub(crate) fn with_config(command: clap::Command) -> clap::Command {
    if command.get_arguments().any(|argument| argument.get_long() == Some("config")) {
        return command;
    }
    command.mut_arg("project", |project| project.visible_alias("config"))
}

/// Every long option of a command and of its actions, for [`two_dashes`].
#[must_use]
pub(crate) fn long_options(command: &clap::Command) -> Vec<String> {
    let names = command.get_arguments().flat_map(|argument| {
        let others = argument.get_all_aliases().unwrap_or_default();
        argument.get_long().into_iter().chain(others).map(str::to_owned).collect::<Vec<_>>()
    });
    let of_actions = command.get_subcommands().flat_map(long_options);
    names.chain(of_actions).chain(["help".to_owned()]).collect()
}

/// Go's flags may be written `-force=true`.
pub(crate) fn go_booleans(words: Vec<OsString>, flags: &[&str]) -> Vec<OsString> {
    words
        .into_iter()
        .filter_map(|word| {
            let Some((name, value)) = word.to_str().and_then(|text| text.split_once('=')) else {
                return Some(word);
            };
            let known = name.strip_prefix("--").is_some_and(|name| flags.contains(&name));
            match (known, value) {
                (true, "true" | "1" | "t") => Some(name.to_owned().into()),
                (true, "false" | "0" | "f") => None,
                _ => Some(word),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_dashes_are_taken_for_known_options_only() {
        let words = |words: &[&str]| words.iter().map(Into::into).collect::<Vec<OsString>>();
        let got = two_dashes(
            words(&["-if-replica-exists", "-o", "x", "-txid=5", "-x", "--force", "--", "-txid"]),
            &["if-replica-exists", "txid", "o"],
        );
        let want =
            words(&["--if-replica-exists", "-o", "x", "--txid=5", "-x", "--force", "--", "-txid"]);
        assert_eq!(got, want);
    }
}
