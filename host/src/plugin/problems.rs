//! What is wrong with the plugins of a project, all at once and without compiling or
//! running any: silence about a check that does not run would be false assurance.

use std::collections::BTreeMap;
use std::path::Path;

use super::folders::folders;
use super::lock::LockRules;
use super::offer::{Offer, version_of};
use super::registry::{self, PluginFile, Unusable};
use super::{COMMAND, KINDS, grants, names};
use crate::code::Code;
use crate::config::{Problem, Severity};
use crate::context::Context;
use crate::error::Error;
use crate::nearest::nearest;

/// A problem, and the plugin that has it if it is one plugin's.
pub(super) struct Finding {
    pub(super) plugin: Option<String>,
    pub(super) problem: Problem,
}

/// Everything that is wrong with the project's plugins. Files are read; nothing is
/// compiled, run or written. For a plugin that is `optional` it is a warning.
#[must_use]
pub(crate) fn problems(context: &Context) -> Vec<Problem> {
    if context.plugins.none {
        context.notes.note_once("--no-plugins: the project's plugins are not examined");
        return Vec::new();
    }
    let found = registry::scan(context);
    let all = found.iter().filter_map(|one| one.as_ref().err()).map(of_unusable);
    let all = all.chain(of_all(context, &found)).chain(of_variables(context, &found));
    let all = all.chain(of_components(context, &found));
    all.map(|one| softened(context, one)).collect()
}

/// What keeps each plugin from running, and what else is wrong with it, by its name.
pub(super) fn by_plugin(
    context: &Context,
    found: &[Result<PluginFile, Unusable>],
) -> BTreeMap<String, Vec<Problem>> {
    let mut all: BTreeMap<String, Vec<Problem>> = BTreeMap::new();
    let unusable = found.iter().filter_map(|one| one.as_ref().err()).map(of_unusable);
    let of_each = of_variables(context, found).into_iter().chain(of_components(context, found));
    for one in unusable.chain(of_all(context, found)).chain(of_each) {
        let name = one.plugin.clone().unwrap_or_default();
        all.entry(name).or_default().push(softened(context, one));
    }
    all
}

/// A problem of an optional plugin does not fail the run.
pub(super) fn softened(context: &Context, one: Finding) -> Problem {
    let optional = |name: &String| context.project.plugins().setting(name).optional;
    let mut problem = one.problem;
    if one.plugin.as_ref().is_some_and(optional) {
        problem.severity = Severity::Warning;
    }
    problem
}

fn of_unusable(unusable: &Unusable) -> Finding {
    Finding { plugin: unusable.name.clone(), problem: Problem::from(&unusable.error) }
}

/// What is wrong with those that can be read, with the folders and with the settings.
pub(super) fn of_all(context: &Context, found: &[Result<PluginFile, Unusable>]) -> Vec<Finding> {
    let mut all = Vec::new();
    of_folders(context, &mut all);
    of_settings(context, found, &mut all);
    for found in found.iter().flatten() {
        of_one(context, found, &mut all);
    }
    all
}

/// The variables that settings need and that are not set. A run needs only those of the
/// plugins that it loads.
fn of_variables(context: &Context, found: &[Result<PluginFile, Unusable>]) -> Vec<Finding> {
    let of_one = |found: &PluginFile| {
        let error = context.project.plugin_config(&found.name).err()?;
        Some(Finding { plugin: Some(found.name.clone()), problem: Problem::from(&error) })
    };
    found.iter().flatten().filter_map(of_one).collect()
}

/// What keeps components from running: what they import, and lsrun.lock. A run asks this of
/// those that it needs, when it loads them.
fn of_components(context: &Context, found: &[Result<PluginFile, Unusable>]) -> Vec<Finding> {
    let wrong = |error: &Error| vec![Finding { plugin: None, problem: Problem::from(error) }];
    let offer = match Offer::start() {
        Ok(offer) => offer,
        Err(error) => return wrong(&error),
    };
    let lock = match offer.lock(context) {
        Ok(lock) => lock,
        Err(error) => return wrong(&error),
    };
    let mut all = Vec::new();
    for one in found.iter().flatten() {
        let mut add = |error: &Error, severity: Severity| {
            let problem = Problem { severity, ..Problem::from(error) };
            all.push(Finding { plugin: Some(one.name.clone()), problem });
        };
        if let Err(error) = offer.check(&one.outline, &one.path.display().to_string()) {
            add(&error, Severity::Error);
        }
        if !lock.is_in_use() {
            continue;
        }
        let severity = lock.severity();
        match one.read() {
            Err(error) => add(&error, Severity::Error),
            Ok((_bytes, digest)) => {
                let grant = &context.project.plugins().setting(&one.name).grant;
                if let Some(error) = lock.difference(&one.name, &digest, grant) {
                    add(&error, severity);
                }
            }
        }
    }
    all.extend(of_lock(lock, found));
    all
}

/// What lsrun.lock has and the folders do not.
pub(super) fn of_lock(lock: &LockRules, found: &[Result<PluginFile, Unusable>]) -> Vec<Finding> {
    let is_here = |name: &str| {
        found.iter().any(|one| match one {
            Ok(one) => one.name == name,
            // What cannot be read may be it.
            Err(unusable) => unusable.name.as_deref().is_none_or(|other| other == name),
        })
    };
    let gone = lock.names().filter(|name| !is_here(name)).map(|name| {
        let message = format!("lsrun.lock has the plugin {name}, which is not in a plugins folder");
        let hint = "put it back, or remove it from the lock with `lsrun plugin lock`";
        let finding = wrong(Some(name.clone()), message, hint);
        let severity = lock.severity();
        Finding { problem: Problem { severity, ..finding.problem }, ..finding }
    });
    gone.collect()
}

/// The error of a problem, for a run that it stops.
pub(super) fn error(problem: &Problem) -> Error {
    let error = Error::new(Code::UnusablePlugin, problem.message.clone());
    match &problem.hint {
        Some(hint) => error.hint(hint.clone()),
        None => error,
    }
}

fn of_folders(context: &Context, all: &mut Vec<Finding>) {
    let settings = context.project.plugins();
    for folder in &settings.path {
        let Ok(entries) = std::fs::read_dir(folder) else {
            if settings.path_is_named && !folder.exists() {
                all.push(wrong(
                    None,
                    format!("the plugins folder {} does not exist", folder.display()),
                    "create it, or correct plugins.path in lsrun.yml",
                ));
            }
            continue;
        };
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        names.sort();
        for path in names {
            of_file(&path, all);
        }
    }
}

/// Files that are meant for lsrun but have the wrong name.
fn of_file(path: &Path, all: &mut Vec<Finding>) {
    let Some(ending) = path.extension().and_then(|ending| ending.to_str()) else { return };
    let plugin = || path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    if ending != "wasm" && ending.eq_ignore_ascii_case("wasm") {
        let message = format!("{} is not run: its name does not end with .wasm", path.display());
        all.push(wrong(plugin(), message, "rename it"));
    }
    let is_yaml = ending != "yml"
        && (ending.eq_ignore_ascii_case("yaml") || ending.eq_ignore_ascii_case("yml"));
    if is_yaml && path.with_extension("wasm").exists() {
        let message = format!("{} is not read: its name does not end with .yml", path.display());
        all.push(wrong(plugin(), message, "rename it"));
    }
}

/// Settings of plugins that do not exist, and unknown words.
fn of_settings(context: &Context, found: &[Result<PluginFile, Unusable>], all: &mut Vec<Finding>) {
    let name_of = |one: &Result<PluginFile, Unusable>| match one {
        Ok(found) => Some(found.name.clone()),
        Err(unusable) => unusable.name.clone(),
    };
    let names: Vec<String> = found.iter().filter_map(name_of).collect();
    let all_are_known = names.len() == found.len();
    // A file whose name cannot be has to be renamed, and so would have its settings.
    let possible = names.iter().map(String::as_str).filter(|name| names::is_possible(name));
    for (name, setting) in &context.project.plugins().settings {
        if all_are_known && !names.contains(name) {
            let hint = match nearest(name, possible.clone()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("put {name}.wasm into a plugins folder, or remove the settings"),
            };
            let message =
                format!("lsrun.yml has settings for the plugin {name}, which does not exist");
            all.push(wrong(Some(name.clone()), message, &hint));
        }
        for word in setting.grant.iter().filter(|word| !grants::is_grantable(word)) {
            let what = match grants::is_known(word) {
                true => "that is too much",
                false => "there is no such permission",
            };
            let message = format!("lsrun.yml grants {word:?} to {name}: {what}");
            all.push(wrong(Some(name.clone()), message, &grants::hint(word)));
        }
    }
}

fn of_one(context: &Context, found: &PluginFile, all: &mut Vec<Finding>) {
    let PluginFile { name, path, manifest, outline, .. } = found;
    let place = path.display();
    if let Err(error) = found.refuse_taken(context) {
        let problem = Problem { code: "project", ..Problem::from(&error) };
        all.push(Finding { plugin: Some(name.clone()), problem });
    }
    if outline.is_component && !KINDS.iter().any(|(interface, _)| found.is(interface)) {
        let other = outline.exports.iter().find(|export| export.starts_with("lsrun:plugin/"));
        let (what, hint) = match other {
            Some(other) => (
                format!(
                    "exports {other}, and this lsrun has lsrun:plugin {}",
                    version_of("lsrun:plugin").unwrap_or("of its own")
                ),
                "build it with the wit/ of this lsrun, or update lsrun".to_owned(),
            ),
            None => (
                "exports nothing that lsrun runs".to_owned(),
                "build it for a world of wit/plugin.wit, such as check-plugin".to_owned(),
            ),
        };
        all.push(wrong(Some(name.clone()), format!("{place} {what}"), &hint));
    }
    if manifest.command.is_some() && outline.is_component && !found.is(COMMAND) {
        let message = format!("{place} has a command in its manifest, and exports none");
        all.push(wrong(Some(name.clone()), message, "build it for the world command-plugin"));
    }
    for word in manifest.permissions.iter().filter(|word| !grants::is_known(word)) {
        let message = format!("{place} asks for {word:?}: there is no such permission");
        all.push(wrong(Some(name.clone()), message, &grants::hint(word)));
    }
    let setting = context.project.plugins().setting(name);
    let effective = grants::Grants::new(name, &manifest.permissions, &setting.grant);
    for folder in folders(&context.project, &effective) {
        if let Err(error) = folder.check(&context.project, name) {
            let problem = Problem { code: "project", ..Problem::from(&error) };
            all.push(Finding { plugin: Some(name.clone()), problem });
        }
    }
    for word in &setting.grant {
        if grants::is_grantable(word) && !grants::concerns(&manifest.permissions, word) {
            all.push(Finding {
                plugin: Some(name.clone()),
                problem: Problem {
                    severity: Severity::Warning,
                    code: "project",
                    message: format!(
                        "lsrun.yml grants {word} to {name}, which does not ask for it"
                    ),
                    hint: Some(format!(
                        "add \"{word}\" to the permissions of its manifest, or remove the grant"
                    )),
                },
            });
        }
    }
    if let Some(other) = manifest.name.as_ref().filter(|other| *other != name) {
        all.push(Finding {
            plugin: Some(name.clone()),
            problem: Problem {
                severity: Severity::Warning,
                code: "project",
                message: format!(
                    "{place} is named {other:?} in its manifest, but {name} by its file"
                ),
                hint: Some(
                    "settings and grants use the name of the file; use the same name in both"
                        .to_owned(),
                ),
            },
        });
    }
    if found.manifest_beside_is_ignored {
        all.push(Finding {
            plugin: Some(name.clone()),
            problem: Problem {
                severity: Severity::Warning,
                code: "project",
                message: format!(
                    "{} is not read: the component has a manifest of its own",
                    path.with_extension("yml").display()
                ),
                hint: Some(
                    "remove the file, or build the component without the section".to_owned(),
                ),
            },
        });
    }
}

fn wrong(plugin: Option<String>, message: String, hint: &str) -> Finding {
    let (severity, code) = (Severity::Error, "project");
    let hint = Some(hint.to_owned());
    Finding { plugin, problem: Problem { severity, code, message, hint } }
}
