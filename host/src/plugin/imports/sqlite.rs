//! `sqlite`: SQL under a grant.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::Resource;

use crate::code::Code;
use crate::error::Error;
use crate::litestream::replica::places::Places;
use crate::litestream::replica::txid::Txid;
use crate::plugin::bindings::sqlite::{
    Host, HostConnection, HostContentJob, HostIntegrity, HostIntegrityJob, HostPageComparison,
    HostPagesJob, HostRows, HostTableContent, Statement, Value,
};
use crate::plugin::failure::Failure;
use crate::plugin::handles::{
    ConnectionHandle, ContentJobHandle, DatabaseHandle, IntegrityHandle, IntegrityJobHandle,
    PageComparisonHandle, PagesJobHandle, ProofHandle, RestoredCopyHandle, RowsHandle,
    TableContentHandle,
};
use crate::plugin::limits::Exceeded;
use crate::plugin::store::State;
use crate::project;
use crate::sqlite::{self, Access, Level};

/// Rows a guest may ask for at once.
const MAX_ROWS: usize = 10_000;

impl Host for State {
    async fn open(
        &mut self,
        handle: Resource<DatabaseHandle>,
    ) -> Result<Resource<ConnectionHandle>, Failure> {
        let database = self.table.get(&handle)?.0.clone();
        if !self.call.databases.iter().any(|own| own.path == database.path) {
            self.call.plugin.grants.require_sqlite("read", &database)?;
        }
        self.connect(&database.path.clone(), Access::Read, Some(database), None).await
    }

    async fn open_for_writing(
        &mut self,
        handle: Resource<DatabaseHandle>,
    ) -> Result<Resource<ConnectionHandle>, Failure> {
        let database = self.table.get(&handle)?.0.clone();
        self.call.plugin.grants.require_sqlite("write", &database)?;
        self.connect(&database.path.clone(), Access::Write, Some(database), None).await
    }

    async fn open_copy(
        &mut self,
        handle: Resource<RestoredCopyHandle>,
    ) -> Result<Resource<ConnectionHandle>, Failure> {
        let copy = self.table.get(&handle)?.0.clone();
        self.connect(&copy.path, Access::Copy, None, copy.txid).await
    }
}

impl State {
    async fn connect(
        &mut self,
        path: &std::path::Path,
        access: Access,
        database: Option<project::Database>,
        copied: Option<Txid>,
    ) -> Result<Resource<ConnectionHandle>, Failure> {
        let is_held = |entry: &&mut (dyn std::any::Any + Send)| {
            entry.is::<ConnectionHandle>()
                || entry.downcast_ref::<RowsHandle>().is_some_and(RowsHandle::is_orphan)
        };
        let held = self.table.iter_mut().filter(is_held).count();
        if held >= sqlite::MOST_CONNECTIONS {
            let message = format!("it has {held} connections, the most that it may have");
            return Err(Error::new(Code::Busy, message).hint("drop one first").into());
        }
        // Its statements end with the call.
        let deadline = self.ends;
        let stop = self.stop.clone();
        let slots = self.connections.clone();
        let sql = sqlite::Connection::open(path, access, deadline, stop, &slots).await?;
        let sql = Arc::new(sql);
        Ok(self.table.push(ConnectionHandle { sql, database, copied, places: None })?)
    }
}

impl HostConnection for State {
    async fn query(
        &mut self,
        handle: Resource<ConnectionHandle>,
        sql: String,
        parameters: Vec<Value>,
    ) -> Result<Resource<RowsHandle>, Failure> {
        let statement = Statement { sql, parameters };
        let connection = Arc::clone(&self.table.get(&handle)?.sql);
        let rows = connection.query(statement.into())?;
        Ok(self.table.push(RowsHandle { rows, read: 0, connection })?)
    }

    async fn query_all(
        &mut self,
        handle: Resource<ConnectionHandle>,
        sql: String,
        parameters: Vec<Value>,
        max: u32,
    ) -> Result<Vec<Vec<Value>>, Failure> {
        let statement = Statement { sql, parameters };
        let mut rows = Arc::clone(&self.table.get(&handle)?.sql).query(statement.into())?;
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let mut all: Vec<Vec<Value>> = Vec::new();
        loop {
            let some = rows.next(MAX_ROWS).await?;
            if some.is_empty() {
                return Ok(all);
            }
            if all.len() + some.len() > max {
                let message = format!("the query has more than {max} rows");
                return Err(Error::new(Code::Limit, message)
                    .hint("ask for fewer, or read them in parts with query")
                    .into());
            }
            if (all.len() + some.len()) as u64 > self.limits.rows {
                return Err(Failure::Trap(Exceeded::Rows(self.limits.rows).into()));
            }
            all.extend(some.into_iter().map(|row| row.into_iter().map(Into::into).collect()));
        }
    }

    async fn transact(
        &mut self,
        handle: Resource<ConnectionHandle>,
        statements: Vec<Statement>,
        lock_ms: Option<u64>,
    ) -> Result<u64, Failure> {
        let statements = statements.into_iter().map(Into::into).collect();
        let connection = &self.table.get(&handle)?.sql;
        Ok(match lock_ms {
            Some(limit) => {
                connection.transact_within(statements, Duration::from_millis(limit)).await?
            }
            None => connection.transact(statements).await?,
        })
    }

    async fn content(
        &mut self,
        handle: Resource<ConnectionHandle>,
        tables: Vec<String>,
        with_digest: bool,
    ) -> Result<Resource<ContentJobHandle>, Failure> {
        let contents = self.table.get(&handle)?.sql.content(tables, with_digest)?;
        Ok(self.table.push(ContentJobHandle(contents))?)
    }

    async fn integrity(
        &mut self,
        handle: Resource<ConnectionHandle>,
        level: String,
    ) -> Result<Resource<IntegrityJobHandle>, Failure> {
        let level = match level.as_str() {
            "full" => Level::Full,
            "quick" => Level::Quick,
            _ => {
                let message = format!("'{level}' is neither full nor quick");
                return Err(Error::usage(message).into());
            }
        };
        let job = self.table.get(&handle)?.sql.integrity(level)?;
        Ok(self.table.push(IntegrityJobHandle(job))?)
    }

    async fn hold(&mut self, handle: Resource<ConnectionHandle>) -> Result<(), Failure> {
        let connection = self.table.get(&handle)?;
        connection.sql.hold().await?;
        let Some(database) = &connection.database else { return Ok(()) };
        let config = self.call.context.config()?;
        let state = Some(config.meta_path(database));
        let replica = config.replica(database)?.folder;
        let places = Places::watch(state.into_iter().chain(replica).collect());
        self.table.get_mut(&handle)?.places = Some(places);
        Ok(())
    }

    async fn pages(
        &mut self,
        handle: Resource<ConnectionHandle>,
        copy: Resource<RestoredCopyHandle>,
    ) -> Result<Resource<PagesJobHandle>, Failure> {
        let copy = self.table.get(&copy)?.0.clone();
        let connection = self.table.get(&handle)?;
        if let Some(txid) = connection.copied {
            let job = connection.sql.pages_of_copies(copy.path.clone(), txid.0)?;
            return Ok(self.table.push(PagesJobHandle(job))?);
        }
        let Some(places) = &connection.places else { return Err(not_held().into()) };
        let Some(txid) = copy.txid else {
            return Err(Error::inconclusive("litestream 0.3 does not number transactions").into());
        };
        let job = connection.sql.pages(copy.path.clone(), places.from(txid)?)?;
        Ok(self.table.push(PagesJobHandle(job))?)
    }

    async fn pages_of_proof(
        &mut self,
        handle: Resource<ConnectionHandle>,
        proof: Resource<ProofHandle>,
    ) -> Result<Resource<PagesJobHandle>, Failure> {
        let proof = &self.table.get(&proof)?.0;
        let (table, txid) = (Arc::clone(&proof.table), proof.txid);
        let connection = self.table.get(&handle)?;
        let Some(places) = &connection.places else { return Err(not_held().into()) };
        let job = connection.sql.pages_of_table(table, places.from(txid)?)?;
        Ok(self.table.push(PagesJobHandle(job))?)
    }

    async fn distrust_schema(&mut self, handle: Resource<ConnectionHandle>) -> Result<(), Failure> {
        Ok(self.table.get(&handle)?.sql.distrust_schema().await?)
    }

    async fn drop(&mut self, handle: Resource<ConnectionHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

fn not_held() -> Error {
    Error::inconclusive("no snapshot of the database is held")
}

impl State {
    /// The next rows, counted against what the call may read.
    async fn take_rows(
        &mut self,
        handle: &Resource<RowsHandle>,
        max: u32,
    ) -> Result<Vec<Vec<sqlite::Value>>, Failure> {
        let max = usize::try_from(max).unwrap_or(MAX_ROWS).min(MAX_ROWS);
        let limit = self.limits.rows;
        let RowsHandle { rows, read, .. } = self.table.get_mut(handle)?;
        let rows = rows.next(max).await?;
        *read += rows.len() as u64;
        if *read > limit {
            return Err(Failure::Trap(Exceeded::Rows(limit).into()));
        }
        Ok(rows)
    }
}

impl HostRows for State {
    async fn columns(&mut self, handle: Resource<RowsHandle>) -> Result<Vec<String>, Failure> {
        Ok(self.table.get_mut(&handle)?.rows.columns().await?)
    }

    async fn next(
        &mut self,
        handle: Resource<RowsHandle>,
        max: u32,
    ) -> Result<Vec<Vec<Value>>, Failure> {
        let rows = self.take_rows(&handle, max).await?;
        Ok(rows.into_iter().map(|row| row.into_iter().map(Into::into).collect()).collect())
    }

    async fn next_json(
        &mut self,
        handle: Resource<RowsHandle>,
        max: u32,
    ) -> Result<String, Failure> {
        Ok(sqlite::rows_as_json(&self.take_rows(&handle, max).await?))
    }

    async fn drop(&mut self, handle: Resource<RowsHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostContentJob for State {
    async fn next(
        &mut self,
        handle: Resource<ContentJobHandle>,
    ) -> Result<Option<Resource<TableContentHandle>>, Failure> {
        match self.table.get_mut(&handle)?.0.next().await? {
            Some(content) => Ok(Some(self.table.push(TableContentHandle(content))?)),
            None => Ok(None),
        }
    }

    async fn drop(&mut self, handle: Resource<ContentJobHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostIntegrityJob for State {
    async fn wait(
        &mut self,
        handle: Resource<IntegrityJobHandle>,
    ) -> Result<Resource<IntegrityHandle>, Failure> {
        let found = self.table.get_mut(&handle)?.0.wait().await?;
        Ok(self.table.push(IntegrityHandle(found))?)
    }

    async fn drop(&mut self, handle: Resource<IntegrityJobHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostIntegrity for State {
    async fn problems(
        &mut self,
        handle: Resource<IntegrityHandle>,
    ) -> wasmtime::Result<Vec<String>> {
        Ok(self.table.get(&handle)?.0.problems.clone())
    }

    async fn limited(
        &mut self,
        handle: Resource<IntegrityHandle>,
    ) -> wasmtime::Result<Vec<String>> {
        Ok(self.table.get(&handle)?.0.limited.clone())
    }

    async fn drop(&mut self, handle: Resource<IntegrityHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostTableContent for State {
    async fn table(&mut self, handle: Resource<TableContentHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.0.table.clone())
    }

    async fn rows(&mut self, handle: Resource<TableContentHandle>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&handle)?.0.rows)
    }

    async fn digest(
        &mut self,
        handle: Resource<TableContentHandle>,
    ) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&handle)?.0.digest.clone())
    }

    async fn drop(&mut self, handle: Resource<TableContentHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostPagesJob for State {
    async fn wait(
        &mut self,
        handle: Resource<PagesJobHandle>,
    ) -> Result<Resource<PageComparisonHandle>, Failure> {
        let comparison = self.table.get_mut(&handle)?.0.wait().await?;
        Ok(self.table.push(PageComparisonHandle(comparison))?)
    }

    async fn drop(&mut self, handle: Resource<PagesJobHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostPageComparison for State {
    async fn txid(&mut self, handle: Resource<PageComparisonHandle>) -> wasmtime::Result<String> {
        Ok(Txid(self.table.get(&handle)?.0.txid).to_string())
    }

    async fn pages(&mut self, handle: Resource<PageComparisonHandle>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&handle)?.0.pages)
    }

    async fn copied(&mut self, handle: Resource<PageComparisonHandle>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&handle)?.0.copied)
    }

    async fn differing(&mut self, handle: Resource<PageComparisonHandle>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&handle)?.0.differing)
    }

    async fn first(
        &mut self,
        handle: Resource<PageComparisonHandle>,
    ) -> wasmtime::Result<Vec<u64>> {
        Ok(self.table.get(&handle)?.0.first.clone())
    }

    async fn drop(&mut self, handle: Resource<PageComparisonHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl From<Statement> for sqlite::Statement {
    fn from(statement: Statement) -> Self {
        Self {
            sql: statement.sql,
            parameters: statement.parameters.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Value> for sqlite::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Integer(integer) => Self::Integer(integer),
            Value::Real(real) => Self::Real(real),
            Value::Text(text) => Self::Text(text),
            Value::Blob(bytes) => Self::Blob(bytes),
        }
    }
}

impl From<sqlite::Value> for Value {
    fn from(value: sqlite::Value) -> Self {
        match value {
            sqlite::Value::Null => Self::Null,
            sqlite::Value::Integer(integer) => Self::Integer(integer),
            sqlite::Value::Real(real) => Self::Real(real),
            sqlite::Value::Text(text) => Self::Text(text),
            sqlite::Value::Blob(bytes) => Self::Blob(bytes),
        }
    }
}
