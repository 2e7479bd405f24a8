//! `history`: the results of earlier proofs.

use wasmtime::component::Resource;

use super::instants::{age, instant};
use crate::figures::milliseconds;
use crate::plugin::bindings::history::{Host, HostPassedCheck, HostPastResult};
use crate::plugin::bindings::types::Instant;
use crate::plugin::failure::Failure;
use crate::plugin::handles::{DatabaseHandle, PassedCheckHandle, PastResultHandle};
use crate::plugin::limits;
use crate::plugin::store::State;
use crate::results::History;

impl Host for State {
    async fn results(
        &mut self,
        database: Resource<DatabaseHandle>,
        max: u32,
    ) -> Result<Vec<Resource<PastResultHandle>>, Failure> {
        let path = self.table.get(&database)?.0.path.display().to_string();
        let context = &self.call.context;
        let history = History::of(&context.project, &context.environment)?;
        let max = max.min(limits::RESULTS);
        let results = history.of_database(&path, max)?;
        results.into_iter().map(|past| Ok(self.table.push(PastResultHandle(past))?)).collect()
    }

    async fn last_passed(
        &mut self,
        database: Resource<DatabaseHandle>,
        check: String,
    ) -> Result<Option<Resource<PassedCheckHandle>>, Failure> {
        let path = self.table.get(&database)?.0.path.display().to_string();
        let context = &self.call.context;
        let history = History::of(&context.project, &context.environment)?;
        let Some(passed) = history.last_passed(&path, &check)? else { return Ok(None) };
        Ok(Some(self.table.push(PassedCheckHandle(passed))?))
    }
}

impl HostPassedCheck for State {
    async fn started(&mut self, handle: Resource<PassedCheckHandle>) -> wasmtime::Result<Instant> {
        Ok(instant(self.table.get(&handle)?.0.started))
    }

    async fn age_ms(&mut self, handle: Resource<PassedCheckHandle>) -> wasmtime::Result<u64> {
        Ok(age(self.table.get(&handle)?.0.started))
    }

    async fn message(&mut self, handle: Resource<PassedCheckHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.0.message.clone())
    }

    async fn drop(&mut self, handle: Resource<PassedCheckHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostPastResult for State {
    async fn command(&mut self, handle: Resource<PastResultHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.0.command.clone())
    }

    async fn started(&mut self, handle: Resource<PastResultHandle>) -> wasmtime::Result<Instant> {
        Ok(instant(self.table.get(&handle)?.0.started))
    }

    async fn outcome(&mut self, handle: Resource<PastResultHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.0.outcome.word().to_owned())
    }

    async fn txid(
        &mut self,
        handle: Resource<PastResultHandle>,
    ) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&handle)?.0.txid.clone())
    }

    async fn lag_ms(
        &mut self,
        handle: Resource<PastResultHandle>,
    ) -> wasmtime::Result<Option<u64>> {
        Ok(self.table.get(&handle)?.0.lag.map(milliseconds))
    }

    async fn restore_ms(
        &mut self,
        handle: Resource<PastResultHandle>,
    ) -> wasmtime::Result<Option<u64>> {
        Ok(self.table.get(&handle)?.0.restore.map(milliseconds))
    }

    async fn bytes(&mut self, handle: Resource<PastResultHandle>) -> wasmtime::Result<Option<u64>> {
        Ok(self.table.get(&handle)?.0.bytes)
    }

    async fn duration_ms(&mut self, handle: Resource<PastResultHandle>) -> wasmtime::Result<u64> {
        Ok(milliseconds(self.table.get(&handle)?.0.duration))
    }

    async fn not_passed(
        &mut self,
        handle: Resource<PastResultHandle>,
    ) -> wasmtime::Result<Vec<String>> {
        Ok(self.table.get(&handle)?.0.not_passed.clone())
    }

    async fn drop(&mut self, handle: Resource<PastResultHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}
