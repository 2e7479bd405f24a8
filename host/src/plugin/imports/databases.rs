//! `databases`: aliases.

use wasmtime::component::Resource;

use crate::plugin::bindings::databases::Host;
use crate::plugin::failure::Failure;
use crate::plugin::handles::DatabaseHandle;
use crate::plugin::store::State;

impl Host for State {
    async fn resolve(&mut self, name: String) -> Result<Resource<DatabaseHandle>, Failure> {
        let database = self.call.context.project.database(&name)?;
        Ok(self.table.push(DatabaseHandle(database))?)
    }

    async fn all(&mut self) -> Result<Vec<Resource<DatabaseHandle>>, Failure> {
        let databases = self.call.context.project.databases()?;
        databases.into_iter().map(|one| Ok(self.table.push(DatabaseHandle(one))?)).collect()
    }
}
