//! `types`: facts about the things that guests hold.

use wasmtime::component::Resource;

use super::instants::age;
use crate::litestream::replica::source::Source;
use crate::plugin::bindings::types::{
    Error, Host, HostDatabase, HostInvocation, HostPresentDatabase, HostReplaced, HostRestorePlan,
    HostRestoredCopy,
};
use crate::plugin::failure::{Failure, to_guest};
use crate::plugin::handles::{
    DatabaseHandle, InvocationHandle, PresentDatabaseHandle, ReplacedHandle, RestorePlanHandle,
    RestoredCopyHandle,
};
use crate::plugin::store::State;

impl Host for State {
    fn convert_error(&mut self, failure: Failure) -> wasmtime::Result<Error> {
        match failure {
            Failure::Guest(error) => {
                self.given.remember(&error);
                Ok(to_guest(&error))
            }
            Failure::Trap(error) => Err(error),
        }
    }
}

impl HostDatabase for State {
    async fn name(&mut self, handle: Resource<DatabaseHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.0.name())
    }

    async fn path(&mut self, handle: Resource<DatabaseHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.0.path.display().to_string())
    }

    async fn exists(&mut self, handle: Resource<DatabaseHandle>) -> wasmtime::Result<bool> {
        Ok(self.table.get(&handle)?.0.path.exists())
    }

    async fn replica(&mut self, handle: Resource<DatabaseHandle>) -> wasmtime::Result<String> {
        let database = self.table.get(&handle)?.0.clone();
        let config = self.call.context.config();
        let replica = config.and_then(|config| config.replica(&database));
        Ok(replica.map(|replica| replica.description).unwrap_or_default())
    }

    async fn drop(&mut self, handle: Resource<DatabaseHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostRestoredCopy for State {
    async fn txid(
        &mut self,
        handle: Resource<RestoredCopyHandle>,
    ) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&handle)?.0.txid.map(|txid| txid.to_string()))
    }

    async fn bytes(&mut self, handle: Resource<RestoredCopyHandle>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&handle)?.0.bytes)
    }

    async fn duration_ms(&mut self, handle: Resource<RestoredCopyHandle>) -> wasmtime::Result<u64> {
        Ok(crate::figures::milliseconds(self.table.get(&handle)?.0.duration))
    }

    async fn engine(&mut self, handle: Resource<RestoredCopyHandle>) -> wasmtime::Result<String> {
        let read = self.table.get(&handle)?.0.read;
        Ok(if read.is_some() { "lsrun" } else { "litestream" }.to_owned())
    }

    async fn read_bytes(
        &mut self,
        handle: Resource<RestoredCopyHandle>,
    ) -> wasmtime::Result<Option<u64>> {
        Ok(self.table.get(&handle)?.0.read.map(|read| read.bytes))
    }

    async fn files(
        &mut self,
        handle: Resource<RestoredCopyHandle>,
    ) -> wasmtime::Result<Option<u32>> {
        Ok(self.table.get(&handle)?.0.read.map(|read| read.files))
    }

    async fn purpose(&mut self, handle: Resource<RestoredCopyHandle>) -> wasmtime::Result<String> {
        // What is to be put in place has a place.
        let target = &self.table.get(&handle)?.0.target;
        Ok(if target.is_some() { "restore" } else { "verify" }.to_owned())
    }

    async fn written(
        &mut self,
        handle: Resource<RestoredCopyHandle>,
    ) -> wasmtime::Result<Option<String>> {
        let copy = std::sync::Arc::clone(&self.table.get(&handle)?.0);
        let written = copy.written(&self.call.context).await;
        Ok(written.map(crate::figures::time))
    }

    async fn requested_point(
        &mut self,
        handle: Resource<RestoredCopyHandle>,
    ) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&handle)?.0.requested.clone())
    }

    async fn drop(&mut self, handle: Resource<RestoredCopyHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostRestorePlan for State {
    async fn database(
        &mut self,
        handle: Resource<RestorePlanHandle>,
    ) -> wasmtime::Result<Option<Resource<DatabaseHandle>>> {
        let database = match &self.table.get(&handle)?.request.source {
            Source::Database(database) => DatabaseHandle(database.clone()),
            Source::Url(_) => return Ok(None),
        };
        Ok(Some(self.table.push(database)?))
    }

    async fn source(&mut self, handle: Resource<RestorePlanHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.plan.source.clone())
    }

    async fn target(
        &mut self,
        handle: Resource<RestorePlanHandle>,
    ) -> wasmtime::Result<Option<String>> {
        let target = self.table.get(&handle)?.request.target.as_ref();
        Ok(target.map(|path| path.display().to_string()))
    }

    async fn replaces(&mut self, handle: Resource<RestorePlanHandle>) -> wasmtime::Result<bool> {
        Ok(self.table.get(&handle)?.request.target_exists())
    }

    async fn txid(
        &mut self,
        handle: Resource<RestorePlanHandle>,
    ) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&handle)?.plan.txid.map(|txid| txid.to_string()))
    }

    async fn timestamp(
        &mut self,
        handle: Resource<RestorePlanHandle>,
    ) -> wasmtime::Result<Option<String>> {
        let timestamp = self.table.get(&handle)?.plan.timestamp;
        Ok(timestamp.map(crate::figures::time))
    }

    async fn age_ms(
        &mut self,
        handle: Resource<RestorePlanHandle>,
    ) -> wasmtime::Result<Option<u64>> {
        Ok(self.table.get(&handle)?.plan.timestamp.map(age))
    }

    async fn bytes(
        &mut self,
        handle: Resource<RestorePlanHandle>,
    ) -> wasmtime::Result<Option<u64>> {
        Ok(self.table.get(&handle)?.plan.bytes)
    }

    async fn expected_ms(
        &mut self,
        handle: Resource<RestorePlanHandle>,
    ) -> wasmtime::Result<Option<u64>> {
        Ok(self.table.get(&handle)?.expected.map(crate::figures::milliseconds))
    }

    async fn present(
        &mut self,
        handle: Resource<RestorePlanHandle>,
    ) -> wasmtime::Result<Option<Resource<PresentDatabaseHandle>>> {
        match self.table.get(&handle)?.plan.present.clone() {
            Some(present) => Ok(Some(self.table.push(PresentDatabaseHandle(present))?)),
            None => Ok(None),
        }
    }

    async fn drop(&mut self, handle: Resource<RestorePlanHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostPresentDatabase for State {
    async fn bytes(&mut self, handle: Resource<PresentDatabaseHandle>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&handle)?.0.bytes)
    }

    async fn written(
        &mut self,
        handle: Resource<PresentDatabaseHandle>,
    ) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&handle)?.0.written.map(crate::figures::time))
    }

    async fn age_ms(
        &mut self,
        handle: Resource<PresentDatabaseHandle>,
    ) -> wasmtime::Result<Option<u64>> {
        Ok(self.table.get(&handle)?.0.written.map(age))
    }

    async fn txid(
        &mut self,
        handle: Resource<PresentDatabaseHandle>,
    ) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&handle)?.0.txid.map(|txid| txid.to_string()))
    }

    async fn ahead(
        &mut self,
        handle: Resource<PresentDatabaseHandle>,
    ) -> wasmtime::Result<Option<u64>> {
        Ok(self.table.get(&handle)?.0.ahead)
    }

    async fn drop(&mut self, handle: Resource<PresentDatabaseHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostReplaced for State {
    async fn path(&mut self, handle: Resource<ReplacedHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.0.path.display().to_string())
    }

    async fn kept(&mut self, handle: Resource<ReplacedHandle>) -> wasmtime::Result<Option<String>> {
        let kept = self.table.get(&handle)?.0.kept.as_ref();
        Ok(kept.map(|path| path.display().to_string()))
    }

    async fn txid(&mut self, handle: Resource<ReplacedHandle>) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&handle)?.0.txid.map(|txid| txid.to_string()))
    }

    async fn bytes(&mut self, handle: Resource<ReplacedHandle>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&handle)?.0.bytes)
    }

    async fn drop(&mut self, handle: Resource<ReplacedHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostInvocation for State {
    async fn name(&mut self, handle: Resource<InvocationHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.0.name.clone())
    }

    async fn argument(
        &mut self,
        handle: Resource<InvocationHandle>,
        name: String,
    ) -> wasmtime::Result<Vec<String>> {
        Ok(self.table.get(&handle)?.0.arguments.get(&name).cloned().unwrap_or_default())
    }

    async fn flag(
        &mut self,
        handle: Resource<InvocationHandle>,
        name: String,
    ) -> wasmtime::Result<bool> {
        Ok(self.table.get(&handle)?.0.flags.contains(&name))
    }

    async fn databases(
        &mut self,
        handle: Resource<InvocationHandle>,
    ) -> wasmtime::Result<Vec<Resource<DatabaseHandle>>> {
        let databases = self.table.get(&handle)?.0.databases.clone();
        databases.into_iter().map(|one| Ok(self.table.push(DatabaseHandle(one))?)).collect()
    }

    async fn timeout_ms(&mut self, handle: Resource<InvocationHandle>) -> wasmtime::Result<u64> {
        Ok(crate::figures::milliseconds(self.table.get(&handle)?.0.timeout))
    }

    async fn drop(&mut self, handle: Resource<InvocationHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}
