//! `litestream`: typed verbs, and processes.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::Resource;

use super::instants::instant;
use crate::code::Code;
use crate::config::Purpose;
use crate::error::Error;
use crate::litestream::Session;
use crate::litestream::daemon::sockets;
use crate::litestream::replica::engine::Engine;
use crate::litestream::replica::points::{self, Gap};
use crate::litestream::replica::source::Source;
use crate::litestream::replica::{moment, reach};
use crate::litestream::restore::folder::refuse_special;
use crate::litestream::restore::request::Request;
use crate::litestream::restore::{copy, damage, fetch, plan, replace};
use crate::litestream::sync::request::SyncRequest as Wanted;
use crate::litestream::sync::{request, wait};
use crate::plugin::bindings::litestream::{
    Host, HostRestoreJob, HostRestoreRequest, HostSyncJob, HostSyncRequest, HostSyncResult,
};
use crate::plugin::bindings::types::{MissingPoints, RestorePoint, RestorePoints};
use crate::plugin::failure::Failure;
use crate::plugin::handles::{
    DatabaseHandle, HostJob, ProcessHandle, ReplacedHandle, RestoreJobHandle, RestorePlanHandle,
    RestoreRequestHandle, RestoredCopyHandle, SyncJobHandle, SyncRequestHandle, SyncResultHandle,
};
use crate::plugin::spawn::{self, DATABASE_ARGUMENT};
use crate::plugin::store::{Role, State};
use crate::plugin::{limits, process, proofs};
use crate::results::History;

/// What is limited in number.
pub(super) const JOBS: &str = "jobs of litestream";

impl Host for State {
    async fn version(&mut self) -> Result<String, Failure> {
        let context = Arc::clone(&self.call.context);
        Ok(context.binary().await?.version.to_string())
    }

    async fn probe(
        &mut self,
        handle: Resource<DatabaseHandle>,
        timeout: u64,
    ) -> Result<(), Failure> {
        let database = self.table.get(&handle)?.0.clone();
        let timeout = self.call.patience.min(Duration::from_millis(timeout));
        Ok(reach::reach(&self.call.context, &database, timeout).await?)
    }

    async fn check_daemon(
        &mut self,
        handle: Resource<DatabaseHandle>,
        timeout: u64,
    ) -> Result<(), Failure> {
        let database = self.table.get(&handle)?.0.clone();
        let timeout = self.call.patience.min(Duration::from_millis(timeout));
        Ok(wait::check(&self.call.context, &database, timeout).await?)
    }

    async fn keep(&mut self, handle: Resource<RestoredCopyHandle>) -> Result<String, Failure> {
        self.call.plugin.grants.require_some("litestream:restore")?;
        let copy = self.table.get(&handle)?.0.clone();
        Ok(copy::keep(&copy)?.display().to_string())
    }

    async fn damage(
        &mut self,
        handle: Resource<RestoredCopyHandle>,
        kind: String,
    ) -> Result<Resource<RestoredCopyHandle>, Failure> {
        self.call.plugin.grants.require_some("litestream:restore")?;
        let copy = Arc::clone(&self.table.get(&handle)?.0);
        let _token = self.jobs.take(limits::JOBS, JOBS)?;
        let session = Arc::clone(&self.call.context.session);
        // What is damaged is not what the run restored.
        let damaged = damage::damage(session, copy, &kind, self.call.run).await?;
        Ok(self.table.push(RestoredCopyHandle(Arc::new(damaged)))?)
    }

    async fn replace(
        &mut self,
        handle: Resource<RestoredCopyHandle>,
        force: bool,
    ) -> Result<Resource<ReplacedHandle>, Failure> {
        // For which database was asked with the target.
        self.call.plugin.grants.require_some("litestream:replace")?;
        let copy = self.table.delete(handle)?;
        let Some(copy) = Arc::into_inner(copy.0) else {
            return Err(Error::new(Code::Busy, "the copy is in use by a check").into());
        };
        let session = Arc::clone(&self.call.context.session);
        // Goes on when the guest is ended: a daemon that was stopped has to be started.
        let hold = session.stop.hold();
        let restores = self.call.restores.clone();
        let swapping = restores.swapping().await;
        let swap = tokio::spawn(async move {
            let (_hold, _swapping) = (hold, swapping);
            let replaced = ReplacedHandle(replace::replace(session, copy, force).await?);
            restores.replaced(&replaced);
            Ok::<_, Error>(replaced)
        });
        let broke_off =
            |error| Error::new(Code::Unexpected, "the swap ended unexpectedly").cause(error);
        let replaced = swap.await.map_err(broke_off)??;
        self.call.sink.written(replaced.0.path.display().to_string());
        Ok(self.table.push(replaced)?)
    }

    async fn spawn(&mut self, arguments: Vec<String>) -> Result<Resource<ProcessHandle>, Failure> {
        let context = Arc::clone(&self.call.context);
        spawn::allow(&self.call.plugin.grants, &context.project, &arguments)?;
        let mut resolved: Vec<OsString> = Vec::with_capacity(arguments.len());
        for argument in arguments {
            resolved.push(match argument.strip_prefix(DATABASE_ARGUMENT) {
                Some(name) => context.project.database(name)?.path.clone().into(),
                None => argument.into(),
            });
        }
        let verb = resolved.first().and_then(|verb| verb.to_str()).unwrap_or_default();
        let of_daemon = matches!(verb, "info" | "list");
        let url = resolved.iter().any(|one| one.to_str().is_some_and(|one| one.contains("://")));
        let config = if url || of_daemon || verb == "version" {
            None
        } else {
            let purpose = Purpose::Read { database: None };
            Some(context.config()?.for_child(&purpose, &context.environment)?)
        };
        if of_daemon && let Some(socket) = sockets::sockets(&context).into_iter().next() {
            resolved.extend(["-socket".into(), socket.into_os_string()]);
        }
        let token = self.jobs.take(limits::JOBS, JOBS)?;
        let process =
            process::Process::litestream(&context, resolved, config, self.stop.clone()).await?;
        Ok(self.table.push(ProcessHandle(process, token))?)
    }
}

impl HostSyncRequest for State {
    async fn new(
        &mut self,
        handle: Resource<DatabaseHandle>,
    ) -> wasmtime::Result<Resource<SyncRequestHandle>> {
        let database = self.table.get(&handle)?.0.clone();
        Ok(self.table.push(SyncRequestHandle {
            database,
            timeout: None,
            after: None,
            read_only: false,
        })?)
    }

    async fn set_timeout_ms(
        &mut self,
        handle: Resource<SyncRequestHandle>,
        timeout: u64,
    ) -> wasmtime::Result<()> {
        self.table.get_mut(&handle)?.timeout = Some(Duration::from_millis(timeout));
        Ok(())
    }

    async fn set_after_txid(
        &mut self,
        handle: Resource<SyncRequestHandle>,
        txid: String,
    ) -> wasmtime::Result<()> {
        // One that is not a TXID asks for nothing more.
        self.table.get_mut(&handle)?.after = txid.parse().ok();
        Ok(())
    }

    async fn set_read_only(&mut self, handle: Resource<SyncRequestHandle>) -> wasmtime::Result<()> {
        self.table.get_mut(&handle)?.read_only = true;
        Ok(())
    }

    async fn start(
        &mut self,
        handle: Resource<SyncRequestHandle>,
    ) -> Result<Resource<SyncJobHandle>, Failure> {
        let request = self.table.get(&handle)?;
        self.call.plugin.grants.require_litestream("sync", Some(&request.database))?;
        let wanted = Wanted {
            database: request.database.clone(),
            after: request.after,
            read_only: request.read_only,
        };
        let deadline = self.call.deadline(request.timeout);
        let session = Arc::clone(&self.call.context.session);
        let token = self.jobs.take(limits::JOBS, JOBS)?;
        let job = HostJob::start(wait::sync(session, wanted, deadline.min(self.ends)));
        Ok(self.table.push(SyncJobHandle(job, token))?)
    }

    async fn drop(&mut self, handle: Resource<SyncRequestHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostSyncJob for State {
    async fn wait(
        &mut self,
        handle: Resource<SyncJobHandle>,
    ) -> Result<Resource<SyncResultHandle>, Failure> {
        let synced = self.table.get_mut(&handle)?.0.wait().await?;
        // What a check or hook waits for is not what the run waited for.
        let own = self.call.role == Role::Command;
        if own && synced.method != request::NONE {
            self.call.sink.replicated(synced.method, synced.lag);
        }
        if let Some(warning) = &synced.warning {
            self.call.context.notes.warning(warning);
            self.call.sink.fact_of_host("read_lock", "lost".into());
        }
        Ok(self.table.push(SyncResultHandle(synced))?)
    }

    async fn drop(&mut self, handle: Resource<SyncJobHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostSyncResult for State {
    async fn method(&mut self, handle: Resource<SyncResultHandle>) -> wasmtime::Result<String> {
        Ok(self.table.get(&handle)?.0.method.to_owned())
    }

    async fn certain(&mut self, handle: Resource<SyncResultHandle>) -> wasmtime::Result<bool> {
        Ok(self.table.get(&handle)?.0.certain)
    }

    async fn txid(
        &mut self,
        handle: Resource<SyncResultHandle>,
    ) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&handle)?.0.txid.map(|txid| txid.to_string()))
    }

    async fn lag_ms(&mut self, handle: Resource<SyncResultHandle>) -> wasmtime::Result<u64> {
        Ok(crate::figures::milliseconds(self.table.get(&handle)?.0.lag))
    }

    async fn drop(&mut self, handle: Resource<SyncResultHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl State {
    fn may_restore(&self, request: &Request) -> Result<(), Failure> {
        let database = match &request.source {
            Source::Database(database) => Some(database),
            Source::Url(_) => None,
        };
        Ok(self.call.plugin.grants.require_litestream("restore", database)?)
    }

    fn request(&mut self, source: Source) -> wasmtime::Result<Resource<RestoreRequestHandle>> {
        let request = Request::of(source, self.call.patience, self.call.run);
        Ok(self.table.push(RestoreRequestHandle(request))?)
    }
}

impl HostRestoreRequest for State {
    async fn new(
        &mut self,
        handle: Resource<DatabaseHandle>,
    ) -> wasmtime::Result<Resource<RestoreRequestHandle>> {
        let database = self.table.get(&handle)?.0.clone();
        self.request(Source::Database(database))
    }

    async fn from_url(&mut self, url: String) -> Result<Resource<RestoreRequestHandle>, Failure> {
        if !url.contains("://") {
            return Err(Error::usage(format!("{url} is not a replica URL")).into());
        }
        Ok(self.request(Source::Url(url))?)
    }

    async fn set_txid(
        &mut self,
        handle: Resource<RestoreRequestHandle>,
        txid: String,
    ) -> Result<(), Failure> {
        let txid = txid.parse().map_err(|error| Error::usage(format!("{error}")))?;
        self.table.get_mut(&handle)?.0.txid = Some(txid);
        Ok(())
    }

    async fn set_timestamp(
        &mut self,
        handle: Resource<RestoreRequestHandle>,
        timestamp: String,
    ) -> Result<(), Failure> {
        let moment = moment::parse(&timestamp, &jiff::ZonedDateTime::now())?;
        if let Some(said) = moment.said_back {
            self.call.context.notes.note(&format!("up to {said}"));
        }
        self.table.get_mut(&handle)?.0.timestamp = Some(moment.at);
        Ok(())
    }

    async fn set_kept(&mut self, handle: Resource<RestoreRequestHandle>) -> wasmtime::Result<()> {
        self.table.get_mut(&handle)?.0.kept = true;
        Ok(())
    }

    async fn set_engine(
        &mut self,
        handle: Resource<RestoreRequestHandle>,
        engine: String,
    ) -> Result<(), Failure> {
        let engine = engine.parse()?;
        self.table.get_mut(&handle)?.0.engine = Some(engine);
        Ok(())
    }

    async fn set_parallelism(
        &mut self,
        handle: Resource<RestoreRequestHandle>,
        files: u32,
    ) -> wasmtime::Result<()> {
        self.table.get_mut(&handle)?.0.parallelism = Some(files);
        Ok(())
    }

    async fn set_target(
        &mut self,
        handle: Resource<RestoreRequestHandle>,
        path: String,
    ) -> Result<(), Failure> {
        if path.is_empty() {
            return Err(Error::usage("the target has no name").into());
        }
        let target = self.call.context.cwd.join(path);
        refuse_special(&target)?;
        let grants = &self.call.plugin.grants;
        let request = &mut self.table.get_mut(&handle)?.0;
        match &request.source {
            // Over itself. What is anywhere else is not this database's.
            Source::Database(database) if database.path == target => {
                grants.require_litestream("replace", Some(database))?;
            }
            _ => grants.require_litestream("replace", None)?,
        }
        request.target = Some(target);
        Ok(())
    }

    async fn set_timeout_ms(
        &mut self,
        handle: Resource<RestoreRequestHandle>,
        timeout: u64,
    ) -> wasmtime::Result<()> {
        self.table.get_mut(&handle)?.0.patience = Duration::from_millis(timeout);
        Ok(())
    }

    async fn set_even_if_in_use(
        &mut self,
        handle: Resource<RestoreRequestHandle>,
    ) -> wasmtime::Result<()> {
        self.table.get_mut(&handle)?.0.even_if_in_use = true;
        Ok(())
    }

    async fn target_exists(
        &mut self,
        handle: Resource<RestoreRequestHandle>,
    ) -> wasmtime::Result<bool> {
        Ok(self.table.get(&handle)?.0.target_exists())
    }

    async fn check_target(
        &mut self,
        handle: Resource<RestoreRequestHandle>,
        force: bool,
    ) -> Result<(), Failure> {
        let request = self.table.get(&handle)?.0.clone();
        let context = Arc::clone(&self.call.context);
        Ok(replace::check_target(&context, &request, force).await?)
    }

    async fn older_points(
        &mut self,
        handle: Resource<RestoreRequestHandle>,
        max: u32,
    ) -> Result<Vec<RestorePoint>, Failure> {
        let request = self.table.get(&handle)?.0.clone();
        self.may_restore(&request)?;
        let context = Arc::clone(&self.call.context);
        Ok(plan::older(&context, &request, max).await?.iter().map(point).collect())
    }

    async fn points(
        &mut self,
        handle: Resource<RestoreRequestHandle>,
    ) -> Result<RestorePoints, Failure> {
        let request = self.table.get(&handle)?.0.clone();
        self.may_restore(&request)?;
        let context = Arc::clone(&self.call.context);
        let (source, found) = plan::points(&context, &request).await?;
        let gaps = found.gaps.iter().map(|gap| missing(gap, false));
        let compacted = found.compacted.iter().map(|gap| missing(gap, true));
        let mut missing: Vec<MissingPoints> = gaps.chain(compacted).collect();
        missing.sort_by(|one, other| one.after_txid.cmp(&other.after_txid));
        Ok(RestorePoints { source, points: found.points.iter().map(point).collect(), missing })
    }

    async fn plan(
        &mut self,
        handle: Resource<RestoreRequestHandle>,
    ) -> Result<Resource<RestorePlanHandle>, Failure> {
        let request = self.table.get(&handle)?.0.clone();
        self.may_restore(&request)?;
        let context = Arc::clone(&self.call.context);
        let plan = plan::plan(&context, &request).await?;
        let expected = expected(&context, &request);
        Ok(self.table.push(RestorePlanHandle { request, plan, expected })?)
    }

    async fn start(
        &mut self,
        handle: Resource<RestoreRequestHandle>,
    ) -> Result<Resource<RestoreJobHandle>, Failure> {
        let request = self.table.get(&handle)?.0.clone();
        self.may_restore(&request)?;
        let by_litestream = request.engine == Some(Engine::Litestream);
        let sink = Arc::clone(&self.call.sink);
        let watch = move |done, of, elapsed| sink.restoring(done, of, elapsed);
        let token = self.jobs.take(limits::JOBS, JOBS)?;
        let job =
            HostJob::start(fetch::restore(Arc::clone(&self.call.context.session), request, watch));
        Ok(self.table.push(RestoreJobHandle(job, by_litestream, token))?)
    }

    async fn drop(&mut self, handle: Resource<RestoreRequestHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl HostRestoreJob for State {
    async fn wait(
        &mut self,
        handle: Resource<RestoreJobHandle>,
    ) -> Result<Resource<RestoredCopyHandle>, Failure> {
        let RestoreJobHandle(job, by_litestream, _) = self.table.get_mut(&handle)?;
        let by_litestream = *by_litestream;
        let copy = job.wait().await?;
        let txid = copy.txid.map(|txid| txid.to_string());
        if self.call.role == Role::Command {
            let again = by_litestream && self.call.sink.has_restored();
            // What is only compared is not what the run restored.
            if !again {
                self.call.sink.restored(txid, copy.duration, copy.bytes);
            }
        }
        Ok(self.table.push(RestoredCopyHandle(Arc::new(copy)))?)
    }

    async fn drop(&mut self, handle: Resource<RestoreJobHandle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

/// How long it took when this backup was last restored here. A history that cannot be
/// read has no answer.
fn expected(session: &Session, request: &Request) -> Option<Duration> {
    let Source::Database(database) = &request.source else { return None };
    if request.kept {
        return None;
    }
    let history = History::of(&session.project, &session.environment).ok()?;
    history.restore_time(&proofs(), &database.path.display().to_string()).ok().flatten()
}

fn point(point: &points::RestorePoint) -> RestorePoint {
    RestorePoint { txid: point.txid.to_string(), written: instant(point.time) }
}

fn missing(gap: &Gap, compacted: bool) -> MissingPoints {
    MissingPoints {
        after_txid: gap.after.to_string(),
        before_txid: gap.before.to_string(),
        from: instant(gap.from),
        until: gap.until.map(instant),
        compacted,
    }
}
