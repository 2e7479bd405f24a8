//! The arguments of a command that is a component, defined by its manifest, without
//! running it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, FromArgMatches};

use super::shard::Shard;
use crate::cli::{self, Global};
use crate::code::Code;
use crate::error::{Error, Result};
use crate::figures::milliseconds;
use crate::plugin::Builtin;
use crate::plugin::manifest::{Argument, CommandManifest, Manifest, Type};
use crate::project::ResultSettings;
use crate::secret::Secret;

/// A command line that has been read.
pub(super) struct Parsed {
    /// The command.
    pub name: String,
    /// Global options after the command.
    pub global: Global,
    /// The help or the version, when it was asked for.
    pub help: Option<String>,
    /// The positional words: aliases, paths, URLs.
    pub selected: Vec<String>,
    /// `--all`.
    pub all: bool,
    /// `--jobs`.
    pub jobs: Option<usize>,
    /// `--timeout`.
    pub timeout: Option<Duration>,
    /// `--deadline`.
    pub deadline: Option<Duration>,
    /// `--shard`.
    pub shard: Option<Shard>,
    /// `--if-older-than`.
    pub if_older_than: Option<Duration>,
    /// `--verbose`.
    pub verbose: bool,
    /// Where results go, by the command line alone.
    pub results: ResultSettings,
    /// Values by argument.
    pub values: BTreeMap<String, Vec<String>>,
    /// Flags that were given.
    pub flags: BTreeSet<String>,
}

impl Parsed {
    /// Whether only replica URLs are named, which need no project.
    #[must_use]
    pub(super) fn urls_only(&self) -> bool {
        !self.selected.is_empty() && self.selected.iter().all(|word| is_url(word))
    }
}

/// Whether a word is a replica URL and not a database.
#[must_use]
pub(super) fn is_url(word: &str) -> bool {
    word.contains("://")
}

/// Reads the words after a command.
pub(super) fn parse(name: &str, manifest: &Manifest, words: &[OsString]) -> Result<Parsed> {
    let described = manifest.command.clone().unwrap_or_default();
    let wrong = |cause| {
        let message = format!("the manifest of {name} is wrong");
        Err(Error::new(Code::UnusablePlugin, message).cause(cause))
    };
    if let Some(cause) = described.arguments.iter().find_map(impossible) {
        return wrong(cause);
    }
    let last = match last_word(&described) {
        Ok(last) => last,
        Err(cause) => return wrong(cause),
    };
    let clap = command(name, manifest, &described);
    if let Some(cause) = ambiguous(&clap) {
        return wrong(cause);
    }
    let long = cli::long_options(&clap);
    let flags: Vec<&str> =
        described.arguments.iter().filter(|it| it.flag).map(|it| it.name.as_str()).collect();
    let words = cli::go_booleans(cli::two_dashes(words.to_vec(), &long), &flags);
    let mut parsed = Parsed {
        name: name.to_owned(),
        global: Global::default(),
        help: None,
        selected: Vec::new(),
        all: false,
        jobs: None,
        timeout: None,
        deadline: None,
        shard: None,
        if_older_than: None,
        verbose: false,
        results: ResultSettings::default(),
        values: BTreeMap::new(),
        flags: BTreeSet::new(),
    };
    let matches = match clap.try_get_matches_from(&words) {
        Ok(matches) => matches,
        Err(error)
            if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) =>
        {
            parsed.help = Some(match (last, error.kind()) {
                (Some(last), ErrorKind::DisplayHelp) => {
                    help_with(command(name, manifest, &described), last, &words)
                }
                _ => error.render().to_string(),
            });
            return Ok(parsed);
        }
        Err(error) => return Err(usage(&error, name)),
    };
    parsed.global = Global::from_arg_matches(&matches).map_err(|error| usage(&error, name))?;
    if described.per_database {
        parsed.selected = strings(&matches, "databases");
        parsed.all = matches.get_flag("all");
        parsed.jobs = matches.get_one::<u16>("jobs").map(|jobs| usize::from(*jobs));
        if let Some(timeout) = matches.get_one::<String>("timeout") {
            parsed.timeout = Some(cli::duration(timeout)?);
        }
        if let Some(deadline) = matches.get_one::<String>("deadline") {
            parsed.deadline = Some(cli::duration(deadline)?);
        }
        let shard = matches.get_one::<String>("shard");
        parsed.shard = shard.map(|shard| Shard::parse(shard)).transpose()?;
        parsed.verbose = matches.get_flag("verbose");
    }
    if described.per_database && described.records {
        let option = |name: &str| matches.get_one::<String>(name);
        if let Some(age) = option("if-older-than") {
            parsed.if_older_than = Some(cli::duration(age)?);
        }
        parsed.results = ResultSettings {
            junit: option("junit").map(PathBuf::from),
            prometheus: option("prometheus").map(PathBuf::from),
            ping: option("ping").cloned().map(Secret::new),
            webhook: option("webhook").cloned().map(Secret::new),
        };
    }
    if let Some(last) = last {
        let Some(word) = parsed.selected.pop() else {
            let missing = format!("lsrun {name} needs {}", placeholder(last));
            return Err(Error::usage(missing).hint(format!("see lsrun {name} --help")));
        };
        parsed.values.insert(last.name.clone(), vec![word]);
    }
    for argument in described.arguments.iter().filter(|argument| !argument.positional) {
        let name = argument.name.as_str();
        if argument.flag {
            if matches.get_flag(name) {
                parsed.flags.insert(name.to_owned());
            }
            continue;
        }
        let values = strings(&matches, name);
        let several = parsed.all || parsed.selected.len() > 1;
        if several && argument.folder && values.iter().any(|value| !value.ends_with('/')) {
            return Err(Error::usage(format!("--{name} has to be a folder for several databases"))
                .hint(format!("end it with a slash: --{name} FOLDER/")));
        }
        if several && argument.single && !values.is_empty() {
            return Err(Error::usage(format!("--{name} goes with one database only")));
        }
        let values: Vec<String> =
            values.into_iter().map(|value| typed(argument.kind, value)).collect::<Result<_>>()?;
        if !values.is_empty() {
            parsed.values.insert(name.to_owned(), values);
        }
    }
    if parsed.all && !parsed.selected.is_empty() {
        return Err(Error::usage("use either --all or database names, not both"));
    }
    Ok(parsed)
}

/// The value as the guest gets it.
fn typed(kind: Type, value: String) -> Result<String> {
    Ok(match kind {
        Type::Duration => milliseconds(cli::duration(&value)?).to_string(),
        Type::Text | Type::Count => value,
    })
}

/// The options of every command, as a command with this manifest reads them; none if
/// its words are wrong, or ask for help.
pub(crate) fn options(manifest: &Manifest, words: &[OsString]) -> Option<Global> {
    parse("", manifest, words).ok().filter(|it| it.help.is_none()).map(|it| it.global)
}

fn strings(matches: &clap::ArgMatches, name: &str) -> Vec<String> {
    matches.get_many::<String>(name).map(|all| all.cloned().collect()).unwrap_or_default()
}

pub(super) fn usage(error: &clap::Error, name: &str) -> Error {
    // clap's first line says what is wrong; the rest is usage.
    let text = error.render().to_string();
    // What is missing, or what is possible, comes indented.
    let first: Vec<&str> =
        text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let first = first.join(" ");
    let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    // An option that does not exist would be read as a database.
    let tip = tip.filter(|tip| !tip.starts_with("to pass "));
    let own = Error::usage(first.trim_start_matches("error: ").to_owned());
    own.hint(tip.map_or_else(|| format!("see lsrun {name} --help"), str::to_owned))
}

fn command(name: &str, manifest: &Manifest, described: &CommandManifest) -> clap::Command {
    // A plugin may have a `--version` of its own.
    let taken = described.arguments.iter().any(|argument| argument.name == "version");
    let mut command = clap::Command::new(name.to_owned())
        .bin_name(format!("lsrun {name}"))
        .no_binary_name(true)
        .version(manifest.version.clone())
        .disable_version_flag(taken || manifest.version.is_empty());
    if described.per_database {
        let url = if described.takes_urls { " or a replica URL" } else { "" };
        command = command
            .arg(
                Arg::new("databases").value_name("DATABASE").num_args(0..).required(false).help(
                    format!("An alias of lsrun.yml, a path, a pattern such as 'tenant-*'{url}"),
                ),
            )
            .arg(
                Arg::new("all")
                    .long("all")
                    .action(ArgAction::SetTrue)
                    .help("Every database of the project"),
            )
            .arg(
                Arg::new("jobs")
                    .long("jobs")
                    .value_name("N")
                    .value_parser(clap::value_parser!(u16).range(1..))
                    .help("Number of databases to process in parallel"),
            )
            .arg(
                Arg::new("timeout")
                    .long("timeout")
                    .value_name("TIME")
                    .help("Longest wait for the replica, each time, such as 30s or 5m"),
            )
            .arg(Arg::new("deadline").long("deadline").value_name("TIME").help(
                "End the whole run after this time, with exit code 124; finished work is reported",
            ))
            .arg(
                Arg::new("shard")
                    .long("shard")
                    .value_name("N/OF")
                    .help("Only one part of the selection, such as 2/5: one for each runner"),
            )
            .arg(
                Arg::new("verbose")
                    .long("verbose")
                    .action(ArgAction::SetTrue)
                    .help("Show every check, also for databases that passed"),
            );
        if described.records {
            command = command.args(results(name));
        }
    }
    for argument in described.arguments.iter().filter(|argument| !argument.positional) {
        let mut arg = Arg::new(argument.name.clone())
            .long(argument.name.clone())
            .help(argument.about.clone());
        if let Some(short) = argument.short {
            arg = arg.short(short);
        }
        if argument.flag {
            arg = arg.action(ArgAction::SetTrue);
        } else {
            arg = arg.action(if argument.repeat { ArgAction::Append } else { ArgAction::Set });
            arg = arg.value_name(placeholder(argument).to_owned());
            if let Some(default) = &argument.default {
                arg = arg.default_value(default.clone());
            }
            if !argument.values.is_empty() {
                arg = arg.value_parser(argument.values.clone());
            }
            if argument.kind == Type::Count {
                arg = arg.value_parser(count);
            }
        }
        command = command.arg(arg);
    }
    if !described.examples.is_empty() {
        let examples = described.examples.join("\n  ");
        command = command.after_help(format!("Examples:\n  {examples}"));
    }
    // The options bring a text of their own, which is not what the command is for.
    cli::with_config(<Global as clap::Args>::augment_args(command)).about(manifest.about.clone())
}

/// The argument that is the last word, or why there cannot be one.
fn last_word(described: &CommandManifest) -> std::result::Result<Option<&Argument>, String> {
    let mut all = described.arguments.iter().filter(|argument| argument.positional);
    let (last, more) = (all.next(), all.next());
    match (last, more) {
        (Some(last), Some(_)) => Err(format!("{} is not the only positional argument", last.name)),
        (Some(last), None) if !described.per_database => {
            Err(format!("the positional argument {} needs per-database", last.name))
        }
        _ => Ok(last),
    }
}

/// The help with the last word among the arguments. To clap it is one more database:
/// options may be between them.
fn help_with(command: clap::Command, last: &Argument, words: &[OsString]) -> String {
    let argument = Arg::new(last.name.clone())
        .value_name(placeholder(last).to_owned())
        .help(last.about.clone())
        .required(true);
    let mut command = command.allow_missing_positional(true).arg(argument);
    let short = words.iter().find(|word| *word == "-h" || *word == "--help");
    match short.is_some_and(|word| word == "-h") {
        true => command.render_help().to_string(),
        false => command.render_long_help().to_string(),
    }
}

fn placeholder(argument: &Argument) -> &str {
    argument.placeholder.as_deref().unwrap_or("VALUE")
}

/// A whole number of at least one, as it was written.
fn count(text: &str) -> std::result::Result<String, String> {
    match text.parse::<u32>() {
        Ok(1..) => Ok(text.to_owned()),
        _ => Err("not a whole number of at least 1".to_owned()),
    }
}

/// Why there cannot be such an argument; clap would panic.
fn impossible(argument: &Argument) -> Option<String> {
    let Argument { name, short, flag, default, values, kind, .. } = argument;
    let is_letter = |letter: char| letter.is_ascii_alphanumeric();
    let rest = |letter| is_letter(letter) || matches!(letter, '-' | '_');
    if !name.starts_with(is_letter) || !name.chars().all(rest) {
        return Some(format!("{name:?} cannot be the name of an argument"));
    }
    if let Some(short) = short.filter(|short| !is_letter(*short)) {
        return Some(format!("the short form {short:?} of --{name} is not a letter"));
    }
    if argument.positional {
        let plain = *kind == Type::Text && values.is_empty() && default.is_none();
        let alone = plain && short.is_none() && !flag && !argument.repeat;
        if !alone {
            return Some(format!("the positional argument {name} can only be a text"));
        }
    }
    let is_allowed = |value: &String| {
        (values.is_empty() || values.contains(value))
            && match kind {
                Type::Text => true,
                Type::Duration => cli::duration(value).is_ok(),
                Type::Count => count(value).is_ok(),
            }
    };
    let default = default.as_ref().filter(|value| !flag && !is_allowed(value))?;
    Some(format!("the default {default:?} of --{name} is not one of its values"))
}

/// Why the arguments of a plugin and lsrun's own could be confused; clap would
/// panic.
fn ambiguous(clap: &clap::Command) -> Option<String> {
    // clap adds these when it reads a command line.
    let (mut names, mut shorts) = (BTreeSet::from(["help"]), BTreeSet::from(['h', 'V']));
    for argument in clap.get_arguments() {
        let name = argument.get_id().as_str();
        if !names.insert(name) {
            return Some(format!("more than one argument is --{name}, lsrun's own included"));
        }
        if let Some(short) = argument.get_short().filter(|short| !shorts.insert(*short)) {
            return Some(format!("more than one argument is -{short}, lsrun's own included"));
        }
    }
    None
}

/// The options of a command that records. The project file has settings for them for
/// lsrun's own commands only.
fn results(command: &str) -> [Arg; 5] {
    let option = |name: &'static str, value: &'static str, about: &str| {
        Arg::new(name).long(name).value_name(value).help(about.to_owned())
    };
    let setting = |name: &'static str, value: &'static str, about: &str| {
        let of_lsrun = Builtin::named(command).is_some();
        let set = if of_lsrun { format!(" [{command}.{name}]") } else { String::new() };
        option(name, value, &format!("{about}{set}"))
    };
    [
        option("if-older-than", "TIME", "Skip what was verified within that time, such as 24h"),
        setting("junit", "FILE", "Write a JUnit report"),
        setting("prometheus", "FILE", "Write metrics for a textfile collector"),
        setting("ping", "URL", "Ping URL/start, then URL or URL/fail"),
        setting("webhook", "URL", "POST the JSON report there"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::manifest;

    fn restore(words: &[&str]) -> Result<Parsed> {
        let manifest =
            manifest::parse(include_str!("../../../plugins/restore/manifest.yml"), "restore")
                .unwrap();
        let words: Vec<OsString> = words.iter().map(Into::into).collect();
        parse("restore", &manifest, &words)
    }

    #[test]
    fn litestreams_style_and_the_usual_one_mean_the_same() {
        for words in [
            &["-if-replica-exists", "-o", "x", "-txid=5", "default"][..],
            &["--if-replica-exists", "--output=x", "--txid", "5", "default"],
            &["default", "-txid", "5", "-o=x", "-if-replica-exists=true", "-force=false"],
        ] {
            let parsed = restore(words).unwrap();
            assert_eq!(parsed.selected, ["default"], "{words:?}");
            assert_eq!(parsed.values["output"], ["x"], "{words:?}");
            assert_eq!(parsed.values["txid"], ["5"], "{words:?}");
            assert!(parsed.flags.contains("if-replica-exists"), "{words:?}");
            assert!(!parsed.flags.contains("force"), "{words:?}");
            assert_eq!(parsed.values["integrity-check"], ["full"], "{words:?}");
        }
    }

    #[test]
    fn global_options_may_follow_the_command() {
        let parsed = restore(&["--format", "json", "-C", "there", "default"]).unwrap();
        assert_eq!(parsed.global.format, Some(crate::report::reporter::Format::Json));
        assert_eq!(parsed.global.project.as_deref(), Some(std::path::Path::new("there")));
    }

    #[test]
    fn a_wrong_command_line_is_a_usage_error_that_says_what_is_wrong() {
        for (words, what) in [
            (&["--nope"][..], "--nope"),
            (&["-o", "x", "a", "b"], "a folder for several databases"),
            (&["-txid", "5", "a", "b"], "one database"),
            (&["--integrity-check", "maybe", "a"], "maybe"),
            (&["--timeout", "soon", "a"], "soon"),
            (&["--all", "a"], "--all"),
            (&["--shard", "3/2", "a"], "3/2"),
            // It makes no report that could be kept.
            (&["--junit", "x.xml", "a"], "--junit"),
        ] {
            let error = restore(words).err().unwrap();
            assert_eq!(error.exit(), crate::exit::Exit::Usage, "{words:?}");
            assert!(error.message().contains(what), "{words:?}: {error:?}");
        }
    }

    #[test]
    fn a_manifest_whose_arguments_are_ambiguous_is_refused() {
        for (arguments, what) in [
            ("{name: a}, {name: a, flag: true}", "--a,"),
            ("{name: all}", "--all,"),
            ("{name: databases}", "--databases,"),
            ("{name: format}", "--format,"),
            ("{name: help}", "--help,"),
            ("{name: a, short: C}", "-C,"),
            ("{name: a, short: V}", "-V,"),
            ("{name: a, short: x}, {name: b, short: x}", "-x,"),
            ("{name: a, short: '-'}", "'-'"),
            ("{name: ''}", "\"\""),
            ("{name: a b}", "\"a b\""),
            ("{name: -a}", "\"-a\""),
            ("{name: a, values: [x, y], default: z}", "\"z\""),
            ("{name: a, positional: true, flag: true}", "only be a text"),
            ("{name: a, positional: true, type: count}", "only be a text"),
            ("{name: a, positional: true}, {name: b, positional: true}", "the only positional"),
        ] {
            let yaml = format!("command: {{per-database: true, arguments: [{arguments}]}}");
            let manifest = manifest::parse(&yaml, "x").unwrap();
            let error = parse("x", &manifest, &["--help".into()]).err().unwrap();
            assert_eq!(error.exit(), crate::exit::Exit::Plugin, "{arguments}");
            assert!(error.one_line().contains(what), "{arguments}: {error:?}");
        }
        let own = "{name: config}, {name: version}, {name: Global}, {name: a, values: [x], flag: true, default: z}";
        let yaml = format!("version: '1'\ncommand: {{arguments: [{own}, {{name: jobs}}]}}");
        let manifest = manifest::parse(&yaml, "x").unwrap();
        assert!(parse("x", &manifest, &["--jobs".into(), "2".into()]).is_ok());
    }

    #[test]
    fn the_last_word_is_no_database() {
        let yaml = "command: {per-database: true, takes-urls: true, arguments: [{name: sql, positional: true, placeholder: SQL, about: A query}, {name: at}]}";
        let manifest = manifest::parse(yaml, "x").unwrap();
        let read = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(Into::into).collect();
            parse("query", &manifest, &words)
        };
        for (words, databases) in [
            (&["a", "b", "select 1"][..], &["a", "b"][..]),
            (&["a", "--at", "5", "b", "select 1"], &["a", "b"]),
            (&["a", "b", "select 1", "-at", "5"], &["a", "b"]),
            (&["--all", "select 1"], &[]),
            (&["s3://b/p", "select 1"], &["s3://b/p"]),
        ] {
            let parsed = read(words).unwrap();
            assert_eq!(parsed.selected, databases, "{words:?}");
            assert_eq!(parsed.values["sql"], ["select 1"], "{words:?}");
        }
        assert!(read(&["s3://b/p", "select 1"]).unwrap().urls_only());
        let error = read(&["--at", "5"]).err().unwrap();
        assert_eq!(error.exit(), crate::exit::Exit::Usage);
        assert!(error.message().contains("needs SQL"), "{error:?}");
        for (word, about) in [("-h", "A query"), ("--help", "\n          A query")] {
            let help = read(&[word]).unwrap().help.unwrap();
            assert!(help.contains("[DATABASE]... <SQL>") && help.contains(about), "{help}");
        }
        let once = manifest::parse("command: {arguments: [{name: a, positional: true}]}", "x");
        let error = parse("x", &once.unwrap(), &["--help".into()]).err().unwrap();
        assert!(error.one_line().contains("per-database"), "{error:?}");
    }

    #[test]
    fn help_lists_the_arguments() {
        let help = restore(&["-h"]).unwrap().help.unwrap();
        assert!(help.contains("--if-replica-exists") && help.contains("Examples:"), "{help}");
        assert!(help.starts_with("Restore a backup"), "{help}");
    }
}
