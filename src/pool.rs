//! Threads for blocking work, a few for each purpose.
//!
//! Input: closures that block (reading files, making documents). Output: their results.
//!
//! Invariants:
//! - A pool runs at most as many closures at a time as it has threads, also where their callers have gone
//!   away. Pools share nothing, so work of one purpose never waits for work of another.
//! - A caller that is dropped while it waits for a thread leaves the queue; its closure never runs.
//! - Callers are served in the order in which they came.
//! - A thread that was not needed for [`IDLE`] ends, also where a trickle of work wakes the idle threads in turn.
//! - The end of the process waits for no pool: the threads are detached, and what the end cuts off is
//!   done again by the next process.

use std::{
    collections::VecDeque,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};
use tokio::sync::{Semaphore, oneshot};

/// How long a thread stays that is not needed.
const IDLE: Duration = Duration::from_secs(10);

/// A bounded pool of threads. Clones share the threads.
#[derive(Clone)]
pub struct Pool {
    owner: Arc<Owner>,
}

/// The closure did not come to its end: it panicked, or no thread could be started.
#[derive(Debug, thiserror::Error)]
#[error("work on the pool `{pool}` was lost")]
pub struct Lost {
    pool: &'static str,
    #[source]
    source: Option<io::Error>,
}

impl From<Lost> for io::Error {
    fn from(lost: Lost) -> Self {
        Self::other(lost)
    }
}

/// Ends the threads with the last handle.
struct Owner {
    name: &'static str,
    threads: usize,
    turns: Arc<Semaphore>,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    /// How long a thread stays that is not needed.
    patience: Duration,
}

struct State {
    work: VecDeque<Work>,
    threads: usize,
    /// Threads that stay, also without work.
    kept: usize,
    idle: usize,
    /// When work last came that no idle thread could take.
    short_at: Instant,
    closed: bool,
}

type Work = Box<dyn FnOnce() + Send>;

impl Pool {
    /// A pool of at most `threads` threads, which are started when they are needed.
    pub fn new(name: &'static str, threads: usize) -> Self {
        Self::with_patience(name, threads, IDLE)
    }

    fn with_patience(name: &'static str, threads: usize, patience: Duration) -> Self {
        let threads = threads.max(1);
        let turns = Arc::new(Semaphore::new(threads));
        let state = State {
            work: VecDeque::new(),
            threads: 0,
            kept: 0,
            idle: 0,
            short_at: Instant::now(),
            closed: false,
        };
        let shared = Shared { state: Mutex::new(state), wake: Condvar::new(), patience };
        Self { owner: Arc::new(Owner { name, threads, turns, shared: Arc::new(shared) }) }
    }

    /// As [`new`](Self::new), with one thread from now on: there is always somebody to do the work, also
    /// where the system refuses new threads.
    pub fn ready(name: &'static str, threads: usize) -> Self {
        let pool = Self::new(name, threads);
        let mut state = pool.owner.shared.lock();
        state.kept = 1;
        // What cannot be started now is started with the first work.
        let _ = pool.owner.start_thread(&mut state);
        drop(state);
        pool
    }

    /// Runs `work` on a thread of the pool as soon as one is free.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Lost> {
        let lost = |source| Lost { pool: self.owner.name, source };
        let turn = Arc::clone(&self.owner.turns).acquire_owned().await;
        let turn = turn.map_err(|_| lost(None))?;
        let (sender, result) = oneshot::channel();
        let work = move || {
            // A panic has been logged by the hook; the caller finds the sender gone.
            if let Ok(done) = catch_unwind(AssertUnwindSafe(work)) {
                let _ = sender.send(done);
            }
            drop(turn);
        };
        self.owner.start(Box::new(work)).map_err(|error| lost(Some(error)))?;
        result.await.map_err(|_| lost(None))
    }
}

impl Owner {
    fn start(&self, work: Work) -> io::Result<()> {
        let mut state = self.shared.lock();
        if state.idle <= state.work.len() {
            state.short_at = Instant::now();
            if state.threads < self.threads {
                match self.start_thread(&mut state) {
                    Err(error) if state.threads == 0 => return Err(error),
                    // Those that are there will come to it.
                    Ok(()) | Err(_) => {}
                }
            }
        }
        state.work.push_back(work);
        drop(state);
        self.shared.wake.notify_one();
        Ok(())
    }
}

impl Owner {
    fn start_thread(&self, state: &mut State) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        thread::Builder::new().name(self.name.to_owned()).spawn(move || shared.work())?;
        state.threads += 1;
        Ok(())
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of a thread.
    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(work) = state.work.pop_front() {
                drop(state);
                work();
                state = self.lock();
                continue;
            }
            // A thread that was woken now and then would never wait for so long in one go.
            let spare = state.idle > 0 && state.short_at.elapsed() >= self.patience;
            if state.closed || (spare && state.threads > state.kept) {
                break;
            }
            state.idle += 1;
            let (woken, waited) = self
                .wake
                .wait_timeout(state, self.patience)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.work.is_empty() && state.threads > state.kept {
                break;
            }
        }
        state.threads -= 1;
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({}, {} threads)", self.owner.name, self.owner.threads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering::SeqCst},
    };
    use tokio::task::yield_now;

    #[tokio::test]
    async fn no_more_run_at_once_than_there_are_threads() {
        let pool = Pool::new("test", 3);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = || {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            pool.run(move || {
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                thread::sleep(Duration::from_millis(1));
                now.fetch_sub(1, SeqCst);
            })
        };
        let all = futures_util::future::join_all((0..100).map(|_| work())).await;
        assert!(all.into_iter().all(|it| it.is_ok()));
        assert!(most.load(SeqCst) <= 3);
        assert!(pool.owner.shared.lock().threads <= 3);
    }

    #[tokio::test]
    async fn work_of_a_caller_that_left_the_queue_never_runs() {
        let pool = Pool::new("test", 1);
        let (gate, ran) = (Arc::new(Barrier::new(2)), Arc::new(AtomicUsize::new(0)));
        let held = Arc::clone(&gate);
        let mut first = tokio::task::JoinSet::new();
        first.spawn({
            let pool = pool.clone();
            async move { pool.run(move || held.wait()).await }
        });
        while pool.owner.turns.available_permits() > 0 {
            yield_now().await;
        }
        for _ in 0..100 {
            let ran = Arc::clone(&ran);
            let left =
                tokio::time::timeout(Duration::ZERO, pool.run(move || ran.fetch_add(1, SeqCst)));
            left.await.unwrap_err();
        }
        gate.wait();
        first.join_next().await.unwrap().unwrap().unwrap();
        assert_eq!(pool.run(|| 7).await.unwrap(), 7);
        assert_eq!(ran.load(SeqCst), 0);
    }

    /// Breaks if work that comes now and then keeps all threads that were once needed.
    #[tokio::test]
    async fn threads_that_are_not_needed_end_while_work_goes_on() {
        let pool = Pool::with_patience("test", 3, Duration::from_millis(100));
        let together = Arc::new(Barrier::new(3));
        let meet = || {
            let together = Arc::clone(&together);
            pool.run(move || together.wait())
        };
        let met = futures_util::future::join_all((0..3).map(|_| meet())).await;
        assert!(met.into_iter().all(|it| it.is_ok()));
        let began = Instant::now();
        while pool.owner.shared.lock().threads > 1 {
            assert!(began.elapsed() < Duration::from_secs(20), "the threads stay");
            pool.run(|| ()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn a_panic_costs_its_caller_alone() {
        let pool = Pool::new("test", 1);
        let lost = pool.run(|| -> u8 { panic!("on purpose") }).await;
        assert_eq!(lost.unwrap_err().to_string(), "work on the pool `test` was lost");
        assert_eq!(pool.run(|| 7).await.unwrap(), 7);
    }
}
