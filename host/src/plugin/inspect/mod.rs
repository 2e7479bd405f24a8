//! What a plugin is and what it may do, found out without compiling or running it.

pub(crate) mod json;

use std::path::{Path, PathBuf};

use crate::config::{Problem, Severity};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::nearest::nearest;
use crate::plugin::grants::Grants;
use crate::plugin::lock::Lock;
use crate::plugin::registry::{self, PluginFile};
use crate::plugin::{KINDS, problems};

/// What each interface that a plugin imports lets it do. What changes anything needs a
/// permission besides.
const POWERS: [(&str, &str); 8] = [
    ("lsrun:host/sqlite", "query the database and the copy that it is called for, by SQL"),
    ("lsrun:host/litestream", "use litestream, as far as its permissions go"),
    ("lsrun:host/config", "see the Litestream configuration"),
    ("lsrun:host/databases", "find the project's databases by their alias"),
    ("lsrun:host/hooks", "run the project's checks and hooks"),
    ("lsrun:host/settings", "read its own settings in lsrun.yml"),
    ("lsrun:host/http", "send requests to the hosts that its permissions name"),
    ("lsrun:host/report", "report checks, figures and lines"),
];

/// What the standard interfaces let it do, whichever of them it imports.
const STANDARD: &str = "read the clocks, draw random numbers and write lines; variables, files and requests \
     by permission only";

/// A permission that a plugin asks for.
pub(crate) struct InspectedPermission {
    /// Such as `litestream:restore`.
    pub asked: String,
    /// What lsrun.yml grants of it, such as `litestream:restore=default`.
    pub granted: Vec<String>,
}

/// One plugin of the project.
pub(crate) struct InspectedPlugin {
    /// Its name; that of a folder that cannot be read is empty.
    pub name: String,
    /// Its file.
    pub path: Option<PathBuf>,
    /// What it is, such as `check`.
    pub kinds: Vec<&'static str>,
    /// Its version, if it says one.
    pub version: String,
    /// Its description.
    pub about: String,
    /// The SHA-256 of its component, 64 hexadecimal digits.
    pub digest: Option<String>,
    /// Where it came from, if lsrun.lock says so.
    pub source: Option<String>,
    /// How it compares with lsrun.lock: `locked`, `changed`, `not locked`; none without one.
    pub lock: Option<&'static str>,
    /// What it imports, such as `lsrun:host/sqlite@0.1.0`.
    pub imports: Vec<String>,
    /// What it asks for.
    pub permissions: Vec<InspectedPermission>,
    /// The databases that it is for; all without.
    pub databases: Option<Vec<String>>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

impl InspectedPlugin {
    /// What it can do, for people.
    #[must_use]
    pub(crate) fn powers(&self) -> Vec<&'static str> {
        let imports = |prefix: &str| {
            self.imports.iter().any(|import| import.split('@').next() == Some(prefix))
        };
        let own = POWERS.iter().filter(|(prefix, _)| imports(prefix)).map(|(_, can)| *can);
        let standard = self.imports.iter().any(|import| import.starts_with("wasi:"));
        own.chain(standard.then_some(STANDARD)).collect()
    }

    /// The permissions that it asks for but was not granted.
    pub(crate) fn not_granted(&self) -> impl Iterator<Item = &str> {
        let without = self.permissions.iter().filter(|one| one.granted.is_empty());
        without.map(|one| one.asked.as_str())
    }

    /// Why it does not run.
    #[must_use]
    pub(crate) fn obstacle(&self) -> Option<&Problem> {
        self.problems.iter().find(|problem| problem.severity == Severity::Error)
    }
}

/// Every plugin of the project, those that cannot be used included, by their names.
#[must_use]
pub(crate) fn all(context: &Context) -> Vec<InspectedPlugin> {
    let found = registry::scan(context);
    let mut problems = problems::by_plugin(context, &found);
    // What is wrong with it is among the problems.
    let lock = Lock::read(context).ok().flatten();
    let mut all: Vec<InspectedPlugin> =
        found.iter().flatten().map(|one| inspected(context, one, lock.as_ref())).collect();
    for one in &mut all {
        one.problems = problems.remove(&one.name).unwrap_or_default();
    }
    // Files that cannot be used, settings of plugins that are not there, and folders.
    all.extend(problems.into_iter().map(|(name, problems)| InspectedPlugin {
        databases: context.project.plugins().setting(&name).databases,
        name,
        path: None,
        kinds: Vec::new(),
        version: String::new(),
        about: String::new(),
        digest: None,
        source: None,
        lock: None,
        imports: Vec::new(),
        permissions: Vec::new(),
        problems,
    }));
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

/// The plugin of this name, or of this file in a plugins folder.
///
/// Fails if there is none.
pub(crate) fn named(context: &Context, name: &str) -> Result<InspectedPlugin> {
    let all = all(context);
    let path = context.cwd.join(name);
    let is_meant = |one: &InspectedPlugin| {
        one.name == name || one.path.as_deref().is_some_and(|it| same(it, &path))
    };
    let names: Vec<String> = all.iter().map(|one| one.name.clone()).collect();
    all.into_iter().find(is_meant).ok_or_else(|| {
        let error = Error::usage(format!("this project has no plugin {name}"));
        match nearest(name, names.iter().map(String::as_str)) {
            Some(near) => error.hint(format!("did you mean {near}?")),
            None => error.hint("lsrun plugin list shows all of them"),
        }
    })
}

fn same(one: &Path, other: &Path) -> bool {
    one == other || std::fs::canonicalize(other).is_ok_and(|other| other == one)
}

fn inspected(context: &Context, found: &PluginFile, lock: Option<&Lock>) -> InspectedPlugin {
    let digest = found.read().ok().map(|(_bytes, digest)| digest);
    let locked = lock.and_then(|lock| lock.plugins.get(&found.name));
    let setting = context.project.plugins().setting(&found.name);
    let grants = Grants::new(&found.name, &found.manifest.permissions, &setting.grant);
    let kinds = KINDS.into_iter().filter(|(interface, _)| found.is(interface));
    InspectedPlugin {
        name: found.name.clone(),
        path: Some(found.path.clone()),
        kinds: kinds.map(|(_, word)| word).collect(),
        version: found.manifest.version.clone(),
        about: found.manifest.about.clone(),
        source: locked.and_then(|locked| locked.source.clone()),
        lock: lock.zip(digest.as_ref()).map(|(lock, digest)| {
            let grant = &setting.grant;
            match (locked, lock.difference(&found.name, digest, grant)) {
                (None, _) => "not locked",
                (Some(_), None) => "locked",
                (Some(_), Some(_)) => "changed",
            }
        }),
        digest: digest.map(|digest| digest.to_string()),
        imports: found.outline.imports.iter().map(|import| import.name.clone()).collect(),
        permissions: grants
            .each()
            .map(|(asked, granted)| InspectedPermission {
                asked: asked.to_owned(),
                granted: granted.into_iter().map(str::to_owned).collect(),
            })
            .collect(),
        databases: setting.databases,
        problems: Vec::new(),
    }
}
