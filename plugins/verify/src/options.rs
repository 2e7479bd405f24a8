//! The options of the command line.

use lsrun_plugin::prelude::*;

/// The checks that can be chosen besides assertions and plugins, each of which has its
/// own name. The names never change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Id {
    IntegrityCheck,
    ForeignKeyCheck,
    Pages,
    Schema,
    Rows,
    Content,
    Litestream,
    Lag,
    RestoreTime,
    /// All of them; one is `assertion:NAME`.
    Assertions,
    /// All of them; one has the plugin's name.
    Plugins,
}

impl Id {
    const ALL: [Self; 11] = [
        Self::IntegrityCheck,
        Self::ForeignKeyCheck,
        Self::Pages,
        Self::Schema,
        Self::Rows,
        Self::Content,
        Self::Litestream,
        Self::Lag,
        Self::RestoreTime,
        Self::Assertions,
        Self::Plugins,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::IntegrityCheck => "integrity_check",
            Self::ForeignKeyCheck => "foreign_key_check",
            Self::Pages => "pages",
            Self::Schema => "schema",
            Self::Rows => "rows",
            Self::Content => "content",
            Self::Litestream => "litestream",
            Self::Lag => "lag",
            Self::RestoreTime => "restore_time",
            Self::Assertions => "assertions",
            Self::Plugins => "plugins",
        }
    }
}

/// What the id of an assertion begins with.
pub(crate) const ASSERTION: &str = "assertion:";

/// An older point to prove.
pub(crate) enum Point {
    /// 16 hexadecimal digits.
    Txid(String),
    /// A time as the host reads it.
    Time(String),
    /// The newest one, without asking a daemon or the live database.
    Latest,
    /// Any of them.
    Random,
}

/// How much is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// As the project file says.
    Due,
    /// Only what is new, if there is a whole proof.
    Incremental,
    /// Everything.
    Full,
}

pub(crate) struct Options {
    only: Vec<String>,
    skip: Vec<String>,
    pub(crate) fast: bool,
    pub(crate) read_only: bool,
    pub(crate) keep: bool,
    /// Whether known damages have to be found.
    pub(crate) self_test: bool,
    pub(crate) depth: Depth,
    pub(crate) at: Option<Point>,
    /// How long a wait may take.
    pub(crate) timeout_ms: u64,
}

impl Options {
    pub(crate) fn of(invocation: &Invocation, database: &Database) -> Result<Self, Error> {
        let options = Self {
            only: invocation.argument("check"),
            skip: invocation.argument("skip"),
            fast: invocation.flag("fast"),
            read_only: invocation.flag("read-only"),
            keep: invocation.flag("keep"),
            self_test: invocation.flag("self-test"),
            depth: depth(invocation)?,
            at: at(invocation)?,
            timeout_ms: invocation.timeout_ms(),
        };
        options.only.iter().chain(&options.skip).try_for_each(|name| known(name, database))?;
        Ok(options)
    }

    pub(crate) fn wants(&self, id: Id) -> bool {
        if id == Id::Content && self.fast {
            return false;
        }
        self.wants_named(id.name(), id)
    }

    /// Whether one of a group is wanted, by its own name or with the group.
    pub(crate) fn wants_named(&self, name: &str, group: Id) -> bool {
        let named = |list: &[String]| list.iter().any(|one| one == name || one == group.name());
        (self.only.is_empty() || named(&self.only)) && !named(&self.skip)
    }

    /// Whether only some of the checks are wanted.
    pub(crate) fn only_some(&self) -> bool {
        !self.only.is_empty()
    }

    /// Whether nothing but this one is wanted.
    pub(crate) fn only_names(&self, id: Id) -> bool {
        self.only_some() && self.only.iter().all(|one| one == id.name())
    }

    /// Whether the command line names this one.
    pub(crate) fn names(&self, id: Id) -> bool {
        self.only.iter().any(|one| one == id.name())
    }

    /// The ids of single assertions that were named.
    pub(crate) fn assertions_named(&self) -> impl Iterator<Item = &str> {
        let named = self.only.iter().chain(&self.skip).map(String::as_str);
        named.filter(|name| name.starts_with(ASSERTION))
    }

    /// Whether the copy is compared with the live database.
    pub(crate) fn compares(&self) -> bool {
        self.at.is_none()
            && [Id::Pages, Id::Schema, Id::Rows, Id::Content].into_iter().any(|id| self.wants(id))
    }

    /// Whether schema, rows and content are only compared where the pages are not, or
    /// to say where the pages differ. Naming them selects them.
    pub(crate) fn rows_stand_in(&self) -> bool {
        self.only.is_empty() && self.wants(Id::Pages)
    }
}

/// An error for what is the name of no check.
fn known(name: &str, database: &Database) -> Result<(), Error> {
    if Id::ALL.iter().any(|id| id.name() == name)
        || name.starts_with(ASSERTION)
        || hooks::checks(Some(database)).iter().any(|plugin| plugin == name)
    {
        return Ok(());
    }
    let ids = Id::ALL.map(Id::name).join(", ");
    let mut error = error("invalid", format!("no check is named '{name}'"));
    error.hint =
        Some(format!("the checks are {ids}, assertion:NAME, and the names of check plugins"));
    Err(error)
}

fn depth(invocation: &Invocation) -> Result<Depth, Error> {
    match (invocation.flag("incremental"), invocation.flag("full")) {
        (true, true) => Err(error("invalid", "--incremental and --full exclude each other")),
        (true, false) => Ok(Depth::Incremental),
        (false, true) => Ok(Depth::Full),
        (false, false) => Ok(Depth::Due),
    }
}

fn at(invocation: &Invocation) -> Result<Option<Point>, Error> {
    let at = invocation.argument("at").into_iter().next();
    if !invocation.flag("random-point") {
        return at.map(|at| point(&at)).transpose();
    }
    if at.is_some() {
        return Err(error("invalid", "--random-point and --at exclude each other"));
    }
    if invocation.flag("incremental") {
        let mut error = error("invalid", "--random-point and --incremental exclude each other");
        error.hint = Some("an older point is proved by a restored copy of it".into());
        return Err(error);
    }
    Ok(Some(Point::Random))
}

fn point(text: &str) -> Result<Point, Error> {
    if text == "latest" {
        return Ok(Point::Latest);
    }
    if text.contains(['-', ':']) || text.ends_with(" ago") || text == "yesterday" {
        return Ok(Point::Time(text.to_owned()));
    }
    if text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(Point::Txid(text.to_ascii_lowercase()));
    }
    match text.parse::<u64>() {
        Ok(number) if number > 0 => Ok(Point::Txid(format!("{number:016x}"))),
        _ => Err(error("invalid", format!("{text} is neither a TXID nor a time nor latest"))),
    }
}
