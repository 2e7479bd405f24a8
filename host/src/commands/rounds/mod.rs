//! Verification beside the daemon (`verify.every`): each replicated database in its turn,
//! one at a time, in a process of its own, until the daemon ends.

mod child;
mod turns;

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use self::child::{GRACE, Verified, VerifyProcess};
use self::turns::Turns;
use crate::context::Context;
use crate::exit::Exit;
use crate::figures::duration;
use crate::project::Database;
use crate::results::Standings;

/// Between two looks whether the daemon answers.
const LOOK: Duration = Duration::from_millis(100);

/// How long a database in a folder of a `dir:` entry may be new before it is noticed.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// How long a daemon without a socket may take to open its databases.
const WITHOUT_SOCKET: Duration = Duration::from_secs(2);

/// The rounds of one daemon.
pub(super) struct Rounds {
    pub(super) context: Arc<Context>,
    pub(super) every: Duration,
    /// The daemon's.
    pub(super) socket: Option<PathBuf>,
    pub(super) standings: Arc<Standings>,
}

/// The rounds at work. Dropped, they end at once.
pub(super) struct RunningRounds {
    ending: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl RunningRounds {
    /// Ends them, if the supervisor has not, and waits for it.
    pub(super) async fn end(mut self) {
        self.ending.send_replace(true);
        // What this task holds has to go before the process does.
        let most = GRACE + Duration::from_secs(5);
        let _late = tokio::time::timeout(most, &mut self.task).await;
    }
}

impl Drop for RunningRounds {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Rounds {
    /// Starts them. They end when `ending` says so, or the run is stopped.
    pub(super) fn start(self, ending: &watch::Sender<bool>) -> RunningRounds {
        let mut ended = ending.subscribe();
        let task = tokio::spawn(async move {
            let stop = self.context.stop.clone();
            let over = async {
                tokio::select! {
                    _ = ended.wait_for(|ended| *ended) => {}
                    _ = stop.stopped() => {}
                }
            };
            tokio::pin!(over);
            self.run(&mut over).await;
        });
        RunningRounds { ending: ending.clone(), task }
    }

    async fn run(self, over: &mut (impl Future<Output = ()> + Unpin)) {
        tokio::select! {
            () = self.daemon_answers() => {}
            () = &mut *over => return,
        }
        let (mut warned, mut said) = (false, String::new());
        let mut last: HashMap<PathBuf, RoundOutcome> = HashMap::new();
        let mut databases: Vec<Database> = Vec::new();
        let mut turns = Turns::new(self.every, &[]);
        let mut start = Instant::now();
        let mut looked: Option<Instant> = None;
        loop {
            if looked.is_none_or(|looked| looked.elapsed() >= LOOK_AGAIN) {
                looked = Some(Instant::now());
                if let Some((found, ages)) = self.changed(&databases).await {
                    turns = Turns::new(self.every, &ages);
                    (databases, start) = (found, Instant::now());
                }
            }
            let (index, due) = turns.next().unzip();
            let now = start.elapsed();
            // Others may have come until then.
            let until = due.unwrap_or(Duration::MAX).min(now + LOOK_AGAIN);
            tokio::select! {
                () = tokio::time::sleep_until((start + until).into()) => {}
                () = &mut *over => return,
            }
            let Some((index, due)) = index.zip(due).filter(|(_, due)| *due <= start.elapsed())
            else {
                continue;
            };
            let began = start.elapsed();
            if !warned && began.saturating_sub(due) > self.every {
                warned = true;
                self.too_slow(databases.len());
            }
            let Some(database) = databases.get(index) else { return };
            let before = last.get(&database.path).copied();
            let name = &database.name();
            let outcome = match VerifyProcess::start(&self.context, database) {
                Ok(mut verification) => {
                    let status = tokio::select! {
                        status = verification.wait() => status,
                        () = &mut *over => return verification.end().await,
                    };
                    match status {
                        Ok(status) => {
                            let verified = verification.result(status).await;
                            self.warn(&verified, &mut said);
                            self.say(name, &verified, before, start.elapsed() - began)
                        }
                        Err(error) => self.not_started(name, &error),
                    }
                }
                Err(error) => self.not_started(name, &error),
            };
            last.insert(database.path.clone(), outcome);
            turns.done(index, began, start.elapsed());
        }
    }

    /// The databases that are replicated now, and the ages of their proofs, if they are not
    /// these.
    async fn changed(&self, known: &[Database]) -> Option<(Vec<Database>, Vec<Option<Duration>>)> {
        match self.standings.unless(known).await {
            Ok(found) => found.map(|found| found.into_iter().unzip()),
            Err(error) => {
                self.context.notes.note_once(&error.one_line());
                None
            }
        }
    }

    /// Waits until the daemon has opened its databases; a verification itself waits for the
    /// first sync.
    async fn daemon_answers(&self) {
        let Some(socket) = &self.socket else {
            return tokio::time::sleep(WITHOUT_SOCKET).await;
        };
        while UnixStream::connect(socket).is_err() {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn not_started(&self, name: &str, error: &crate::error::Error) -> RoundOutcome {
        let error = error.one_line();
        self.context.notes.warning(&format!("{name}: cannot start its verification: {error}"));
        RoundOutcome::NotDone
    }

    fn too_slow(&self, count: usize) {
        let every = duration(self.every);
        self.context.notes.warning(&format!(
            "verifying {count} databases one after another takes longer than verify.every \
             ({every}): each is verified as often as that allows"
        ));
    }

    /// Passes on what a good one warns of, such as a history that cannot be written; not
    /// again what the one before it has said.
    fn warn(&self, verified: &Verified, said: &mut String) {
        let warnings = &verified.warnings;
        if verified.status.success() && said != warnings {
            warnings.clone_into(said);
            let text = warnings.trim_start_matches("warning: ");
            if !text.is_empty() {
                self.context.notes.warning(text);
            }
        }
    }

    /// Says how it ended: in a line, and in full if that is news or the backup is wrong.
    fn say(
        &self,
        name: &str,
        verified: &Verified,
        last: Option<RoundOutcome>,
        took: Duration,
    ) -> RoundOutcome {
        let outcome = RoundOutcome::of(verified.status);
        let changed = last != Some(outcome);
        let notes = &*self.context.notes;
        let took = duration(took);
        match outcome {
            RoundOutcome::Verified if changed && last.is_some() => {
                notes.note(&format!("{name}: verified again, in {took}"));
            }
            RoundOutcome::Verified => notes.note(&format!("{name}: verified in {took}")),
            outcome => {
                let how = match (verified.status.code(), verified.status.signal()) {
                    (Some(code), _) => format!("exit code {code}"),
                    (None, Some(signal)) => format!("ended by signal {signal}"),
                    (None, None) => "ended".to_owned(),
                };
                let what = outcome.what();
                match changed || outcome.in_full() {
                    true => {
                        let what = format!("{name}: {what} ({how})");
                        let all = [&what, &verified.report, &verified.warnings];
                        let said: Vec<&str> = all
                            .map(String::as_str)
                            .into_iter()
                            .filter(|it| !it.is_empty())
                            .collect();
                        notes.warning(&said.join("\n"));
                    }
                    false => notes.warning(&format!("{name}: {what}, as before ({how})")),
                }
            }
        }
        outcome
    }
}

/// How a verification ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RoundOutcome {
    Verified,
    /// The backup is wrong.
    Failed,
    /// The live database is.
    Live,
    Inconclusive,
    /// It crashed, was refused, or could not begin.
    NotDone,
}

impl RoundOutcome {
    fn of(status: ExitStatus) -> Self {
        let is = |exit: Exit| status.code() == Some(i32::from(exit.code()));
        match () {
            () if status.success() => Self::Verified,
            () if is(Exit::CheckFailed) => Self::Failed,
            () if is(Exit::LiveDamaged) => Self::Live,
            () if is(Exit::Inconclusive) => Self::Inconclusive,
            () => Self::NotDone,
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Failed => "its backup failed the verification",
            Self::Live => "the live database failed the verification",
            Self::Inconclusive => "could not be verified",
            Self::NotDone => "its verification was not carried out",
        }
    }

    /// Whether the report is worth reading every time.
    fn in_full(self) -> bool {
        matches!(self, Self::Failed | Self::Live)
    }
}
