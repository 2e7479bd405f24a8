//! The hooks of a project: which plugins are called, and by what they export.

use std::sync::Arc;

use super::registry::{self, PluginFile, Unusable};
use super::{CHECK, POST_RESTORE, PRE_RESTORE, Plugin, RESTORED, handles, problems};
use crate::config::Severity;
use crate::context::Context;
use crate::error::Result;

/// The functions of `hooks`, each with what it runs.
const WANTED: [(&str, &str); 5] = [
    ("check", CHECK),
    ("check-only", CHECK),
    ("pre-restore", PRE_RESTORE),
    ("post-restore", POST_RESTORE),
    ("restored", RESTORED),
];

/// The hooks of a project, by what they export.
#[derive(Default)]
pub(crate) struct Hooks {
    plugins: Vec<Arc<Plugin>>,
}

impl Hooks {
    /// Loads the plugins of the project that `command` can fire. One that cannot be
    /// used is an error, unless the project file calls it optional; so is whatever
    /// else would keep a plugin from running that should.
    pub(crate) fn load(context: &Context, command: &Plugin) -> Result<Self> {
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
        let wanted = |found: &PluginFile| {
            WANTED.iter().any(|(function, interface)| {
                command.imports_function("hooks", function) && found.is(interface)
            })
        };
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
                .and_then(|found| found.load(context, command.component.engine()));
            match loaded {
                Ok(plugin) => plugins.push(plugin),
                Err(error) if optional => context.notes.warning(&error.one_line()),
                Err(error) => return Err(error),
            }
        }
        Ok(Self { plugins })
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
