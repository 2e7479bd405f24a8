//! `hooks`: a command fires the project's hooks.

use std::sync::Arc;

use wasmtime::component::Resource;

use crate::plugin::bindings::hooks::{Host, HostCheckJob};
use crate::plugin::failure::Failure;
use crate::plugin::handles::{
    CheckJobHandle, DatabaseHandle, HostJob, ReplacedHandle, RestorePlanHandle, RestoredCopyHandle,
};
use crate::plugin::store::State;

impl State {
    fn database(
        &self,
        handle: Option<&Resource<DatabaseHandle>>,
    ) -> wasmtime::Result<Option<DatabaseHandle>> {
        Ok(handle.map(|handle| self.table.get(handle).cloned()).transpose()?)
    }
}

impl Host for State {
    async fn checks(
        &mut self,
        database: Option<Resource<DatabaseHandle>>,
    ) -> wasmtime::Result<Vec<String>> {
        let database = self.database(database.as_ref())?;
        Ok(self.call.hooks.checks(database.as_ref()).map(|plugin| plugin.name.clone()).collect())
    }

    async fn check(
        &mut self,
        database: Option<Resource<DatabaseHandle>>,
        copy: Resource<RestoredCopyHandle>,
        names: Option<Vec<String>>,
    ) -> Result<Resource<CheckJobHandle>, Failure> {
        let database = self.database(database.as_ref())?;
        let copy = self.table.get(&copy)?.clone();
        let call = self.call.clone();
        let job = HostJob::start(async move {
            let wanted =
                |name: &str| names.as_ref().is_none_or(|names| names.iter().any(|one| one == name));
            let hooks = Arc::clone(&call.hooks);
            Ok(hooks.check(&call, database.as_ref(), &copy, wanted).await)
        });
        Ok(self.table.push(CheckJobHandle(job))?)
    }

    async fn pre_restore(&mut self, plan: Resource<RestorePlanHandle>) -> Result<(), Failure> {
        let plan = self.table.get(&plan)?.clone();
        self.call.restores.planned(&plan);
        let hooks = Arc::clone(&self.call.hooks);
        Ok(hooks.pre_restore(&self.call, &plan).await?)
    }

    async fn post_restore(
        &mut self,
        plan: Resource<RestorePlanHandle>,
        copy: Resource<RestoredCopyHandle>,
    ) -> Result<(), Failure> {
        let (plan, copy) = (self.table.get(&plan)?.clone(), self.table.get(&copy)?.clone());
        let hooks = Arc::clone(&self.call.hooks);
        Ok(hooks.post_restore(&self.call, &plan, &copy).await?)
    }

    async fn restored(
        &mut self,
        plan: Resource<RestorePlanHandle>,
        replaced: Resource<ReplacedHandle>,
    ) -> Result<(), Failure> {
        let (plan, replaced) = (self.table.get(&plan)?.clone(), self.table.get(&replaced)?.clone());
        let hooks = Arc::clone(&self.call.hooks);
        let told = hooks.restored(&self.call, &plan, &replaced).await;
        // If the command is ended before this, they are called again.
        self.call.restores.told();
        Ok(told?)
    }
}

impl HostCheckJob for State {
    async fn wait(&mut self, handle: Resource<CheckJobHandle>) -> Result<String, Failure> {
        Ok(self.table.get_mut(&handle)?.0.wait().await?.word().to_owned())
    }

    async fn drop(&mut self, handle: Resource<CheckJobHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}
