//! All that happens because time passed: dispatch of due tasks, rescue, expiry, lost dispatches, prune. No leader: each step is safe to take by many at once.
//!
//! A duty is a step that does a bounded piece and says how much it did; its loop is a thin shell around it, so that tests take steps.

mod rescue_guard;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::queue::Queue;
use crate::queue::statistics::COUNT_EVERY;
use crate::queue::sweep::SWEEP_BATCH;
use crate::queue::upkeep::DEAD_WORKERS_KEPT;
use crate::shutdown::Shutdown;
use crate::store::StoreResult;

pub use rescue_guard::RescueGuard;

/// The lease and the retention times by which the scheduler works.
#[derive(Clone, Debug)]
pub struct SchedulerConfig {
    /// How long a worker lives without a heartbeat.
    pub lease: Duration,
    /// How long results are kept.
    pub result_retention: Duration,
    /// How long a key is kept.
    pub key_retention: Duration,
}

/// How often the sweep of due tasks looks; also the most that an `eta` is late by.
const DISPATCH_DUE_EVERY: Duration = Duration::from_millis(200);
/// How often dead workers are looked for; more often where the lease is short, because the rescue guard takes a long rest for blindness.
const RESCUE_EVERY: Duration = Duration::from_secs(1);
/// How often expired tasks are ended that no worker has come across.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);
/// How often lost dispatches are looked for.
const REDISPATCH_EVERY: Duration = Duration::from_secs(5);
/// A dispatch younger than this is not yet lost.
const DISPATCH_GRACE: Duration = Duration::from_secs(10);
/// So many batches of lost dispatches are dispatched at once.
const REDISPATCH_BATCHES: usize = 20;
/// How long past its hard limit an attempt is left to its worker.
const OVERRUN_GRACE: Duration = Duration::from_secs(30);
/// How often the lines of rate limits are looked at.
const ADVANCE_LINES_EVERY: Duration = Duration::from_secs(2);
/// How often due schedules are looked for; also the most that a firing is late by where nothing holds it up.
const FIRE_EVERY: Duration = Duration::from_millis(500);
/// How often old rows are looked for.
const PRUNE_EVERY: Duration = Duration::from_mins(1);
/// How often the store's time is taken over where no heartbeat does it.
const CLOCK_EVERY: Duration = Duration::from_secs(5);

/// The sweeps of one process.
pub struct Scheduler {
    queue: Arc<Queue>,
    config: SchedulerConfig,
    rescue_guard: parking_lot::Mutex<RescueGuard>,
}

impl Scheduler {
    /// Sweeps that have not started.
    pub fn new(queue: Arc<Queue>, config: SchedulerConfig) -> Arc<Self> {
        let rescue_guard = parking_lot::Mutex::new(RescueGuard::new(config.lease));
        Arc::new(Self { queue, config, rescue_guard })
    }

    /// Dispatches what is due until nothing more is: how many.
    pub async fn dispatch_due(&self) -> StoreResult<usize> {
        let mut dispatched = 0;
        loop {
            let step = self.queue.dispatch_due_once().await?;
            dispatched += step;
            if step < SWEEP_BATCH as usize {
                return Ok(dispatched);
            }
        }
    }

    /// Rescues from dead workers, if we can see well enough to call anybody dead: how many. Does nothing
    /// while ends cannot be written: those that live workers could not write yet come first.
    pub async fn rescue(&self) -> StoreResult<usize> {
        let store_now = self.queue.store().ping().await?;
        let clock = self.queue.clock();
        clock.follow(store_now);
        let now = clock.now();
        let (may_rescue, sees_since) = {
            let mut guard = self.rescue_guard.lock();
            (guard.note_store_answer(now), guard.sees_since().unwrap_or(now))
        };
        if !may_rescue || !self.queue.settle_gate().is_open() {
            return Ok(0);
        }
        let lease = jiff::SignedDuration::try_from(self.config.lease).unwrap_or_default();
        let rescued = self.queue.rescue_once(now.checked_sub(lease).unwrap_or(now)).await?;
        Ok(rescued + self.queue.overrun_once(OVERRUN_GRACE, sees_since).await?)
    }

    /// At the start of a process that has the store to itself: whoever is listed as running something is dead.
    pub async fn rescue_all(&self) -> StoreResult<usize> {
        self.queue.rescue_once(jiff::Timestamp::MAX).await
    }

    /// At the start of a process whose broker died with the one before: every dispatch that was sent is lost. Dispatches a batch of each queue;
    /// the sweep does the rest: how many.
    pub async fn dispatch_after_restart(&self) -> StoreResult<usize> {
        self.queue.redispatch_lost_once(Duration::ZERO).await
    }

    /// Ends waiting tasks that have expired: how many.
    pub async fn expire(&self) -> StoreResult<usize> {
        self.queue.expire_once().await
    }

    /// Dispatches again what the broker has lost, until nothing more is found or enough was done for now: how many.
    pub async fn redispatch_lost(&self) -> StoreResult<usize> {
        let mut dispatched = 0;
        for _ in 0..REDISPATCH_BATCHES {
            let step = self.queue.redispatch_lost_once(DISPATCH_GRACE).await?;
            dispatched += step;
            if step < SWEEP_BATCH as usize {
                break;
            }
        }
        Ok(dispatched)
    }

    /// Makes partitions ahead and forgets what is old enough.
    pub async fn prune(&self) -> StoreResult<usize> {
        self.queue.make_partitions().await?;
        let mut steps = 0;
        while self.queue.prune_once(self.config.result_retention, self.config.key_retention, DEAD_WORKERS_KEPT).await? {
            steps += 1;
        }
        Ok(steps)
    }

    /// Makes tasks of the schedules that are due: how many were looked at.
    pub async fn fire_schedules(&self) -> StoreResult<usize> {
        self.queue.fire_due().await
    }

    /// Counts what ended and what waits: how many steps were written.
    pub async fn count(&self) -> StoreResult<usize> {
        self.queue.count_once().await
    }

    /// Moves tasks that wait for a rate limit up where others before them have ended, or the limit has changed.
    pub async fn advance_lines(&self) -> StoreResult<usize> {
        let now = self.queue.clock().now();
        let mut advanced = 0;
        for kind in self.queue.store().limited_kinds(now).await? {
            // The kind may be one of another process's packs.
            if let Some(policy) = self.queue.runner().kind(&kind) {
                advanced += self.queue.store().advance_line(&kind, policy.rate, now).await?;
            }
        }
        Ok(usize::try_from(advanced).unwrap_or(usize::MAX))
    }

    /// Runs every duty until `shutdown`.
    pub fn start(self: &Arc<Self>, shutdown: &Shutdown) {
        macro_rules! duty {
            ($name:literal, $every:expr, $step:ident) => {{
                let (this, until) = (self.clone(), shutdown.clone());
                shutdown.spawn(async move {
                    run_duty($name, $every, until, this.queue.clock().clone(), || this.$step()).await;
                });
            }};
        }
        let rescue_every = RESCUE_EVERY.min(self.config.lease / 8);
        duty!("dispatch_due", DISPATCH_DUE_EVERY, dispatch_due);
        duty!("rescue", rescue_every, rescue);
        duty!("expire", EXPIRE_EVERY, expire);
        duty!("redispatch_lost", REDISPATCH_EVERY, redispatch_lost);
        duty!("prune", PRUNE_EVERY, prune);
        duty!("advance_lines", ADVANCE_LINES_EVERY, advance_lines);
        duty!("count", COUNT_EVERY, count);
        duty!("fire_schedules", FIRE_EVERY, fire_schedules);
    }
}

/// Keeps the clock with the store's where no sweep does it.
pub async fn follow_store_time(queue: Arc<Queue>, shutdown: Shutdown) {
    let clock = queue.clock().clone();
    let step = || async {
        clock.follow(queue.store().ping().await?);
        Ok(0)
    };
    run_duty("clock", CLOCK_EVERY, shutdown.clone(), clock.clone(), step).await;
}

/// Takes a step, rests, and again. Rests vary by a tenth, so that processes that started together do not step together; a store that is away
/// is told of once.
pub async fn run_duty<F, S>(name: &'static str, every: Duration, shutdown: Shutdown, clock: Arc<dyn Clock>, step: F)
where
    F: Fn() -> S,
    S: Future<Output = StoreResult<usize>>,
{
    let mut is_failing = false;
    loop {
        match step().await {
            Ok(count) => {
                if std::mem::take(&mut is_failing) {
                    tracing::info!(duty = name, "works again");
                }
                if count > 0 {
                    tracing::debug!(duty = name, count, "done");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(duty = name, %error, "failed; it is tried again until it works");
                }
            }
        }
        let rest = every.mul_f64(0.9 + 0.2 * clock.chance());
        tokio::select! {
            () = shutdown.started() => return,
            () = tokio::time::sleep(rest) => {}
        }
    }
}
