//! The Litestream configuration of a project: what `lsrun config` prints, and the
//! private form that a child process gets. Starting that child is not done here,
//! and nothing is contacted.

mod chain;
mod destination;
mod found;
mod keys;
mod printed;
mod read;
mod render;
mod sites;
mod tree;

#[cfg(test)]
mod acceptance;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use self::chain::Keys;
use self::destination::{Destination, View};
use self::found::Index;
use self::keys::{ENTRY, TOP, TYPES, remove_daemons};
use self::printed::Printer;
use self::read::{Reader, go_duration};
use self::render::Variables;
use self::sites::{Site, Sites};
use self::tree::{Map, Node, Role, Text};
use crate::code::Code;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::nearest::nearest;
use crate::path::{Identities, absolute, expand_home};
use crate::project::{Database, Entry, Project, gather};
use crate::reference::{Piece, resolve};
use crate::secret::Secret;

/// The variable of the bucket of an automatic replica.
const BUCKET: &str = "LITESTREAM_REPLICA_BUCKET";
/// The keys that go with automatic replicas, and their variables.
const CREDENTIALS: [(&str, &str); 2] = [
    ("access-key-id", "LITESTREAM_ACCESS_KEY_ID"),
    ("secret-access-key", "LITESTREAM_SECRET_ACCESS_KEY"),
];
/// What serves when a variable of Litestream's is not set.
const FALLBACKS: [(&str, &str); 3] = [
    (BUCKET, "AWS_BUCKET"),
    ("LITESTREAM_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"),
    ("LITESTREAM_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"),
];
/// Where a daemon listens whose configuration names no other place.
pub(crate) const DEFAULT_SOCKET: &str = "/var/run/litestream.sock";
/// How often a daemon that lsrun starts brings changes to a folder.
const FOLDER_INTERVAL: &str = "100ms";
/// Litestream's default for both intervals.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

/// The checked configuration.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// What the user should know, one line each.
    pub warnings: Vec<String>,
    /// The keys at the top, without `dbs`.
    top: Map,
    /// How many of them stand before `dbs`.
    before: usize,
    entries: Vec<Listed>,
    index: Index,
    /// The keys at the top that lsrun added.
    added: Vec<&'static str>,
    root: PathBuf,
    environment: Environment,
}

/// An entry of `dbs`: what it replicates, and its keys.
#[derive(Debug, Clone)]
struct Listed {
    entry: Entry,
    keys: Map,
}

/// What a child process is started for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// `replicate` as a daemon, with everything the user configured.
    Replicate {
        /// Where the control socket is put when the user configured none.
        socket: Option<PathBuf>,
    },
    /// `replicate -once` of one database, beside a daemon or without.
    Once {
        /// Its absolute path.
        database: PathBuf,
    },
    /// What only reads: `ltx`, `restore`, `status`, `databases`.
    Read {
        /// Its absolute path; `None` for all entries.
        database: Option<PathBuf>,
    },
}

/// A configuration for a child process.
#[derive(Debug, Clone)]
pub(crate) struct ChildConfig {
    /// The content of its file. It holds no secret.
    pub yaml: String,
    /// What must be in its environment for the file to mean what it should.
    pub variables: Vec<(String, Secret)>,
    /// Where the keys of an object store come from that nobody set.
    pub note: Option<&'static str>,
}

/// Where the backup of a database goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replica {
    /// `file`, `s3`, `gs`, `abs`, `sftp`, `webdav`, `nats`, `oss`.
    pub kind: String,
    /// One line without secrets: `file /srv/replica`, `s3 bucket/path`.
    pub description: String,
    /// The folder of a file replica, absolute.
    pub folder: Option<PathBuf>,
    /// The server behind it, where it is known.
    pub endpoint: Option<(String, u16)>,
}

impl Replica {
    /// What a replica URL alone says, as Litestream reads it.
    #[must_use]
    pub(crate) fn of_url(url: &str, environment: &Environment) -> Self {
        let keys = Map(vec![("url".into(), Node::Text(Text::literal(url, Role::Plain)))]);
        let (top, root, text) = (Map::default(), Path::new("/"), Text::as_written);
        View { replica: &keys, top: &top, root, environment, text: &text }.described()
    }
}

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// lsrun refuses to go on.
    Error,
    /// It works, perhaps not as meant.
    Warning,
    /// What was tried, and what was not.
    Note,
}

/// One finding of `config --check`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The code under which plugins see it (`types.wit`).
    pub code: &'static str,
    /// What is wrong and where.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Problem {
    /// One without a hint.
    pub(crate) fn new(severity: Severity, code: &'static str, message: impl Into<String>) -> Self {
        Self { severity, code, message: message.into(), hint: None }
    }

    /// What to do.
    pub(crate) fn hint(self, hint: &str) -> Self {
        Self { hint: Some(hint.to_owned()), ..self }
    }
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        Self {
            severity: Severity::Error,
            code: error.code().as_str(),
            message: error.one_line(),
            hint: error.hint_text().map(str::to_owned),
        }
    }
}

/// What can be found out about a configuration without contacting anything.
pub(crate) struct Examined {
    /// What [`Config::of`] refuses, the variables that a daemon would need and that are
    /// not set, and the warnings.
    pub(crate) problems: Vec<Problem>,
    /// Where every entry's backup goes, with the name that messages give the entry;
    /// also of a configuration that is refused.
    pub(crate) replicas: Vec<(String, Replica)>,
    /// Where the keys of an object store come from that nobody set.
    pub(crate) note: Option<&'static str>,
}

/// Everything about the configuration of `project` that [`Config::of`] knows.
#[must_use]
pub(crate) fn examine(project: &Project, environment: &Environment) -> Examined {
    let (config, mut errors) = Config::build(project, environment);
    let child = config.compose(&Purpose::Replicate { socket: None }, environment);
    let note = child.as_ref().ok().and_then(|child| child.note);
    errors.extend(child.err().unwrap_or_default());
    let warnings = config.warnings.iter();
    let warnings =
        warnings.map(|message| Problem::new(Severity::Warning, "project", message.clone()));
    let entries = config.entries.iter();
    let replicas = entries.flat_map(|listed| {
        let replicas = listed.replicas().into_iter();
        replicas.map(|keys| (listed.name(), config.described(keys)))
    });
    Examined {
        problems: errors.iter().map(Problem::from).chain(warnings).collect(),
        replicas: replicas.collect(),
        note,
    }
}

/// The error for a control socket whose path the system does not take: what is asked at
/// it would wait for an answer that cannot come.
fn too_long(socket: &Path) -> Option<Error> {
    /// `sockaddr_un.sun_path` without the zero at its end.
    const MOST: usize = if cfg!(target_os = "linux") { 107 } else { 103 };
    let bytes = socket.as_os_str().len();
    (bytes > MOST).then(|| {
        Error::project("the path of litestream.socket is too long for a socket")
            .cause(format!("{} has {bytes} bytes, at most {MOST} are possible", socket.display()))
            .hint("name a shorter path, such as /run/litestream.sock")
    })
}

impl Config {
    /// Builds and checks the configuration of `project`. Needs neither credentials
    /// nor the litestream binary.
    ///
    /// Fails (exit 20) with everything that would lose data or that Litestream
    /// would refuse.
    pub(crate) fn of(project: &Project, environment: &Environment) -> Result<Self> {
        let (config, problems) = Self::build(project, environment);
        gather(problems, |count| {
            format!("{count} things are wrong with the Litestream configuration")
        })?;
        Ok(config)
    }

    fn build(project: &Project, environment: &Environment) -> (Self, Vec<Error>) {
        let mut reader = Reader { expand: project.expands(), ..Reader::default() };
        let mut config = Self {
            warnings: Vec::new(),
            top: Map::default(),
            before: 0,
            entries: Vec::new(),
            index: Index::default(),
            added: Vec::new(),
            root: project.root.clone(),
            environment: environment.clone(),
        };
        if let Some(section) = project.litestream() {
            config.top = reader.map(&section, &TOP);
            let keys = section.entries("a mapping").unwrap_or_default();
            let before: Vec<&str> =
                keys.iter().map(|(key, _)| *key).take_while(|key| *key != "dbs").collect();
            config.before = config
                .top
                .0
                .iter()
                .take_while(|(name, _)| {
                    before.iter().any(|key| key == name || key.replace('_', "-") == *name)
                })
                .count();
        }
        let prefix = config.prefix(project, &mut reader);
        let mut automatic = false;
        let items = project.dbs().and_then(|dbs| dbs.items("a list").ok());
        let mut identities = Identities::default();
        for (index, entry) in project.entries().iter().enumerate() {
            let entry = match entry {
                Ok(entry) => entry.clone(),
                Err(error) => {
                    reader.problems.push(error.clone());
                    continue;
                }
            };
            let item = items.as_ref().and_then(|items| items.get(index));
            let mut keys = item.map(|item| reader.map(item, &ENTRY)).unwrap_or_default();
            let (key, path) = match &entry {
                Entry::Database { database, warning } => {
                    reader.warnings.extend(warning.clone());
                    ("path", database.path.clone())
                }
                Entry::Directory { path, .. } => ("dir", path.clone()),
            };
            keys.set(key, Node::Text(Text::literal(path.display().to_string(), Role::Path)));
            let mut listed = Listed { entry, keys };
            if project.is_of_litestream() {
                // Litestream refuses it: nothing may be made up here.
                if listed.replicas().is_empty() {
                    reader.problems.push(without_replica(&listed.name()));
                }
            } else {
                automatic |= listed.add_replica(&prefix);
            }
            listed.settle_replicas();
            config.index.add(&listed.entry, config.entries.len(), &mut identities);
            config.entries.push(listed);
        }
        if automatic {
            for (key, variable) in CREDENTIALS {
                if config.top.get(key).is_none() {
                    config.top.set(key, Node::Text(Text::reference(variable, Role::Secret)));
                    config.added.push(key);
                }
            }
        }
        if project.dbs().is_none() && config.entries.is_empty() {
            reader.problems.push(project.no_databases());
        }
        config.warnings = reader.warnings;
        let mut problems = reader.problems;
        config.check(&mut problems, &mut identities);
        (config, problems)
    }

    /// `path_prefix` with a slash at its end, or nothing.
    fn prefix(&self, project: &Project, reader: &mut Reader) -> Option<Text> {
        let section = project.litestream()?;
        let value = section.get("path_prefix").or_else(|| section.get("path-prefix"))?;
        match value.text("a text") {
            Ok(text) => {
                let text = text.trim_end_matches('/');
                (!text.is_empty()).then(|| {
                    let text = format!("{text}/");
                    if reader.expand {
                        Text::with_references(&text, Role::Plain)
                    } else {
                        Text::literal(text, Role::Plain)
                    }
                })
            }
            Err(error) => {
                reader.problems.push(error);
                None
            }
        }
    }

    /// What entries must not be to each other or to themselves.
    fn check(&mut self, problems: &mut Vec<Error>, identities: &mut Identities) {
        problems.extend(self.socket().and_then(|socket| too_long(&socket)));
        let all: Vec<Site> =
            self.entries.iter().map(|listed| self.site(listed, identities)).collect();
        let sites = Sites::of(&all);
        for (listed, site) in self.entries.iter().zip(&all) {
            check_keys(listed, problems);
            for replica in listed.replicas() {
                check_replica(listed, replica, problems);
            }
            let folders = site.places.iter().filter(|place| place.kind == "file");
            problems.extend(folders.filter_map(|place| overwrites(site, place, &sites)));
        }
        problems.extend(sites.clashes());
        let warnings: Vec<String> = self
            .entries
            .iter()
            .zip(&all)
            .flat_map(|(listed, site)| self.odd(listed, site, &sites))
            .collect();
        self.warnings.extend(warnings);
    }

    fn site(&self, listed: &Listed, identities: &mut Identities) -> Site {
        let text = self.lookup_text();
        let state = listed.entry.database().map(|database| {
            let folder = self.state_folder(&listed.keys, &database.path);
            identities.of(&folder)
        });
        let mut place = |replica| {
            let mut place = self.view(replica, &text).destination();
            if place.kind == "file" && !place.path.is_empty() {
                place.path = identities.of(Path::new(&place.path)).display().to_string();
            }
            place
        };
        let places = listed.replicas().into_iter().map(&mut place).collect();
        Site { name: listed.name(), path: identities.of(listed.path()), state, places }
    }

    /// Warnings about one entry.
    fn odd(&self, listed: &Listed, site: &Site, sites: &Sites<'_>) -> Vec<String> {
        let mut warnings = Vec::new();
        let name = listed.name();
        if let Some(letter) = listed.entry.database().and_then(|it| misread(&it.path)) {
            warnings.push(format!(
                "the path of {name} has a `{letter}`: Litestream 0.5.17 opens a file of another \
                 name instead and cannot replicate this one; rename it"
            ));
        }
        for replica in listed.replicas() {
            let text = self.lookup_text();
            let kind = self.view(replica, &text).kind();
            if !TYPES.contains(&kind.as_str()) && !kind.contains('$') {
                let hint = nearest(&kind, TYPES).map(|close| format!("; did you mean `{close}`?"));
                warnings.push(format!(
                    "the replica of {name} is of the type `{kind}`, which Litestream 0.5.17 does \
                     not know{}",
                    hint.unwrap_or_default()
                ));
            }
            if kind == "file" && self.view(replica, &text).folder().is_none() {
                warnings
                    .push(format!("the replica of {name} has no `path`: Litestream refuses it"));
            }
        }
        if let Entry::Directory { .. } = listed.entry {
            let below = sites.below(site);
            if !below.is_empty() {
                let verb = if below.len() == 1 { "backup" } else { "backups" };
                warnings.push(format!(
                    "the {verb} of {} would lie below the one of {name}: a database of that name \
                     in the folder would overwrite it",
                    first_of(&below)
                ));
            }
        }
        warnings
    }

    /// What `lsrun config` prints, in Litestream's own language: variables stay where
    /// they mean the same there. Without `reveal`, secrets that stand in the project
    /// file are shown as `***`.
    #[must_use]
    pub(crate) fn to_yaml(&self, reveal: bool) -> String {
        let printer = self.printer(reveal);
        render::yaml(&self.document(), &mut |text| printer.yaml(text))
    }

    /// The same as [`Self::to_yaml`], as JSON.
    #[must_use]
    pub(crate) fn to_json(&self, reveal: bool) -> String {
        render::json(&self.document(), &self.printer(reveal))
    }

    fn printer(&self, reveal: bool) -> Printer<'_> {
        Printer { root: &self.root, environment: &self.environment, reveal }
    }

    /// The whole configuration, `dbs` where the user had it.
    fn document(&self) -> Map {
        let entries = self.entries.iter().map(|listed| Node::Map(listed.keys.clone())).collect();
        let mut document = self.top.clone();
        let at = self.before.min(document.0.len());
        document.0.insert(at, ("dbs".to_owned(), Node::List(entries)));
        document
    }

    /// The configuration for a child process: every value as it is meant, whatever
    /// characters it has, and no secret in the file.
    ///
    /// Fails (exit 20) when the database is not replicated by this project, or with
    /// every variable that is needed and set nowhere.
    pub(crate) fn for_child(
        &self,
        purpose: &Purpose,
        environment: &Environment,
    ) -> Result<ChildConfig> {
        self.compose(purpose, environment).or_else(|errors| {
            gather(errors, |count| {
                format!("{count} things are missing for the Litestream configuration")
            })?;
            Err(Error::new(Code::Unexpected, "no configuration"))
        })
    }

    fn compose(
        &self,
        purpose: &Purpose,
        environment: &Environment,
    ) -> Result<ChildConfig, Vec<Error>> {
        let wanted = match purpose {
            Purpose::Replicate { .. } | Purpose::Read { database: None } => None,
            Purpose::Once { database } | Purpose::Read { database: Some(database) } => {
                Some(database)
            }
        };
        let mut entries: Vec<Map> = match wanted {
            None => self.entries.iter().map(|listed| listed.keys.clone()).collect(),
            Some(path) => vec![self.keys_of(path, None).map_err(|error| vec![error])?],
        };
        let mut top = self.top.clone();
        match purpose {
            Purpose::Replicate { socket } => {
                top.remove("exec");
                entries.iter_mut().for_each(|entry| self.hasten(entry));
                if let (Some(socket), None) = (socket, top.get("socket")) {
                    let path = Text::literal(socket.display().to_string(), Role::Path);
                    let keys = [
                        ("enabled", Node::Bool(true)),
                        ("path", Node::Text(path)),
                        ("permissions", Node::Number(0o600.into())),
                    ];
                    let keys = keys.map(|(key, node)| (key.to_owned(), node));
                    top.set("socket", Node::Map(Map(keys.into())));
                }
            }
            Purpose::Once { .. } => {
                remove_daemons(&mut top);
                // A failed `-once` waits that long before it ends.
                let short = Text::literal("1s", Role::Plain);
                top.set("shutdown-sync-timeout", Node::Text(short));
            }
            Purpose::Read { .. } => remove_daemons(&mut top),
        }
        let keys = self.keys_for(&entries, environment);
        if keys != Keys::Variables {
            self.added.iter().for_each(|key| top.remove(key));
        }
        // Logs on stdout would be in the middle of `-json` output.
        let stderr = Node::Bool(true);
        match top.get_mut("logging") {
            Some(Node::Map(logging)) => logging.set("stderr", stderr),
            _ => top.set("logging", Node::Map(Map(vec![("stderr".to_owned(), stderr)]))),
        }
        top.set("dbs", Node::List(entries.into_iter().map(Node::Map).collect()));
        self.write(&top, environment).map(|child| ChildConfig { note: keys.note(), ..child })
    }

    /// A folder takes what was written after [`FOLDER_INTERVAL`], so that nobody who
    /// waits for the replica waits for a second. On object stores, where each round with
    /// changes is a paid request, Litestream's default stays.
    fn hasten(&self, entry: &mut Map) {
        let hasten = |node: &mut Node| {
            let Node::Map(replica) = node else { return };
            let text = self.lookup_text();
            let is_folder = self.view(replica, &text).kind() == "file";
            if is_folder && replica.get("sync-interval").is_none() {
                let interval = Text::literal(FOLDER_INTERVAL, Role::Plain);
                replica.set("sync-interval", Node::Text(interval));
            }
        };
        if self.top.get("sync-interval").is_some() {
            return;
        }
        if let Some(replica) = entry.get_mut("replica") {
            hasten(replica);
        }
        if let Some(Node::List(items)) = entry.get_mut("replicas") {
            items.iter_mut().for_each(hasten);
        }
    }

    fn write(&self, document: &Map, environment: &Environment) -> Result<ChildConfig, Vec<Error>> {
        let mut variables = Variables::default();
        let mut missing: Vec<String> = Vec::new();
        let yaml = render::yaml(document, &mut |text| {
            let parts = match self.parts(text, environment) {
                Ok(parts) => parts,
                Err(name) => {
                    if !missing.contains(&name) {
                        missing.push(name);
                    }
                    Vec::new()
                }
            };
            variables.scalar(&parts, text.role)
        });
        if missing.is_empty() {
            return Ok(ChildConfig { yaml, variables: variables.all, note: None });
        }
        Err(missing.iter().map(|name| unset(name)).collect())
    }

    /// The pieces of `text` with their values; see [`Variables::scalar`].
    fn parts(
        &self,
        text: &Text,
        environment: &Environment,
    ) -> Result<Vec<Option<(String, bool)>>, String> {
        let lookup = |name: &str| lookup(environment, name);
        let of_pid = text.pieces.iter().any(render::is_pid);
        if text.role == Role::Path && !of_pid {
            let resolved = resolve(&text.pieces, &lookup)?;
            // An empty path is Litestream's to refuse, not the project's folder.
            let path = if resolved.text.is_empty() {
                resolved.text
            } else {
                let path = expand_home(&resolved.text, environment);
                absolute(&self.root, &path).display().to_string()
            };
            return Ok(vec![Some((path, resolved.from_environment))]);
        }
        if !of_pid {
            let resolved = resolve(&text.pieces, &lookup)?;
            return Ok(vec![Some((resolved.text, resolved.from_environment))]);
        }
        let part = |piece: &Piece| {
            if render::is_pid(piece) {
                return Ok(None);
            }
            let resolved = resolve(std::slice::from_ref(piece), &lookup)?;
            Ok(Some((resolved.text, resolved.from_environment)))
        };
        text.pieces.iter().map(part).collect()
    }

    /// Where the backup of `database` goes.
    ///
    /// Fails (exit 20) when no entry replicates it.
    pub(crate) fn replica(&self, database: &Database) -> Result<Replica> {
        let keys = self.keys_of(&database.path, database.alias.as_ref().map(|it| it.as_str()))?;
        let Some(replica) = replicas_of(&keys).into_iter().next() else {
            return Err(not_replicated(&database.name()));
        };
        Ok(self.described(replica))
    }

    fn described(&self, replica: &Map) -> Replica {
        self.view(replica, &self.lookup_text()).described()
    }

    /// The keys of the entry of the database at `path`; for one in the folder of a
    /// `dir:` entry, the ones that Litestream makes up for it.
    fn keys_of(&self, path: &Path, alias: Option<&str>) -> Result<Map> {
        let at = |index: usize| self.entries.get(index);
        if let Some(listed) = self.index.named(path).and_then(at) {
            return Ok(listed.keys.clone());
        }
        let holds = |index: usize| at(index).is_some_and(|listed| listed.entry.holds(path));
        let holding = self.index.holding(path, holds).and_then(at);
        let relative =
            holding.and_then(|listed| Some((listed, path.strip_prefix(listed.path()).ok()?)));
        match relative {
            Some((listed, relative)) => Ok(listed.member(path, relative)),
            None => Err(not_replicated(alias.unwrap_or(&path.display().to_string()))),
        }
    }

    /// The control socket of a daemon, when the user configured one.
    #[must_use]
    pub(crate) fn socket(&self) -> Option<PathBuf> {
        let socket = self.top.get("socket")?.map()?;
        let enabled = match socket.get("enabled")? {
            Node::Bool(truth) => *truth,
            Node::Text(text) => self.lookup_text()(text).eq_ignore_ascii_case("true"),
            _ => false,
        };
        enabled.then(|| match socket.text("path") {
            Some(path) => self.local(path),
            None => PathBuf::from(DEFAULT_SOCKET),
        })
    }

    /// The command that runs beside the daemon (`exec`). It is not in the
    /// configuration of a child: lsrun runs it.
    #[must_use]
    pub(crate) fn exec(&self) -> Option<String> {
        self.top.text("exec").map(|text| self.lookup_text()(text)).filter(|it| !it.is_empty())
    }

    /// The addresses that a daemon listens on: the key and `[host]:port`.
    #[must_use]
    pub(crate) fn addresses(&self) -> Vec<(&'static str, String)> {
        ["addr", "mcp-addr"]
            .into_iter()
            .filter_map(|key| Some((key, self.lookup_text()(self.top.text(key)?))))
            .filter(|(_, address)| !address.is_empty())
            .collect()
    }

    /// How long a daemon tries to bring the last changes to the replica at its end
    /// (`shutdown-sync-timeout`; Litestream's default is 30 s).
    #[must_use]
    pub(crate) fn shutdown_timeout(&self) -> Duration {
        match self.top.get("shutdown-sync-timeout") {
            None => Duration::from_secs(30),
            given => self.interval(given),
        }
    }

    /// The folder where Litestream keeps its state of `database`.
    #[must_use]
    pub(crate) fn meta_path(&self, database: &Database) -> PathBuf {
        let keys = self.keys_of(&database.path, None).unwrap_or_default();
        self.state_folder(&keys, &database.path)
    }

    fn state_folder(&self, keys: &Map, database: &Path) -> PathBuf {
        if let Some(path) = keys.text("meta-path") {
            return self.local(path);
        }
        let name = database.file_name().unwrap_or_default().to_string_lossy();
        database.with_file_name(format!(".{name}-litestream"))
    }

    /// How often Litestream looks for changes of `database`.
    #[must_use]
    pub(crate) fn monitor_interval(&self, database: &Database) -> Duration {
        let keys = self.keys_of(&database.path, None).unwrap_or_default();
        self.interval(keys.get("monitor-interval"))
    }

    fn interval(&self, node: Option<&Node>) -> Duration {
        let nanoseconds = match node {
            Some(Node::Text(text)) => go_duration(&self.lookup_text()(text)),
            Some(Node::Number(number)) => number.as_i64(),
            _ => None,
        };
        nanoseconds
            .and_then(|nanoseconds| u64::try_from(nanoseconds).ok())
            .map_or(DEFAULT_INTERVAL, Duration::from_nanos)
    }

    /// A path of the local disk, as a child gets it.
    fn local(&self, text: &Text) -> PathBuf {
        let words = self.lookup_text()(text);
        absolute(&self.root, &expand_home(&words, &self.environment))
    }

    /// Text with its references replaced, or as written when one is not set.
    fn lookup_text(&self) -> impl Fn(&Text) -> String {
        |text| {
            resolve(&text.pieces, &|name| lookup(&self.environment, name))
                .map_or_else(|_| text.as_written(), |resolved| resolved.text)
        }
    }

    fn view<'a>(&'a self, replica: &'a Map, text: &'a dyn Fn(&Text) -> String) -> View<'a> {
        View { replica, top: &self.top, root: &self.root, environment: &self.environment, text }
    }
}

impl Listed {
    /// How messages call it.
    fn name(&self) -> String {
        match &self.entry {
            Entry::Database { database, .. } => database.name(),
            Entry::Directory { path, .. } => path.display().to_string(),
        }
    }

    fn path(&self) -> &Path {
        match &self.entry {
            Entry::Database { database, .. } => &database.path,
            Entry::Directory { path, .. } => path,
        }
    }

    fn replicas(&self) -> Vec<&Map> {
        replicas_of(&self.keys)
    }

    /// Gives an entry without a replica the automatic one; tells whether it did.
    fn add_replica(&mut self, prefix: &Option<Text>) -> bool {
        let given = self.keys.get("replica").is_some();
        let listed = match self.keys.get("replicas") {
            Some(Node::List(items)) => !items.is_empty(),
            _ => false,
        };
        if !listed {
            self.keys.remove("replicas");
        }
        if given || listed {
            return false;
        }
        let name = self.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut path = Text::literal("", Role::Plain);
        path.pieces = prefix.iter().flat_map(|prefix| prefix.pieces.clone()).collect();
        path.pieces.push(Piece::Literal(name));
        let keys = [
            ("type", Node::Text(Text::literal("s3", Role::Plain))),
            ("bucket", Node::Text(Text::reference(BUCKET, Role::Plain))),
            ("path", Node::Text(path)),
        ];
        let keys = keys.map(|(key, node)| (key.to_owned(), node));
        self.keys.set("replica", Node::Map(Map(keys.into())));
        true
    }

    /// Marks the `path` of file replicas as one of the local disk.
    fn settle_replicas(&mut self) {
        let settle = |node: &mut Node| {
            let Node::Map(replica) = node else { return };
            let kind = replica.text("type").map(Text::as_written).unwrap_or_default();
            if replica.get("url").is_none()
                && matches!(kind.as_str(), "" | "file")
                && let Some(path) = replica.text_mut("path")
            {
                path.role = Role::Path;
            }
        };
        if let Some(replica) = self.keys.get_mut("replica") {
            settle(replica);
        }
        if let Some(Node::List(items)) = self.keys.get_mut("replicas") {
            items.iter_mut().for_each(settle);
        }
    }

    /// The entry that Litestream makes up for a database in the folder of a `dir:`
    /// entry.
    fn member(&self, path: &Path, relative: &Path) -> Map {
        let mut keys = self.keys.clone();
        for key in ["dir", "pattern", "recursive", "watch"] {
            keys.remove(key);
        }
        let text = Text::literal(path.display().to_string(), Role::Path);
        keys.0.insert(0, ("path".to_owned(), Node::Text(text)));
        let name = relative.file_name().unwrap_or_default().to_string_lossy();
        let state = relative.with_file_name(format!(".{name}-litestream"));
        if let Some(Node::Text(mut base)) = keys.get("meta-dir").cloned() {
            keys.remove("meta-dir");
            base.join(&state.display().to_string());
            keys.set("meta-path", Node::Text(base));
        } else if let Some(base) = keys.text_mut("meta-path") {
            base.join(&state.display().to_string());
        }
        let relative = relative.display().to_string();
        let extend = |node: &mut Node| {
            let Node::Map(replica) = node else { return };
            let key = if replica.get("url").is_some() { "url" } else { "path" };
            match replica.text_mut(key) {
                Some(base) => base.join(&relative),
                None => replica.set(key, Node::Text(Text::literal(relative.as_str(), Role::Plain))),
            }
        };
        if let Some(replica) = keys.get_mut("replica") {
            extend(replica);
        }
        if let Some(Node::List(items)) = keys.get_mut("replicas") {
            items.iter_mut().for_each(extend);
        }
        keys
    }
}

fn check_replica(listed: &Listed, replica: &Map, problems: &mut Vec<Error>) {
    let name = listed.name();
    if replica.get("url").is_some() && replica.get("path").is_some() {
        problems.push(
            Error::project(format!("the replica of {name} has both `url` and `path`"))
                .hint("the path belongs into the URL, or drop the URL for `type` and `path`"),
        );
    }
    if replica.text("path").is_some_and(|path| path.as_written().contains("://")) {
        problems.push(
            Error::project(format!("the `path` of the replica of {name} is a URL"))
                .hint("call it `url`"),
        );
    }
}

/// The error for a file replica that would lie in something of a database's own.
fn overwrites(site: &Site, place: &Destination, sites: &Sites<'_>) -> Option<Error> {
    let (what, of) = sites.overwritten(Path::new(&place.path))?;
    let name = &site.name;
    let whose = if of == name { String::new() } else { format!(" {of}") };
    let error =
        Error::project(format!("the replica of {name} would lie in {}, {what}{whose}", place.path));
    Some(error.hint("give it a folder of its own, better on another disk"))
}

/// The first few names.
pub(crate) fn first_of(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    match names.get(..SHOWN).filter(|_| names.len() > SHOWN + 1) {
        Some(first) => format!("{} and {} more", first.join(", "), names.len() - SHOWN),
        None => names.join(", "),
    }
}

fn without_replica(name: &str) -> Error {
    Error::project(format!("{name} has no `replica`"))
        .hint("Litestream refuses such an entry: give it a `replica`")
}

/// Keys of one entry that exclude or need each other.
fn check_keys(listed: &Listed, problems: &mut Vec<Error>) {
    let name = listed.name();
    let replicas = listed.replicas().len();
    if listed.keys.get("replica").is_some() && listed.keys.get("replicas").is_some() {
        problems.push(
            Error::project(format!("{name} has both `replica` and `replicas`"))
                .hint("Litestream takes one replica: keep `replica`"),
        );
    } else if replicas > 1 {
        problems.push(
            Error::project(format!("{name} has {replicas} replicas"))
                .hint("Litestream 0.5 takes one replica for a database: keep one"),
        );
    }
    match listed.entry {
        Entry::Directory { .. } if listed.keys.get("pattern").is_none() => problems.push(
            Error::project(format!("{name} has no `pattern`"))
                .hint("say which files are databases: `pattern: \"*.db\"`"),
        ),
        Entry::Directory { .. } => {}
        Entry::Database { .. } => {
            for key in ["pattern", "recursive", "watch", "meta-dir"] {
                if listed.keys.get(key).is_some() {
                    problems.push(Error::project(format!(
                        "{name} has `{key}`, which belongs to an entry with `dir`"
                    )));
                }
            }
        }
    }
}

/// The replicas of an entry, under either key.
fn replicas_of(keys: &Map) -> Vec<&Map> {
    let one = keys.get("replica").and_then(Node::map);
    let list = match keys.get("replicas") {
        Some(Node::List(items)) => items.as_slice(),
        _ => &[],
    };
    one.into_iter().chain(list.iter().filter_map(Node::map)).collect()
}

/// The character of a path that Litestream's SQLite driver reads as part of a
/// URI: with `x#y.db` it creates and opens `x`.
fn misread(path: &Path) -> Option<char> {
    let text = path.to_string_lossy();
    let escape = text.split('%').skip(1).any(|after| {
        after.get(..2).is_some_and(|digits| digits.chars().all(|digit| digit.is_ascii_hexdigit()))
    });
    text.chars().find(|letter| "#?".contains(*letter)).or_else(|| escape.then_some('%'))
}

/// A variable, or the one that serves in its place.
fn lookup<'e>(environment: &'e Environment, name: &str) -> Option<&'e str> {
    environment.get(name).or_else(|| environment.get(fallback(name)?))
}

fn fallback(name: &str) -> Option<&'static str> {
    FALLBACKS.iter().find(|(from, _)| *from == name).map(|(_, to)| *to)
}

fn unset(name: &str) -> Error {
    let error = match fallback(name) {
        Some(other) => Error::project(format!(
            "the environment variable {name} is not set, and neither is {other}"
        )),
        None => Error::project(format!("the environment variable {name} is not set")),
    };
    if name == BUCKET {
        error.hint(format!("set {name}, or give the database a `replica`"))
    } else if CREDENTIALS.iter().any(|(_, variable)| *variable == name) {
        error.hint(format!(
            "set {name}, or leave out both keys: then the AWS credential chain finds them"
        ))
    } else {
        error.hint(format!("set {name}, or use -no-expand-env when the `$` is a plain character"))
    }
}

fn not_replicated(name: &str) -> Error {
    Error::project(format!("{name} is not replicated: no entry of `litestream.dbs` names it"))
        .hint("add `- path: …` to `litestream.dbs`, or remove `dbs` to replicate every database")
}
