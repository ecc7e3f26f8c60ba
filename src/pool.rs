//! Bounded thread pools for blocking work, one per purpose.
//!
//! Input: closures that block (reading files, producing documents). Output: their results.
//!
//! Invariants:
//! - A pool runs at most as many closures at a time as it has threads, even if their callers were
//!   dropped. Pools share nothing, so work of one purpose never waits for work of another.
//! - A caller that is dropped while it waits for a thread leaves the queue; its closure never runs.
//! - Callers are served in order.
//! - A thread that was not needed for `IDLE_TIMEOUT` ends, even if a trickle of work wakes the idle
//!   threads in turn.
//! - The end of the process waits for no pool: the threads are detached, and the next process redoes
//!   interrupted work.

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
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// A bounded pool of threads. Clones share the threads.
#[derive(Clone)]
pub struct Pool {
    owner: Arc<Owner>,
}

/// The closure did not finish: it panicked, or no thread could be started.
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

/// Shared by all handles of a pool; ends the threads when the last handle is dropped.
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
    idle_timeout: Duration,
}

struct State {
    work: VecDeque<Work>,
    threads: usize,
    /// The number of threads that stay when they are idle.
    min_threads: usize,
    idle: usize,
    /// When work last arrived that no idle thread could take.
    all_busy_at: Instant,
    closed: bool,
}

type Work = Box<dyn FnOnce() + Send>;

impl Pool {
    /// Creates a pool of at most `threads` threads, which are started when they are needed.
    pub fn new(name: &'static str, threads: usize) -> Self {
        Self::with_idle_timeout(name, threads, IDLE_TIMEOUT)
    }

    fn with_idle_timeout(name: &'static str, threads: usize, idle_timeout: Duration) -> Self {
        let threads = threads.max(1);
        let turns = Arc::new(Semaphore::new(threads));
        let state = State {
            work: VecDeque::new(),
            threads: 0,
            min_threads: 0,
            idle: 0,
            all_busy_at: Instant::now(),
            closed: false,
        };
        let shared = Shared { state: Mutex::new(state), wake: Condvar::new(), idle_timeout };
        Self { owner: Arc::new(Owner { name, threads, turns, shared: Arc::new(shared) }) }
    }

    /// Like [`new`](Self::new), but starts one thread at once and keeps it, so that the pool works even
    /// if the system refuses new threads later.
    pub fn ready(name: &'static str, threads: usize) -> Self {
        let pool = Self::new(name, threads);
        let mut state = pool.owner.shared.lock();
        state.min_threads = 1;
        // If this fails, the thread is started with the first work.
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
            // The panic hook has logged the panic; the caller notices that the sender is dropped.
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
            state.all_busy_at = Instant::now();
            if state.threads < self.threads {
                match self.start_thread(&mut state) {
                    Err(error) if state.threads == 0 => return Err(error),
                    // The existing threads will do the work.
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

    /// The main loop of a thread.
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
            let spare = state.idle > 0 && state.all_busy_at.elapsed() >= self.idle_timeout;
            if state.closed || (spare && state.threads > state.min_threads) {
                break;
            }
            state.idle += 1;
            let (woken, waited) = self
                .wake
                .wait_timeout(state, self.idle_timeout)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.work.is_empty() && state.threads > state.min_threads {
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
    async fn no_more_closures_run_at_once_than_there_are_threads() {
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
        assert!(all.into_iter().all(|result| result.is_ok()));
        assert!(most.load(SeqCst) <= 3);
        assert!(pool.owner.shared.lock().threads <= 3);
    }

    #[tokio::test]
    async fn work_of_a_dropped_caller_never_runs() {
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
        let pool = Pool::with_idle_timeout("test", 3, Duration::from_millis(100));
        let together = Arc::new(Barrier::new(3));
        let meet = || {
            let together = Arc::clone(&together);
            pool.run(move || together.wait())
        };
        let outcomes = futures_util::future::join_all((0..3).map(|_| meet())).await;
        assert!(outcomes.into_iter().all(|it| it.is_ok()));
        let began = Instant::now();
        while pool.owner.shared.lock().threads > 1 {
            assert!(began.elapsed() < Duration::from_secs(20), "the threads stay");
            pool.run(|| ()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn a_panic_affects_only_its_caller() {
        let pool = Pool::new("test", 1);
        let lost = pool.run(|| -> u8 { panic!("on purpose") }).await;
        assert_eq!(lost.unwrap_err().to_string(), "work on the pool `test` was lost");
        assert_eq!(pool.run(|| 7).await.unwrap(), 7);
    }
}
