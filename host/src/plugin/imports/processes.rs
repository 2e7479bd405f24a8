//! `types.process`: litestream's processes, and tasks.

use wasmtime::component::Resource;

use crate::plugin::bindings::types::{HostProcess, OutputLine};
use crate::plugin::failure::Failure;
use crate::plugin::handles::ProcessHandle;
use crate::plugin::store::State;

impl HostProcess for State {
    async fn next_lines(
        &mut self,
        handle: Resource<ProcessHandle>,
        max: u32,
    ) -> Result<Vec<OutputLine>, Failure> {
        let max = usize::try_from(max).unwrap_or(1);
        let lines = self.table.get_mut(&handle)?.0.next_lines(max).await?;
        let output = lines.into_iter();
        Ok(output.map(|line| OutputLine { is_error: line.is_error, text: line.text }).collect())
    }

    async fn wait(&mut self, handle: Resource<ProcessHandle>) -> Result<i32, Failure> {
        Ok(self.table.get_mut(&handle)?.0.wait().await?)
    }

    async fn elapsed_ms(&mut self, handle: Resource<ProcessHandle>) -> wasmtime::Result<u64> {
        Ok(crate::figures::milliseconds(self.table.get(&handle)?.0.elapsed()))
    }

    async fn drop(&mut self, handle: Resource<ProcessHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}
