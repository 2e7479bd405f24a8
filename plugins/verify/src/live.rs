//! A snapshot of the live database, and what is read of it: its schema and the
//! content of its tables.

use lsrun_plugin::host::litestream::Proof;
use lsrun_plugin::host::report::Check;
use lsrun_plugin::host::sqlite::{Connection, ContentJob, PageComparison, TableContent, Value};
use lsrun_plugin::prelude::*;
use lsrun_plugin::tables;

use crate::damaged::Damage;
use crate::options::{Id, Options};
use crate::sentinel::Snapshot;
use crate::{Ended, wanted};

/// What belongs to the tools and not to the application is left out.
const SCHEMA: &str = "SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_schema \
    WHERE tbl_name NOT IN ('_litestream_seq', '_litestream_lock', '_litestream_verification') \
    ORDER BY 1";

/// A state of the live database.
pub(crate) struct Live {
    snapshot: Snapshot,
    job: Option<Result<ContentJob, Error>>,
}

impl Live {
    /// Starts to read the rows if they are surely needed: in the host, while the
    /// replica is waited for and restored.
    pub(crate) fn start(snapshot: Snapshot, options: &Options) -> Self {
        let mut live = Self { snapshot, job: None };
        if !options.wants(Id::Pages) {
            live.read(options);
        }
        live
    }

    /// Compares the copy with the state at the copy's transaction, page by page.
    pub(crate) fn pages(&self, copy: &RestoredCopy) -> Result<PageComparison, Error> {
        self.snapshot.reader.pages(copy)?.wait()
    }

    /// The same with the files of the replica.
    pub(crate) fn pages_of_proof(&self, proof: &Proof) -> Result<PageComparison, Error> {
        self.snapshot.reader.pages_of_proof(proof)?.wait()
    }

    /// Starts to read the rows, unless that was done.
    pub(crate) fn read(&mut self, options: &Options) {
        let content = wanted(options, Id::Content);
        if self.job.is_none() && self.snapshot.exact && (content || wanted(options, Id::Rows)) {
            self.job = Some(tables::start(&self.snapshot.reader, content));
        }
    }

    /// The tables' content, in their order.
    pub(crate) fn contents(&mut self) -> Result<Vec<TableContent>, Error> {
        match self.job.take() {
            Some(job) => tables::contents(&job?),
            None => Ok(Vec::new()),
        }
    }

    /// Name and SQL of everything in the schema. After the tables' content, as the
    /// connection is busy until then.
    pub(crate) fn schema(&self) -> Result<Vec<(String, String)>, Error> {
        schema(&self.snapshot.reader)
    }

    /// Whether the state is surely the one that a copy has to have.
    pub(crate) fn is_exact(&self) -> bool {
        self.snapshot.exact
    }

    /// The connection that holds the state; busy until the content was read.
    pub(crate) fn reader(&self) -> &Connection {
        &self.snapshot.reader
    }

    /// Whether a difference is the backup's fault for sure: nobody has committed
    /// since.
    pub(crate) fn is_current(&self) -> bool {
        self.snapshot.is_current()
    }
}

/// For `--read-only`: the state as it is now.
pub(crate) fn without_sentinel(
    database: &Database,
    options: &Options,
) -> Result<Option<Live>, Ended> {
    if !options.compares() {
        return Ok(None);
    }
    let snapshot = Snapshot::of_now(database)
        .map_err(|error| Damage::or_could_not(Check::new("snapshot"), error))?;
    Ok(snapshot.map(|snapshot| Live::start(snapshot, options)))
}

/// Name and SQL of everything in the schema.
pub(crate) fn schema(connection: &Connection) -> Result<Vec<(String, String)>, Error> {
    let rows = connection.rows(SCHEMA, &[])?;
    let text_of =
        |value: Option<&Value>| value.map_or(Ok(String::new()), |it| text(it).map(Into::into));
    rows.iter().map(|row| Ok((text_of(row.first())?, text_of(row.get(1))?))).collect()
}
