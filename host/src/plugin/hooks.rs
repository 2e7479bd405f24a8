//! The hooks of a project: which plugins are called, and by what they export.

use std::sync::Arc;

use wasmtime::Engine;

use super::registry::{self, PluginFile, Unusable};
use super::{
    CHECK, KINDS, NOT_RESTORED, POST_RESTORE, PRE_RESTORE, PRE_VERIFY, Plugin, RESTORED, TASKS,
    VERIFIED, handles, problems,
};
use crate::config::Severity;
use crate::context::Context;
use crate::error::Result;

/// The functions of `hooks`, each with what it runs.
const WANTED: [(&str, &str); 6] = [
    ("check", CHECK),
    ("pre-restore", PRE_RESTORE),
    // By the host, if nothing is restored after all, or the command does not say so.
    ("pre-restore", NOT_RESTORED),
    ("pre-restore", RESTORED),
    ("post-restore", POST_RESTORE),
    ("restored", RESTORED),
];

/// What is called for this command: by itself, and around it if its results are recorded.
#[must_use]
pub(crate) fn of_command(command: &Plugin) -> Vec<&'static str> {
    let fired = WANTED
        .iter()
        .filter(|(function, _)| command.imports_function("hooks", function))
        .map(|(_, interface)| *interface);
    let around: &[&'static str] = match &command.manifest.command {
        Some(described) if described.records => &[PRE_VERIFY, VERIFIED],
        _ => &[],
    };
    fired.chain(around.iter().copied()).collect()
}

/// The hooks of a project, by what they export.
#[derive(Default)]
pub(crate) struct Hooks {
    plugins: Vec<Arc<Plugin>>,
}

impl Hooks {
    /// Loads the plugins of the project that export one of `interfaces`, and `tasks` if the
    /// project file names some for them. One that cannot be used is an error, unless the
    /// project file calls it optional; so is whatever else would keep a plugin from running
    /// that should.
    pub(crate) fn load(
        context: &Context,
        engine: &Engine,
        interfaces: &[&'static str],
    ) -> Result<Self> {
        let all = registry::scan(context);
        // Nothing is known of a folder that cannot be read, least of all what is missing.
        let folder = all.iter().filter_map(|one| one.as_ref().err());
        if let Some(unusable) = folder.into_iter().find(|unusable| unusable.name.is_none()) {
            return Err(unusable.error.clone());
        }
        for finding in problems::of_all(context, &all) {
            let problem = problems::softened(context, finding);
            match problem.severity {
                Severity::Error => return Err(problems::error(&problem)),
                Severity::Warning => context.notes.warning(&problem.message),
                Severity::Note => context.notes.note(&problem.message),
            }
        }
        let wanted = |found: &PluginFile| interfaces.iter().any(|it| found.is(it));
        let mut plugins = Vec::new();
        let of_use = |one: &Result<PluginFile, Unusable>| match one {
            // What is not a component is an error below.
            Ok(found) => found.exports.is_none() || wanted(found),
            Err(_unusable) => true,
        };
        for found in all.into_iter().filter(of_use) {
            let name = match &found {
                Ok(found) => Some(found.name.clone()),
                Err(unusable) => unusable.name.clone(),
            };
            let optional =
                name.is_some_and(|name| context.project.plugins().setting(&name).optional);
            let loaded = found
                .map_err(|unusable| unusable.error)
                .and_then(|found| found.load(context, engine));
            match loaded {
                Ok(plugin) => plugins.push(plugin),
                Err(error) if optional => context.notes.warning(&error.one_line()),
                Err(error) => return Err(error),
            }
        }
        // The last: what it does before something begins is for what nobody refused.
        let event = |interface: &str| {
            let word = KINDS.iter().find(|(it, _)| *it == interface).map(|(_, word)| *word);
            word.is_some_and(|word| context.project.tasks().hooks.contains_key(word))
        };
        if interfaces.iter().any(|interface| event(interface)) {
            plugins.push(TASKS.load(context, engine)?);
        }
        Ok(Self { plugins })
    }

    /// Whether there is nothing to call.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.plugins.is_empty()
    }

    pub(super) fn plugins(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        self.plugins.iter()
    }

    pub(super) fn exporting(&self, interface: &str) -> impl Iterator<Item = &Arc<Plugin>> {
        self.plugins.iter().filter(move |plugin| plugin.exports(interface))
    }

    /// Every `check` that applies to a database; without one, those that are not for certain
    /// databases.
    pub(super) fn checks(
        &self,
        database: Option<&handles::DatabaseHandle>,
    ) -> impl Iterator<Item = &Arc<Plugin>> {
        self.exporting(CHECK).filter(move |plugin| match database {
            Some(database) => plugin.applies_to(&database.0),
            None => plugin.setting.databases.is_none(),
        })
    }
}
