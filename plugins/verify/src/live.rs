//! What the live database held when the sentinel was committed: its schema, and
//! the content of its tables, read in the host while the replica is waited for and
//! restored.

use lsrun_plugin::host::report::Check;
use lsrun_plugin::host::sqlite::{Connection, ContentJob, TableContent, Value};
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

/// A state of the live database, being read.
pub(crate) struct Live {
    snapshot: Snapshot,
    pub(crate) schema: Result<Vec<(String, String)>, Error>,
    job: Option<Result<ContentJob, Error>>,
}

impl Live {
    /// Starts reading.
    pub(crate) fn start(snapshot: Snapshot, options: &Options) -> Self {
        let schema = schema(&snapshot.reader);
        let content = wanted(options, Id::Content);
        let job = (content || wanted(options, Id::Rows))
            .then(|| tables::start(&snapshot.reader, content));
        Self { snapshot, schema, job }
    }

    /// The tables' content, in their order.
    pub(crate) fn contents(&mut self) -> Result<Vec<TableContent>, Error> {
        match self.job.take() {
            Some(job) => tables::contents(&job?),
            None => Ok(Vec::new()),
        }
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
