//! Everything at once: workers are killed, the broker goes and comes, tasks fail, are retried and revoked. The dice are seeded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use legwork_engine::domain::{TaskId, TaskRow, TaskStatus};
use legwork_engine::scheduler::Scheduler;
use serde_json::json;

use crate::support::engine::{Engine, PATIENCE, RunningPool, ann};
use crate::support::probe::Switch;

const ROUNDS: usize = 40;
const TASKS_A_ROUND: usize = 5;

struct World {
    engine: Engine,
    scheduler: Arc<Scheduler>,
    pools: Vec<RunningPool>,
    tasks: BTreeMap<TaskId, Arc<Switch>>,
    dice: fastrand::Rng,
    kills: usize,
}

impl World {
    async fn new(engine: Engine, seed: u64) -> Self {
        let scheduler = engine.scheduler();
        let dice = fastrand::Rng::with_seed(seed);
        let mut world = Self { engine, scheduler, pools: Vec::new(), tasks: BTreeMap::new(), dice, kills: 0 };
        for _ in 0..3 {
            world.pools.push(world.engine.another().start_pool().await);
        }
        world
    }

    async fn submit(&mut self) {
        let plans = [json!(["succeed"]), json!(["retry", "succeed"]), json!(["wait"]), json!(["panic", "wait"]), json!(["fail"])];
        let plan = self.dice.choice(&plans).unwrap();
        let options = json!({ "priority": self.dice.u8(0..10), "countdown": self.dice.u8(0..20) });
        let switch = Switch::new();
        let id = self.engine.submit_with("test.probe", switch.args(plan), options).await;
        self.tasks.insert(id, switch);
    }

    async fn disturb(&mut self) {
        match self.dice.u8(0..8) {
            0 | 1 => {
                let victim = self.dice.usize(0..self.pools.len());
                self.pools.swap_remove(victim).kill();
                self.kills += 1;
                self.pools.push(self.engine.another().start_pool().await);
            }
            2 => self.engine.broker.take_away(),
            3 => self.engine.broker.bring_back(),
            4 | 5 => {
                let ids: Vec<TaskId> = self.tasks.keys().copied().collect();
                let id = *self.dice.choice(&ids).unwrap();
                // Whatever it answers is right; the end is looked at later.
                drop(self.engine.queue.revoke(id, self.dice.bool(), &ann()).await);
            }
            _ => {
                for switch in self.tasks.values().take(50) {
                    switch.release(1);
                }
            }
        }
    }

    /// Some time passes: heartbeats heartbeat, sweeps sweep.
    async fn pass(&mut self, seconds: u64) {
        self.engine.clock.advance(Duration::from_secs(seconds));
        for pool in &mut self.pools {
            pool.heartbeat().await;
        }
        let _count = self.scheduler.rescue().await.unwrap();
        let _count = self.scheduler.redispatch_lost().await.unwrap();
        let _count = self.scheduler.dispatch_due().await.unwrap();
    }

    /// Lets the time pass until all has ended.
    async fn calm_down(&mut self) {
        self.engine.broker.bring_back();
        for switch in self.tasks.values() {
            switch.release(10);
        }
        let engine = self.engine.clone();
        let ended = tokio::spawn(async move { engine.all_ended().await });
        let mut round = 0;
        while !ended.is_finished() {
            self.pass(5).await;
            round += 1;
            if round % 20 == 0 {
                self.pools[0].pool.recover_missed_once(true).await;
            }
        }
        ended.await.unwrap();
    }

    async fn rows(&self) -> Vec<TaskRow> {
        let mut rows = Vec::new();
        for id in self.tasks.keys() {
            rows.push(self.engine.row(*id).await);
        }
        rows
    }
}

pub async fn nothing_is_lost_and_nothing_ends_twice_whatever_happens(engine: Engine) {
    let mut world = World::new(engine, 20_261_121).await;
    for _ in 0..ROUNDS {
        for _ in 0..TASKS_A_ROUND {
            world.submit().await;
        }
        world.disturb().await;
        let seconds = world.dice.u64(1..8);
        world.pass(seconds).await;
    }
    world.calm_down().await;
    assert!(world.kills > 5, "{} kills are no chaos", world.kills);
    let rows = world.rows().await;
    assert_eq!(rows.len(), ROUNDS * TASKS_A_ROUND);
    for row in &rows {
        let (started_task, runs) = (usize::try_from(row.attempt.0).unwrap(), world.tasks[&row.id].runs());
        assert!(runs <= started_task, "{runs} ran, {started_task} were started: {row:?}");
        let is_sound = match row.status {
            TaskStatus::Success => runs >= 1 && row.result.is_some(),
            TaskStatus::Failure => row.error.is_some(),
            TaskStatus::Revoked => row.reason.is_some(),
            _ => false,
        };
        assert!(is_sound, "{row:?}");
    }
    for _ in 0..30 {
        world.pass(10).await;
    }
    assert_eq!(world.rows().await, rows, "what has ended does not change any more");
    for pool in world.pools {
        assert!(pool.pool.running().empty_within(PATIENCE).await);
        pool.end().await;
    }
}
