//! What the command line asks for.

use lsrun_plugin::prelude::*;

/// The checks that can be chosen. Their names never change.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Id {
    IntegrityCheck,
    ForeignKeyCheck,
    Schema,
    Rows,
    Content,
    Assertions,
    Plugins,
}

impl Id {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::IntegrityCheck => "integrity_check",
            Self::ForeignKeyCheck => "foreign_key_check",
            Self::Schema => "schema",
            Self::Rows => "rows",
            Self::Content => "content",
            Self::Assertions => "assertions",
            Self::Plugins => "plugins",
        }
    }
}

/// An older point to prove.
pub(crate) enum Point {
    /// 16 hexadecimal digits.
    Txid(String),
    /// RFC 3339.
    Time(String),
}

pub(crate) struct Options {
    only: Vec<String>,
    skip: Vec<String>,
    pub(crate) fast: bool,
    pub(crate) read_only: bool,
    pub(crate) keep: bool,
    pub(crate) at: Option<Point>,
}

impl Options {
    pub(crate) fn of(invocation: &Invocation) -> Result<Self, Error> {
        let at = invocation.argument("at").into_iter().next();
        Ok(Self {
            only: invocation.argument("check"),
            skip: invocation.argument("skip"),
            fast: invocation.flag("fast"),
            read_only: invocation.flag("read-only"),
            keep: invocation.flag("keep"),
            at: at.map(|at| point(&at)).transpose()?,
        })
    }

    pub(crate) fn wants(&self, id: Id) -> bool {
        let named = |list: &[String]| list.iter().any(|one| one == id.name());
        if id == Id::Content && self.fast {
            return false;
        }
        (self.only.is_empty() || named(&self.only)) && !named(&self.skip)
    }

    /// Whether the copy is compared with the live database.
    pub(crate) fn compares(&self) -> bool {
        self.at.is_none()
            && [Id::Schema, Id::Rows, Id::Content].into_iter().any(|id| self.wants(id))
    }
}

fn point(text: &str) -> Result<Point, Error> {
    if text.contains(['-', ':']) {
        return Ok(Point::Time(text.to_owned()));
    }
    if text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(Point::Txid(text.to_ascii_lowercase()));
    }
    match text.parse::<u64>() {
        Ok(number) if number > 0 => Ok(Point::Txid(format!("{number:016x}"))),
        _ => Err(error("invalid", format!("{text} is neither a TXID nor a time"))),
    }
}
