//! `types`: what hooks are called with around a proof and a replication.

use std::sync::Arc;

use wasmtime::component::Resource;

use super::instants::instant;
use crate::figures::milliseconds;
use crate::plugin::bindings::types::{
    Error, HostCheckResult, HostReplicatePlan, HostReplication, HostVerification, HostVerifyPlan,
    Instant,
};
use crate::plugin::events::{ReplicatePlan, VerifyPlan};
use crate::plugin::failure::to_guest;
use crate::plugin::handles::{
    CheckResultHandle, DatabaseHandle, ReplicatePlanHandle, ReplicationHandle, VerificationHandle,
    VerifyPlanHandle,
};
use crate::plugin::store::State;
use crate::report::{Check, json};

impl State {
    fn database_of(
        &mut self,
        plan: &VerifyPlan,
    ) -> wasmtime::Result<Option<Resource<DatabaseHandle>>> {
        let database = plan.database().cloned().map(DatabaseHandle);
        Ok(database.map(|database| self.table.push(database)).transpose()?)
    }

    fn databases_of(
        &mut self,
        plan: &ReplicatePlan,
    ) -> wasmtime::Result<Vec<Resource<DatabaseHandle>>> {
        let all = plan.databases.iter().cloned().map(DatabaseHandle);
        all.map(|database| Ok(self.table.push(database)?)).collect()
    }

    /// Where the backup is; empty if the configuration cannot say it.
    fn source_of(&self, plan: &VerifyPlan) -> String {
        plan.source.describe(&self.call.context).unwrap_or_default()
    }

    /// A text of a report without the run's secrets: what a hook gets may leave the
    /// machine.
    fn public(&self, text: &str) -> String {
        self.call.context.environment.redactor().apply(text).into_owned()
    }

    fn told(&self, error: &crate::error::Error) -> Error {
        let Error { code, message, hint, causes } = to_guest(error);
        Error {
            code,
            message: self.public(&message),
            hint: hint.map(|hint| self.public(&hint)),
            causes: causes.iter().map(|cause| self.public(cause)).collect(),
        }
    }

    fn check_of(&self, handle: &Resource<CheckResultHandle>) -> wasmtime::Result<&Check> {
        let CheckResultHandle(verification, index) = self.table.get(handle)?;
        let check = verification.report.checks.get(*index);
        check.ok_or_else(|| wasmtime::format_err!("there is no such check"))
    }
}

impl HostVerifyPlan for State {
    async fn command(&mut self, handle: Resource<VerifyPlanHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.0.command.clone())
    }

    async fn database(
        &mut self,
        handle: Resource<VerifyPlanHandle>,
    ) -> wasmtime::Result<Option<Resource<DatabaseHandle>>> {
        let held = Arc::clone(&self.table.get(&handle)?.0);
        self.database_of(&held)
    }

    async fn source(&mut self, handle: Resource<VerifyPlanHandle>) -> wasmtime::Result<String> {
        Ok(self.source_of(&self.table.get(&handle)?.0))
    }

    async fn drop(&mut self, handle: Resource<VerifyPlanHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostVerification for State {
    async fn command(&mut self, handle: Resource<VerificationHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.0.plan.command.clone())
    }

    async fn database(
        &mut self,
        handle: Resource<VerificationHandle>,
    ) -> wasmtime::Result<Option<Resource<DatabaseHandle>>> {
        let held = Arc::clone(&self.table.get(&handle)?.0);
        self.database_of(&held.plan)
    }

    async fn source(&mut self, handle: Resource<VerificationHandle>) -> wasmtime::Result<String> {
        Ok(self.source_of(&self.table.get(&handle)?.0.plan))
    }

    async fn outcome(&mut self, handle: Resource<VerificationHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.0.report.outcome().word().to_owned())
    }

    async fn exit_code(&mut self, handle: Resource<VerificationHandle>) -> wasmtime::Result<u8> {
        Ok(self.table.get(&handle)?.0.exit().code())
    }

    async fn error(
        &mut self,
        handle: Resource<VerificationHandle>,
    ) -> wasmtime::Result<Option<Error>> {
        Ok(self.table.get(&handle)?.0.report.error.as_ref().map(|error| self.told(error)))
    }

    async fn started(&mut self, handle: Resource<VerificationHandle>) -> wasmtime::Result<Instant> {
        Ok(instant(self.table.get(&handle)?.0.started))
    }

    async fn duration_ms(&mut self, handle: Resource<VerificationHandle>) -> wasmtime::Result<u64> {
        Ok(milliseconds(self.table.get(&handle)?.0.report.duration))
    }

    async fn txid(
        &mut self,
        handle: Resource<VerificationHandle>,
    ) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&handle)?.0.report.txid.clone())
    }

    async fn lag_ms(
        &mut self,
        handle: Resource<VerificationHandle>,
    ) -> wasmtime::Result<Option<u64>> {
        Ok(self.table.get(&handle)?.0.report.replication.as_ref().map(|it| milliseconds(it.lag)))
    }

    async fn restore_ms(
        &mut self,
        handle: Resource<VerificationHandle>,
    ) -> wasmtime::Result<Option<u64>> {
        Ok(self.table.get(&handle)?.0.report.restore.as_ref().map(|it| milliseconds(it.duration)))
    }

    async fn bytes(
        &mut self,
        handle: Resource<VerificationHandle>,
    ) -> wasmtime::Result<Option<u64>> {
        Ok(self.table.get(&handle)?.0.report.restore.as_ref().map(|it| it.bytes))
    }

    async fn checks(
        &mut self,
        handle: Resource<VerificationHandle>,
    ) -> wasmtime::Result<Vec<Resource<CheckResultHandle>>> {
        let held = Arc::clone(&self.table.get(&handle)?.0);
        let count = held.report.checks.len();
        let all = (0..count).map(|index| CheckResultHandle(Arc::clone(&held), index));
        all.map(|check| Ok(self.table.push(check)?)).collect()
    }

    async fn last_proved(
        &mut self,
        handle: Resource<VerificationHandle>,
    ) -> wasmtime::Result<Option<Instant>> {
        Ok(self.table.get(&handle)?.0.last_proved.map(instant))
    }

    async fn last_proved_whole(
        &mut self,
        handle: Resource<VerificationHandle>,
    ) -> wasmtime::Result<Option<Instant>> {
        // Every proof reads everything.
        Ok(self.table.get(&handle)?.0.last_proved.map(instant))
    }

    async fn json(&mut self, handle: Resource<VerificationHandle>) -> wasmtime::Result<String> {
        let held = Arc::clone(&self.table.get(&handle)?.0);
        let json = json::render_database(&held.report, &held.word);
        Ok(self.public(&json))
    }

    async fn host(&mut self, _handle: Resource<VerificationHandle>) -> wasmtime::Result<String> {
        Ok(crate::environment::host_name())
    }

    async fn drop(&mut self, handle: Resource<VerificationHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostCheckResult for State {
    async fn id(&mut self, handle: Resource<CheckResultHandle>) -> wasmtime::Result<String> {
        Ok(self.check_of(&handle)?.id.clone())
    }

    async fn plugin(&mut self, handle: Resource<CheckResultHandle>) -> wasmtime::Result<String> {
        Ok(self.check_of(&handle)?.plugin.clone())
    }

    async fn kind(&mut self, handle: Resource<CheckResultHandle>) -> wasmtime::Result<String> {
        Ok(self.check_of(&handle)?.kind.word().to_owned())
    }

    async fn outcome(&mut self, handle: Resource<CheckResultHandle>) -> wasmtime::Result<String> {
        Ok(self.check_of(&handle)?.outcome.word().to_owned())
    }

    async fn message(&mut self, handle: Resource<CheckResultHandle>) -> wasmtime::Result<String> {
        Ok(self.public(&self.check_of(&handle)?.message))
    }

    async fn hint(
        &mut self,
        handle: Resource<CheckResultHandle>,
    ) -> wasmtime::Result<Option<String>> {
        Ok(self.check_of(&handle)?.hint.as_ref().map(|it| self.public(it)))
    }

    async fn code(
        &mut self,
        handle: Resource<CheckResultHandle>,
    ) -> wasmtime::Result<Option<String>> {
        Ok(self.check_of(&handle)?.code.clone())
    }

    async fn duration_ms(&mut self, handle: Resource<CheckResultHandle>) -> wasmtime::Result<u64> {
        Ok(milliseconds(self.check_of(&handle)?.duration))
    }

    async fn optional(&mut self, handle: Resource<CheckResultHandle>) -> wasmtime::Result<bool> {
        Ok(self.check_of(&handle)?.optional)
    }

    async fn drop(&mut self, handle: Resource<CheckResultHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostReplicatePlan for State {
    async fn databases(
        &mut self,
        handle: Resource<ReplicatePlanHandle>,
    ) -> wasmtime::Result<Vec<Resource<DatabaseHandle>>> {
        let held = Arc::clone(&self.table.get(&handle)?.0);
        self.databases_of(&held)
    }

    async fn application(
        &mut self,
        handle: Resource<ReplicatePlanHandle>,
    ) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&handle)?.0.application.clone())
    }

    async fn drop(&mut self, handle: Resource<ReplicatePlanHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostReplication for State {
    async fn databases(
        &mut self,
        handle: Resource<ReplicationHandle>,
    ) -> wasmtime::Result<Vec<Resource<DatabaseHandle>>> {
        let held = Arc::clone(&self.table.get(&handle)?.0);
        self.databases_of(&held.plan)
    }

    async fn application(
        &mut self,
        handle: Resource<ReplicationHandle>,
    ) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&handle)?.0.plan.application.clone())
    }

    async fn reason(&mut self, handle: Resource<ReplicationHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.0.reason.to_owned())
    }

    async fn exit_code(&mut self, handle: Resource<ReplicationHandle>) -> wasmtime::Result<u8> {
        Ok(self.table.get(&handle)?.0.code)
    }

    async fn error(
        &mut self,
        handle: Resource<ReplicationHandle>,
    ) -> wasmtime::Result<Option<Error>> {
        Ok(self.table.get(&handle)?.0.error.as_ref().map(|error| self.told(error)))
    }

    async fn duration_ms(&mut self, handle: Resource<ReplicationHandle>) -> wasmtime::Result<u64> {
        Ok(milliseconds(self.table.get(&handle)?.0.duration))
    }

    async fn drop(&mut self, handle: Resource<ReplicationHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}
