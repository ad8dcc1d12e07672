//! The store as a whole: its schema, its end, and what holds whatever the order of events.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use legwork_engine::domain::{NewTask, Next, PageRequest, StartedTask, TaskFilter, TaskId, TaskRow};
use legwork_engine::store::{
    Ended, RevokeAnswer, RevokeOrder, Settled, StartAnswer, StartBatch, StartedRow, Store, StoreError, TaskChange,
};

use crate::support::tasks::{
    at, default_queue, dispatched, mishap, settle_all, settlement, task, task_with_callback, undispatched, worker,
};

pub async fn migrating_twice_changes_nothing(store: Arc<dyn Store>) {
    assert!(store.is_migrated().await.unwrap());
    store.migrate().await.unwrap();
    assert!(store.is_migrated().await.unwrap());
    store.ping().await.unwrap();
    assert!(store.concurrent_writes() >= 1);
}

pub async fn a_closed_store_says_that_it_is_not_available(store: Arc<dyn Store>) {
    store.close().await;
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.insert(&[dispatched(task(0))]).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.find(TaskId::made(at(0))).await, Err(StoreError::Unavailable(_))));
}

/// Two workers, a sweep of due tasks, a rescue and users act in a random order. Whatever they do, no task is lost, none is made twice,
/// and what has ended stays as it ended.
pub async fn an_ended_task_never_changes(store: Arc<dyn Store>) {
    let mut history = History::new(store, 7);
    for _ in 0..400 {
        history.step().await;
        history.check().await;
    }
}

struct History {
    store: Arc<dyn Store>,
    rng: fastrand::Rng,
    now: i64,
    accepted: usize,
    ids: Vec<TaskId>,
    /// What each worker believes that it runs.
    held: [Vec<StartedTask>; 2],
    ended: HashMap<TaskId, TaskRow>,
}

impl History {
    fn new(store: Arc<dyn Store>, seed: u64) -> Self {
        let rng = fastrand::Rng::with_seed(seed);
        Self { store, rng, now: 0, accepted: 0, ids: Vec::new(), held: [Vec::new(), Vec::new()], ended: HashMap::new() }
    }

    async fn step(&mut self) {
        self.now += self.rng.i64(0..3);
        match self.rng.u8(0..16) {
            0..=3 => self.submit().await,
            4..=7 => self.start().await,
            8..=11 => self.settle().await,
            12 => self.revoke().await,
            13 => self.change().await,
            14 => self.sweep().await,
            _ => self.rescue().await,
        }
    }

    async fn submit(&mut self) {
        let tasks: Vec<_> = (0..self.rng.usize(1..4))
            .map(|_| {
                let new = if self.rng.bool() { task_with_callback() } else { task(0) };
                let expires_at = self.rng.bool().then(|| at(self.now + self.rng.i64(1..40)));
                let new = NewTask {
                    id: TaskId::made(at(self.now)),
                    submitted_at: at(self.now),
                    due_at: at(self.now),
                    expires_at,
                    ..new
                };
                if self.rng.bool() { dispatched(new) } else { undispatched(new) }
            })
            .collect();
        crate::support::tasks::insert(&self.store, &tasks).await;
        self.accepted += tasks.len();
        self.ids.extend(tasks.iter().map(|submitted| submitted.task.id));
    }

    async fn start(&mut self) {
        let n = self.rng.usize(0..2);
        let mut refs = Vec::new();
        for _ in 0..self.rng.usize(1..6) {
            let Some(&id) = self.rng.choice(&self.ids) else { return };
            let present = crate::support::tasks::row(&self.store, id).await.version.0;
            refs.push(crate::support::tasks::reference(id, present - self.rng.i32(0..2)));
        }
        let exclusive = self.rng.bool();
        let batch =
            StartBatch { worker: worker(n as u128), worker_name: "w", now: at(self.now), exclusive, refs: &refs, limits: &[] };
        for answer in self.store.start(&batch).await.unwrap() {
            match answer {
                StartAnswer::Started(started_task) => self.held[n].push(*started_task),
                StartAnswer::Ended(ended) => self.note(&ended),
                StartAnswer::Postponed | StartAnswer::NeedsExclusive | StartAnswer::Gone => {}
            }
        }
    }

    async fn settle(&mut self) {
        let n = self.rng.usize(0..2);
        let settlements: Vec<_> = (0..self.rng.usize(1..4))
            .filter_map(|_| {
                let at_index = self.rng.usize(0..self.held[n].len().max(1));
                let started_task = self.held[n].get(at_index)?.clone();
                // Now and then a worker forgets that it has settled, or settles what was taken from it.
                if self.rng.u8(0..4) > 0 {
                    self.held[n].remove(at_index);
                }
                Some(settlement(n as u128, &started_task, at(self.now), self.next()))
            })
            .collect();
        self.settle_these(&settlements).await;
    }

    async fn settle_these(&mut self, settlements: &[legwork_engine::store::Settlement]) {
        for settled in settle_all(&self.store, settlements).await {
            if let Settled::Ended(ended) = settled {
                self.note(&ended);
            }
        }
    }

    fn next(&mut self) -> Next {
        let due_at = at(self.now + self.rng.i64(0..5));
        match self.rng.u8(0..6) {
            0 | 1 => Next::success("1".into()),
            2 => Next::failure(mishap()),
            3 => Next::Retry { due_at, error: mishap() },
            4 => Next::Crashed { due_at, crashes: self.rng.u16(1..3), error: mishap() },
            _ => Next::Release { due_at },
        }
    }

    async fn revoke(&mut self) {
        let Some(&id) = self.rng.choice(&self.ids) else { return };
        let order = RevokeOrder { id, terminate: self.rng.bool(), now: at(self.now) };
        if let RevokeAnswer::Revoked(ended) = self.store.revoke(&order).await.unwrap() {
            self.note(&ended);
        }
    }

    async fn change(&mut self) {
        let Some(&id) = self.rng.choice(&self.ids) else { return };
        let change = TaskChange { due_at: Some(at(self.now + 1)), ..TaskChange::default() };
        self.store.change(id, &change, at(self.now)).await.unwrap();
    }

    async fn sweep(&mut self) {
        self.store.take_due(at(self.now), 10).await.unwrap();
        let mut ended = self.store.expire(at(self.now), 2).await.unwrap();
        if self.rng.u8(0..5) == 0 {
            ended.extend(self.store.purge(&default_queue(), at(self.now), 2).await.unwrap());
        }
        for ended in &ended {
            self.note(ended);
        }
    }

    async fn rescue(&mut self) {
        let lost: Vec<StartedRow> = self.store.overrun(Duration::ZERO, at(self.now + 1_000), 3).await.unwrap();
        let settlements: Vec<_> = lost
            .into_iter()
            .map(|row| legwork_engine::store::Settlement {
                id: row.id,
                attempt: row.attempt,
                version: row.version,
                worker: row.worker,
                worker_name: row.worker_name.into(),
                at: at(self.now),
                progress: None,
                next: Next::Crashed { due_at: at(self.now), crashes: row.facts.crashes + 1, error: mishap() },
            })
            .collect();
        self.settle_these(&settlements).await;
    }

    fn note(&mut self, ended: &Ended) {
        if let Some(callback) = &ended.callback {
            self.accepted += 1;
            self.ids.push(callback.task.id);
        }
    }

    async fn check(&mut self) {
        let all = PageRequest { after: None, limit: 500 };
        let rows = self.store.list(&TaskFilter::default(), &all).await.unwrap().items;
        assert_eq!(rows.len(), self.accepted, "accepted is ended and waiting and running");
        for row in rows {
            assert!(self.ids.contains(&row.id));
            if let Some(before) = self.ended.get(&row.id) {
                assert_eq!(&row, before);
            } else if row.status.is_ended() {
                assert_eq!(row.reason.is_some(), row.status == legwork_engine::domain::TaskStatus::Revoked, "{row:?}");
                self.ended.insert(row.id, row);
            }
        }
    }
}
