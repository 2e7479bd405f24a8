//! The hooks of a project: which plugins are called, and by what they export.

use std::sync::Arc;

use super::offer::Offer;
use super::registry::{self, PluginFile, Unusable};
use super::{
    CHECK, KINDS, NOT_RESTORED, POST_RESTORE, PRE_RESTORE, PRE_VERIFY, Plugin, REPLICATED,
    RESTORED, Sink, TASKS, VERIFIED, handles, problems,
};
use crate::config::Severity;
use crate::context::Context;
use crate::error::Result;
use crate::project::PluginSetting;
use crate::report::{CheckKind, Outcome};
use crate::shown;

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

/// What runs the tasks of the project file, if it names some for one of these. It is called
/// after the plugins: what it does before something begins is for what nobody refused.
fn tasks(
    context: &Context,
    offer: &Arc<Offer>,
    interfaces: &[&'static str],
) -> Result<Option<Arc<Plugin>>> {
    let has_tasks = |interface: &&str| {
        let word = KINDS.iter().find(|(it, _)| it == interface).map(|(_, word)| *word);
        word.is_some_and(|word| context.project.tasks().hooks.contains_key(word))
    };
    interfaces.iter().any(has_tasks).then(|| TASKS.load(context, offer)).transpose()
}

/// The id of the check that says that plugins were left out.
const LEFT_OUT: &str = "plugins";

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
    /// The names of those that nobody has read (`--no-plugins`).
    left_out: Vec<String>,
}

impl Hooks {
    /// Loads the plugins of the project that export one of `interfaces`, and `tasks` if the
    /// project file names some for them. One that cannot be used is an error, unless the
    /// project file calls it optional; so is whatever else would keep a plugin from running
    /// that should. None is compiled here; what can be known of it is.
    ///
    /// Those that `selects` does not select by their settings are left out.
    pub(crate) fn load(
        context: &Context,
        offer: &Arc<Offer>,
        interfaces: &[&'static str],
        selects: impl Fn(&PluginSetting) -> bool,
    ) -> Result<Self> {
        if context.plugins.none {
            let left_out = registry::names(context);
            if !left_out.is_empty() {
                let names = shown::line(&left_out.join(", ")).into_owned();
                context.notes.note_once(&format!("--no-plugins leaves out {names}"));
            }
            let plugins = tasks(context, offer, interfaces)?.into_iter().collect();
            return Ok(Self { plugins, left_out });
        }
        let all = registry::scan(context);
        // Nothing is known of a folder that cannot be read, least of all what is missing.
        let folder = all.iter().filter_map(|one| one.as_ref().err());
        if let Some(unusable) = folder.into_iter().find(|unusable| unusable.name.is_none()) {
            return Err(unusable.error.clone());
        }
        let findings = problems::of_all(context, &all);
        let of_lock = problems::of_lock(offer.lock(context)?, &all);
        for finding in findings.into_iter().chain(of_lock) {
            let problem = problems::softened(context, finding);
            match problem.severity {
                Severity::Error => return Err(problems::error(&problem)),
                Severity::Warning => context.notes.warning(&problem.message),
                Severity::Note => context.notes.note(&problem.message),
            }
        }
        let wanted = |found: &PluginFile| interfaces.iter().any(|it| found.is(it));
        // It is too late for an error once a database is replaced, or everything is over.
        let replaces = interfaces.contains(&RESTORED);
        let late = |plugin: &Plugin| {
            let after = [VERIFIED, REPLICATED];
            (replaces && !plugin.exports(PRE_RESTORE))
                || after.iter().any(|it| interfaces.contains(it) && plugin.exports(it))
        };
        let mut plugins = Vec::new();
        let of_use = |one: &Result<PluginFile, Unusable>| match one {
            // What is not a component is an error below.
            Ok(found) => {
                (!found.outline.is_component || wanted(found))
                    && selects(&context.project.plugins().setting(&found.name))
            }
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
                .and_then(|found| found.load(context, offer))
                .and_then(|plugin| match late(&plugin) {
                    true => plugin.prove(context).map(|()| plugin),
                    false => Ok(plugin),
                });
            match loaded {
                Ok(plugin) => plugins.push(plugin),
                Err(error) if optional => context.notes.warning(&error.one_line()),
                Err(error) => return Err(error),
            }
        }
        plugins.extend(tasks(context, offer, interfaces)?);
        Ok(Self { plugins, left_out: Vec::new() })
    }

    /// Puts into the report of a run that plugins were left out: nobody may believe that
    /// their checks passed.
    pub(crate) fn report_left_out(&self, sink: &Arc<Sink>, command: &str) {
        if !self.left_out.is_empty() {
            let mut check = sink.start(LEFT_OUT.to_owned(), CheckKind::Data, command, false);
            let names = self.left_out.join(", ");
            check.end(Outcome::Skipped, format!("left out with --no-plugins: {names}"), None);
        }
    }

    /// Whether there is one to call for this interface.
    #[must_use]
    pub(crate) fn has(&self, interface: &str) -> bool {
        self.exporting(interface).next().is_some()
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
