//! `tasks`: command lines that the project file names.

use std::sync::Arc;

use wasmtime::component::Resource;

use crate::code::Code;
use crate::error::Error;
use crate::nearest::nearest;
use crate::plugin::bindings::tasks::{Host, HostTaskRequest};
use crate::plugin::failure::Failure;
use crate::plugin::handles::{ProcessHandle, TaskRequestHandle};
use crate::plugin::store::State;
use crate::plugin::{limits, process};

/// What is limited in number.
const TASKS: &str = "tasks";
/// What the name of a variable that a plugin sets begins with. Others, such as `PATH` or
/// `LD_PRELOAD`, would make another program of the one that the project file names.
const PREFIX: &str = "LSRUN";

fn permission(task: &str) -> String {
    format!("task={task}")
}

impl Host for State {
    async fn names(&mut self) -> wasmtime::Result<Vec<String>> {
        let grants = &self.call.plugin.grants;
        let tasks = self.call.context.project.tasks().tasks.keys();
        Ok(tasks.filter(|name| grants.require(&permission(name)).is_ok()).cloned().collect())
    }
}

impl HostTaskRequest for State {
    async fn new(&mut self, name: String) -> wasmtime::Result<Resource<TaskRequestHandle>> {
        let request = TaskRequestHandle { name, variables: Vec::new(), input: Vec::new() };
        Ok(self.table.push(request)?)
    }

    async fn set_variable(
        &mut self,
        handle: Resource<TaskRequestHandle>,
        name: String,
        value: String,
    ) -> Result<(), Failure> {
        let word = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        let own = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('_'));
        if own.is_none_or(str::is_empty) || !name.bytes().all(word) {
            return Err(Error::usage(format!(
                "a plugin may not set the variable {name:?}: only {PREFIX}_ and capital letters, digits and _"
            ))
            .into());
        }
        let request = self.table.get_mut(&handle)?;
        let bytes: usize = request.variables.iter().map(|(name, it)| name.len() + it.len()).sum();
        if bytes + name.len() + value.len() > limits::VARIABLES {
            let message =
                format!("the variables of a task have at most {} bytes", limits::VARIABLES);
            return Err(Error::new(Code::Limit, message).into());
        }
        // No variable can hold a zero byte, and no program expects one.
        request.variables.push((name, value.replace('\0', "")));
        Ok(())
    }

    async fn set_input(
        &mut self,
        handle: Resource<TaskRequestHandle>,
        bytes: Vec<u8>,
    ) -> Result<(), Failure> {
        if bytes.len() > limits::INPUT {
            let message = format!("the input of a task has at most {} bytes", limits::INPUT);
            return Err(Error::new(Code::Limit, message).into());
        }
        self.table.get_mut(&handle)?.input = bytes;
        Ok(())
    }

    async fn start(
        &mut self,
        handle: Resource<TaskRequestHandle>,
    ) -> Result<Resource<ProcessHandle>, Failure> {
        let TaskRequestHandle { name, variables, input } = self.table.get(&handle)?;
        self.call.plugin.grants.require(&permission(name))?;
        let context = Arc::clone(&self.call.context);
        let tasks = &context.project.tasks().tasks;
        let Some(task) = tasks.get(name) else {
            let error = Error::new(Code::Project, format!("lsrun.yml has no task {name:?}"));
            return Err(match nearest(name, tasks.keys().map(String::as_str)) {
                Some(near) => error.hint(format!("did you mean {near}?")).into(),
                None => error.hint("name its command line under tasks in lsrun.yml").into(),
            });
        };
        let token = self.jobs.take(limits::JOBS, TASKS)?;
        let process = process::Process::task(
            &context,
            name,
            task,
            variables.clone(),
            input.clone(),
            self.stop.clone(),
        )?;
        Ok(self.table.push(ProcessHandle(process, token))?)
    }

    async fn drop(&mut self, handle: Resource<TaskRequestHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}
