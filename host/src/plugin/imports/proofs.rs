//! `litestream.proof-request` and what follows from it: the files of a replica, proved.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::Resource;

use super::instants::age;
use super::litestream::JOBS;
use crate::figures::milliseconds;
use crate::litestream::proof::{self, ProofRequest};
use crate::plugin::bindings::litestream::{HostProofJob, HostProofRequest};
use crate::plugin::bindings::types::HostProof;
use crate::plugin::failure::Failure;
use crate::plugin::handles::{
    DatabaseHandle, HostJob, ProofHandle, ProofJobHandle, ProofRequestHandle,
};
use crate::plugin::limits;
use crate::plugin::store::{Role, State};

impl HostProofRequest for State {
    async fn new(
        &mut self,
        handle: Resource<DatabaseHandle>,
    ) -> wasmtime::Result<Resource<ProofRequestHandle>> {
        let database = self.table.get(&handle)?.0.clone();
        let request = ProofRequest { database, incremental: false, patience: self.call.patience };
        Ok(self.table.push(ProofRequestHandle(request))?)
    }

    async fn set_incremental(
        &mut self,
        handle: Resource<ProofRequestHandle>,
    ) -> wasmtime::Result<()> {
        self.table.get_mut(&handle)?.0.incremental = true;
        Ok(())
    }

    async fn set_timeout_ms(
        &mut self,
        handle: Resource<ProofRequestHandle>,
        timeout: u64,
    ) -> wasmtime::Result<()> {
        self.table.get_mut(&handle)?.0.patience = Duration::from_millis(timeout);
        Ok(())
    }

    async fn start(
        &mut self,
        handle: Resource<ProofRequestHandle>,
    ) -> Result<Resource<ProofJobHandle>, Failure> {
        let request = self.table.get(&handle)?.0.clone();
        self.call.plugin.grants.require_litestream("restore", Some(&request.database))?;
        let token = self.jobs.take(limits::JOBS, JOBS)?;
        let job = HostJob::start(proof::prove(Arc::clone(&self.call.context.session), request));
        Ok(self.table.push(ProofJobHandle(job, token))?)
    }

    async fn drop(&mut self, handle: Resource<ProofRequestHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostProofJob for State {
    async fn wait(
        &mut self,
        handle: Resource<ProofJobHandle>,
    ) -> Result<Resource<ProofHandle>, Failure> {
        let proof = self.table.get_mut(&handle)?.0.wait().await?;
        if self.call.role == Role::Command {
            self.call.sink.proved(proof.txid.to_string());
        }
        Ok(self.table.push(ProofHandle(proof))?)
    }

    async fn drop(&mut self, handle: Resource<ProofJobHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostProof for State {
    async fn txid(&mut self, handle: Resource<ProofHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.0.txid.to_string())
    }

    async fn duration_ms(&mut self, handle: Resource<ProofHandle>) -> wasmtime::Result<u64> {
        Ok(milliseconds(self.table.get(&handle)?.0.duration))
    }

    async fn files(&mut self, handle: Resource<ProofHandle>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&handle)?.0.read.files)
    }

    async fn read_bytes(&mut self, handle: Resource<ProofHandle>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&handle)?.0.read.bytes)
    }

    async fn known_files(&mut self, handle: Resource<ProofHandle>) -> wasmtime::Result<u32> {
        Ok(self.table.get(&handle)?.0.known.files)
    }

    async fn known_bytes(&mut self, handle: Resource<ProofHandle>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&handle)?.0.known.bytes)
    }

    async fn known_age_ms(
        &mut self,
        handle: Resource<ProofHandle>,
    ) -> wasmtime::Result<Option<u64>> {
        Ok(self.table.get(&handle)?.0.known_since.map(age))
    }

    async fn drop(&mut self, handle: Resource<ProofHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}
