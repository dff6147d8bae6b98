//! The journal: the store in SQL, written once for the databases that hold it.
//!
//! ```text
//! door   calls: one transaction each, done once and only once, whatever the database does meanwhile
//! inbox  updates, dialogues, settings
//! queue  requests: accepted, turned away, listed, cancelled while they wait
//! batch  files that came together: who belongs to whom, and when their results may go out
//! claim  running jobs: claimed, moved on, ended, put back, recovered
//! people who may use the bot, who wants to be forgotten, how the work stands
//! hosts  the processes that share the database: what they announce, and which of them ended
//! looks  questions that want a look at their file, and what was seen
//! operator  beside a bot: listed, ended, asked for again
//! purge  what is past its day
//! rows   how a job stands in a row
//! ```
//!
//! [`sqlite`](super::sqlite) and [`postgres`](super::postgres) open it: schema, locks and signs of life are theirs. Times are
//! Unix seconds of a clock that does not jump while the process runs (`rows::now`).

pub(super) mod batch;
pub(super) mod claim;
pub(super) mod door;
pub(super) mod hosts;
mod inbox;
mod looks;
pub mod operator;
mod people;
mod purge;
mod queue;
pub(super) mod rows;

use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::AnyConnection;
use tokio::sync::watch;

use self::door::{Door, Kind, call};
use super::{
    CancelAnswer, Claim, ClaimLimits, Database, Day, Enqueued, Fence, Host, InboxUpdate, Lead, Outcome, Presence,
    QueueEntry, QueueLimits, Result, Standing, Store, Totals, postgres::lead,
};
use crate::job::{ChatId, Job, JobId, MessageId, Parcel, Phase, Question, Request, Seen, UserId, Wish};
use crate::media::{Look, Refusal};

/// This run of this process, as the others see it.
#[derive(Clone, Debug, Default)]
pub(super) struct Me {
    /// Its number.
    pub(super) boot: i64,
    /// Where its files lie: the same after a restart.
    pub(super) place: String,
    /// Codecs that it encodes on a GPU, each between commas.
    pub(super) encodes: String,
}

/// The durable store. Clones share it.
#[derive(Clone)]
pub struct Journal {
    pub(super) door: Door,
    pub(super) changes: Arc<watch::Sender<u64>>,
    me: Arc<Mutex<Me>>,
    /// The lock, and tasks that end with it.
    _keep: Arc<dyn Any + Send + Sync>,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("me", &self.me).finish_non_exhaustive()
    }
}

impl Journal {
    pub(super) fn new(
        door: Door,
        changes: Arc<watch::Sender<u64>>,
        me: Arc<Mutex<Me>>,
        keep: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        Self {
            door,
            changes,
            me,
            _keep: keep,
        }
    }

    /// Opens either, see [`in_file`](Self::in_file) and [`on_server`](Self::on_server).
    ///
    /// # Errors
    /// Theirs.
    pub async fn open(database: &Database) -> Result<Self> {
        match database {
            Database::Sqlite(path) => Self::in_file(path).await,
            Database::Postgres { url, place } => Self::on_server(url, place).await,
        }
    }

    /// Marks the end of this boot as planned.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn end_cleanly(&self) -> Result<()> {
        let boot = self.me().boot;
        call!(&self.door, Kind::Write, true, |c| hosts::end_cleanly(c, boot))
    }

    fn lock(&self) -> MutexGuard<'_, Me> {
        self.me.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn me(&self) -> Me {
        self.lock().clone()
    }

    /// A worker may care about what was done.
    fn ticked<T>(&self, done: Result<T>) -> Result<T> {
        if done.is_ok() {
            tick(&self.changes);
        }
        done
    }
}

pub(super) fn tick(changes: &watch::Sender<u64>) {
    changes.send_modify(|count| *count += 1);
}

/// What every start clears away.
pub(super) async fn begin(connection: &mut AnyConnection) -> Result<()> {
    inbox::forget_handled(connection).await?;
    queue::forget_sources(connection).await?;
    looks::forget_old(connection).await
}

/// What belongs to the one process of a database alone.
pub(super) async fn begin_alone(connection: &mut AnyConnection) -> Result<()> {
    looks::forget(connection).await?;
    // Somebody drained the process before this one.
    people::set_draining(connection, false).await
}

impl Store for Journal {
    async fn record_updates(&self, updates: Vec<InboxUpdate>) -> Result<Vec<InboxUpdate>> {
        call!(&self.door, Kind::Write, false, |c| inbox::record_updates(c, &updates))
    }

    async fn unhandled_updates(&self) -> Result<Vec<InboxUpdate>> {
        call!(&self.door, Kind::Read, false, |c| inbox::unhandled_updates(c))
    }

    async fn mark_handled(&self, update_id: i64) -> Result<()> {
        call!(&self.door, Kind::Write, false, |c| inbox::mark_handled(c, update_id))
    }

    async fn enqueue(&self, update_id: i64, request: Request, limits: QueueLimits, engine: &str) -> Result<Enqueued> {
        self.ticked(call!(&self.door, Kind::Alone, true, |c| queue::enqueue(
            c, update_id, &request, limits, engine
        )))
    }

    async fn set_status_message(&self, job: JobId, message: MessageId) -> Result<()> {
        call!(&self.door, Kind::Write, false, |c| queue::set_status_message(
            c, job, message
        ))
    }

    async fn record_send_intent(&self, job: JobId) -> Result<bool> {
        call!(&self.door, Kind::Write, false, |c| queue::record_send_intent(c, job))
    }

    async fn record_send_intents(&self, jobs: Vec<JobId>) -> Result<bool> {
        call!(&self.door, Kind::Write, false, |c| queue::record_send_intents(c, &jobs))
    }

    async fn withdraw_send_intent(&self, job: JobId) -> Result<()> {
        call!(&self.door, Kind::Write, false, |c| queue::withdraw_send_intent(c, job))
    }

    async fn job(&self, job: JobId) -> Result<Option<Job>> {
        call!(&self.door, Kind::Read, false, |c| queue::job(c, job))
    }

    async fn last_job(&self, chat: ChatId, user: UserId) -> Result<Option<Job>> {
        call!(&self.door, Kind::Read, false, |c| queue::last_job(c, chat, user))
    }

    async fn look(&self, file_unique_id: &str) -> Result<Option<Look>> {
        call!(&self.door, Kind::Read, false, |c| queue::look(c, file_unique_id))
    }

    async fn want_look(&self, question: Question) -> Result<()> {
        self.ticked(call!(&self.door, Kind::Alone, true, |c| looks::want(c, &question)))
    }

    async fn take_question(&self) -> Result<Option<Question>> {
        call!(&self.door, Kind::Write, false, |c| looks::take(c))
    }

    async fn hand_look(&self, question: Question, seen: std::result::Result<Seen, Refusal>) -> Result<()> {
        self.ticked(call!(&self.door, Kind::Write, true, |c| looks::hand(
            c, &question, &seen
        )))
    }

    async fn take_look(&self) -> Result<Option<(Question, std::result::Result<Seen, Refusal>)>> {
        call!(&self.door, Kind::Write, false, |c| looks::take_handed(c))
    }

    async fn remember_look(&self, file_unique_id: &str, seen: Seen, engine: &str) -> Result<()> {
        call!(&self.door, Kind::Write, false, |c| looks::remember(
            c,
            file_unique_id,
            &seen,
            engine
        ))
    }

    async fn seen(&self, file_unique_id: &str, engine: &str) -> Result<Option<Seen>> {
        call!(&self.door, Kind::Read, false, |c| looks::seen(
            c,
            file_unique_id,
            engine
        ))
    }

    async fn queue(&self, waiting_max: u32) -> Result<Vec<QueueEntry>> {
        call!(&self.door, Kind::Read, false, |c| queue::queue(c, waiting_max))
    }

    async fn queue_of(&self, user: UserId) -> Result<Vec<QueueEntry>> {
        call!(&self.door, Kind::Read, false, |c| queue::queue_of(c, user))
    }

    async fn open_jobs(&self) -> Result<Vec<JobId>> {
        call!(&self.door, Kind::Read, false, |c| queue::open_jobs(c))
    }

    async fn cancel(&self, job: JobId, by: Option<UserId>) -> Result<CancelAnswer> {
        self.ticked(call!(&self.door, Kind::Alone, true, |c| queue::cancel(c, job, by)))
    }

    /// Where others claim too, it is looked first whether there is anything: the lock is for those who find something.
    async fn claim(&self, limits: ClaimLimits) -> Result<Option<Claim>> {
        let me = self.me();
        if self.door.is_shared() {
            let any = call!(&self.door, Kind::Read, false, |c| claim::is_any(c, limits, &me))?;
            if !any {
                return Ok(None);
            }
        }
        call!(&self.door, Kind::Alone, false, |c| claim::claim(c, limits, &me))
    }

    async fn hold(&self, fence: Fence, parcel: Parcel) -> Result<()> {
        self.ticked(call!(&self.door, Kind::Write, true, |c| batch::hold(c, fence, &parcel)))
    }

    async fn batch(&self, first: JobId) -> Result<Vec<Job>> {
        call!(&self.door, Kind::Read, false, |c| batch::members(c, first))
    }

    async fn batch_wish(&self, chat: ChatId, user: UserId, key: &str) -> Result<Option<Wish>> {
        call!(&self.door, Kind::Read, false, |c| batch::wish(c, chat, user, key))
    }

    async fn advance(&self, fence: Fence, phase: Phase, parcel: Option<Parcel>) -> Result<()> {
        call!(&self.door, Kind::Write, false, |c| claim::advance(
            c,
            fence,
            phase,
            parcel.as_ref()
        ))
    }

    async fn finish(&self, fence: Fence, outcome: Outcome, engine: &str) -> Result<()> {
        self.ticked(call!(&self.door, Kind::Alone, true, |c| claim::finish(
            c, fence, &outcome, engine
        )))
    }

    async fn release(&self, fence: Fence, phase: Phase, not_before_s: u64, count: bool) -> Result<()> {
        self.ticked(call!(&self.door, Kind::Write, true, |c| claim::release(
            c,
            fence,
            phase,
            not_before_s,
            count
        )))
    }

    async fn cancel_requests(&self) -> Result<Vec<JobId>> {
        let boot = self.me().boot;
        call!(&self.door, Kind::Read, false, |c| claim::cancel_requests(c, boot))
    }

    async fn crash(&self, fence: Fence, blame: u32, not_before_s: u64) -> Result<Vec<Job>> {
        self.ticked(call!(&self.door, Kind::Alone, true, |c| claim::crash(
            c,
            fence,
            blame,
            not_before_s
        )))
    }

    async fn crash_of_look(&self, file_unique_id: &str, blame: u32) -> Result<Vec<Job>> {
        let boot = self.me().boot;
        self.ticked(call!(&self.door, Kind::Alone, true, |c| claim::crash_of_look(
            c,
            file_unique_id,
            blame,
            boot
        )))
    }

    async fn recover(&self, named: Vec<JobId>) -> Result<Vec<Job>> {
        let boot = self.me().boot;
        call!(&self.door, Kind::Alone, false, |c| claim::recover(c, &named, boot))
    }

    async fn take_owed(&self) -> Result<Vec<Job>> {
        let boot = self.me().boot;
        call!(&self.door, Kind::Write, false, |c| claim::take_owed(c, boot))
    }

    async fn set_told(&self, job: JobId, of_all: bool) -> Result<()> {
        call!(&self.door, Kind::Write, false, |c| claim::set_told(c, job, of_all))
    }

    async fn forget_result(&self, request: &Request, engine: &str) -> Result<()> {
        call!(&self.door, Kind::Write, false, |c| claim::forget_result(
            c, request, engine
        ))
    }

    async fn dialogue(&self, chat: ChatId, user: UserId) -> Result<Option<String>> {
        call!(&self.door, Kind::Read, false, |c| inbox::dialogue(c, chat, user))
    }

    async fn set_dialogue(&self, chat: ChatId, user: UserId, state: Option<String>) -> Result<()> {
        call!(&self.door, Kind::Write, false, |c| inbox::set_dialogue(
            c,
            chat,
            user,
            state.as_deref()
        ))
    }

    async fn settings(&self, user: UserId) -> Result<Option<String>> {
        call!(&self.door, Kind::Read, false, |c| inbox::settings(c, user))
    }

    async fn set_settings(&self, user: UserId, settings: String) -> Result<()> {
        call!(&self.door, Kind::Write, false, |c| inbox::set_settings(
            c, user, &settings
        ))
    }

    async fn forget(&self, user: UserId) -> Result<Vec<Job>> {
        self.ticked(call!(&self.door, Kind::Alone, true, |c| people::forget(c, user)))
    }

    async fn standing(&self, user: UserId) -> Result<Option<Standing>> {
        call!(&self.door, Kind::Read, false, |c| people::standing(c, user))
    }

    async fn set_standing(&self, user: UserId, standing: Option<Standing>) -> Result<()> {
        call!(&self.door, Kind::Write, false, |c| people::set_standing(
            c, user, standing
        ))
    }

    async fn purge(&self, keep_days: u32) -> Result<u64> {
        let jobs = call!(&self.door, Kind::Alone, false, |c| purge::purge(c, keep_days))?;
        call!(&self.door, Kind::Read, false, |c| purge::wipe(c))?;
        Ok(jobs)
    }

    async fn totals(&self) -> Result<Totals> {
        call!(&self.door, Kind::Read, false, |c| people::totals(c))
    }

    async fn day(&self) -> Result<Day> {
        call!(&self.door, Kind::Read, false, |c| people::day(c))
    }

    async fn set_draining(&self, draining: bool) -> Result<()> {
        self.ticked(call!(&self.door, Kind::Alone, true, |c| people::set_draining(
            c, draining
        )))
    }

    async fn lift_quarantine(&self) -> Result<u64> {
        call!(&self.door, Kind::Alone, false, |c| people::lift_quarantine(c))
    }

    async fn lead(&self) -> Lead {
        match &self.door {
            Door::File(_) => Lead::for_good(),
            Door::Server { url, channel, .. } => lead::wait(url, channel).await,
        }
    }

    async fn announce(&self, presence: Presence) -> Result<()> {
        let encodes = hosts::encodes(&presence);
        self.lock().encodes.clone_from(&encodes);
        let boot = self.me().boot;
        call!(&self.door, Kind::Write, true, |c| hosts::announce(
            c, boot, &presence, &encodes
        ))
    }

    async fn show_stand(&self, stand: String) -> Result<()> {
        let boot = self.me().boot;
        call!(&self.door, Kind::Write, false, |c| hosts::show_stand(c, boot, &stand))
    }

    async fn hosts(&self) -> Result<Vec<Host>> {
        call!(&self.door, Kind::Read, false, |c| hosts::living(c))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
