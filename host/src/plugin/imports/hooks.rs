//! `hooks`: a command fires the project's hooks.

use std::sync::Arc;

use wasmtime::component::Resource;

use crate::plugin::bindings::hooks::Host;
use crate::plugin::failure::Failure;
use crate::plugin::handles::{
    DatabaseHandle, ReplacedHandle, RestorePlanHandle, RestoredCopyHandle,
};
use crate::plugin::store::State;

impl State {
    fn database(
        &self,
        handle: Option<&Resource<DatabaseHandle>>,
    ) -> wasmtime::Result<Option<DatabaseHandle>> {
        Ok(handle.map(|handle| self.table.get(handle).cloned()).transpose()?)
    }

    async fn check_those(
        &mut self,
        database: Option<&Resource<DatabaseHandle>>,
        copy: &Resource<RestoredCopyHandle>,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<String, Failure> {
        let database = self.database(database)?;
        let copy = self.table.get(copy)?.clone();
        let hooks = Arc::clone(&self.call.hooks);
        let worst = hooks.check(&self.call, database.as_ref(), &copy, wanted).await;
        Ok(worst.word().to_owned())
    }
}

impl Host for State {
    async fn check(
        &mut self,
        database: Option<Resource<DatabaseHandle>>,
        copy: Resource<RestoredCopyHandle>,
    ) -> Result<String, Failure> {
        self.check_those(database.as_ref(), &copy, |_name| true).await
    }

    async fn checks(
        &mut self,
        database: Option<Resource<DatabaseHandle>>,
    ) -> wasmtime::Result<Vec<String>> {
        let database = self.database(database.as_ref())?;
        Ok(self.call.hooks.checks(database.as_ref()).map(|plugin| plugin.name.clone()).collect())
    }

    async fn check_only(
        &mut self,
        database: Option<Resource<DatabaseHandle>>,
        copy: Resource<RestoredCopyHandle>,
        names: Vec<String>,
    ) -> Result<String, Failure> {
        self.check_those(database.as_ref(), &copy, |name| names.iter().any(|one| one == name)).await
    }

    async fn pre_restore(&mut self, plan: Resource<RestorePlanHandle>) -> Result<(), Failure> {
        let plan = self.table.get(&plan)?.clone();
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
        Ok(hooks.restored(&self.call, &plan, &replaced).await?)
    }
}
