//! Agents that speak the protocol of real ones and scan nothing: each has its own connection, is enrolled, gives signs of
//! life, takes attempts, and stores statuses, results and logs. For the cost of the server and of NATS.

use super::{
    nats_server::NatsServer,
    server::TestServer,
    wait::{PATIENCE, until},
};
use async_nats::jetstream::{
    self, AckKind, Context, Message,
    consumer::PullConsumer,
    kv,
    object_store::{ObjectInfo, ObjectStore},
};
use base64::{Engine, engine::general_purpose::URL_SAFE};
use futures_util::{StreamExt, TryStreamExt, stream};
use scanwatch::wire::{
    self,
    attempt::AttemptMessage,
    heartbeat::{self, Heartbeat, Running},
    names::{AgentName, Label, Names, RepositoryKey},
    seal::AgentKey,
    status::{self, Kind, ObjectRef, StatusHeader},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    error::Error,
    fmt::Write,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{sync::Notify, task::JoinSet, time::sleep};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How many agents are enrolled at once.
const AT_ONCE: usize = 16;
/// How long a request for an attempt waits.
const WAIT: Duration = Duration::from_secs(2);
/// Of which repositories the times of all statuses are kept.
const SAMPLED: u32 = 7;

/// What each agent does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    pub(crate) slots: u32,
    /// How many statuses a scan reports between its begin and its end.
    pub(crate) statuses: u32,
    /// The pause before each of them.
    pub(crate) pause: Duration,
    pub(crate) packages: usize,
}

/// What the agents have done so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) attempts: AtomicU64,
    /// Begun, running and final ones.
    pub(crate) statuses: AtomicU64,
    pub(crate) heartbeats: AtomicU64,
    pub(crate) failures: AtomicU64,
    first: Mutex<Option<Instant>>,
    /// Of some repositories that are being scanned, when each status was stored.
    stored: Mutex<HashMap<RepositoryKey, Vec<Instant>>>,
    /// How often each repository was taken.
    taken: Mutex<BTreeMap<RepositoryKey, u64>>,
}

/// Agents that run. Dropped, they stop without a trace, as after a power cut.
#[derive(Debug)]
pub(crate) struct SimulatedAgents {
    pub(crate) counts: Arc<Counts>,
    _tasks: JoinSet<()>,
}

impl SimulatedAgents {
    /// Enrolls agents and starts them.
    pub(crate) async fn start(
        server: &TestServer,
        nats: &NatsServer,
        (count, ack_wait): (usize, Duration),
        work: Work,
    ) -> Self {
        let counts = Arc::new(Counts::default());
        let enrolled = stream::iter(0..count).map(async |number| {
            let (name, key) = (format!("agent-{number}"), AgentKey::generate());
            let body = json!({ "name": name, "public_key": key.public().as_str() });
            server.post("/agents", &body).await.expect(200);
            // The server creates its bucket, at once or with the next connection to NATS.
            let open =
                async || Agent::open(&name, &key, nats, work, Arc::clone(&counts)).await.ok();
            Arc::new(until(PATIENCE, "an agent finds its bucket", open).await)
        });
        let agents: Vec<_> = enrolled.buffer_unordered(AT_ONCE).collect().await;
        let mut tasks = JoinSet::new();
        for agent in agents {
            tasks.spawn(Arc::clone(&agent).give_signs_of_life(heartbeat::interval(ack_wait)));
            for _ in 0..work.slots {
                tasks.spawn(Arc::clone(&agent).scan());
            }
        }
        Self { counts, _tasks: tasks }
    }
}

impl Counts {
    /// When the first attempt was taken.
    pub(crate) fn first(&self) -> Option<Instant> {
        *lock(&self.first)
    }

    /// A sampled repository that is being scanned: the one whose last status is the newest.
    pub(crate) fn sample(&self) -> Option<RepositoryKey> {
        let stored = lock(&self.stored);
        let newest = stored.iter().max_by_key(|(_, times)| times.last().copied());
        newest.map(|(key, _)| key.clone())
    }

    /// For how long a status with a higher number than this one has been stored.
    pub(crate) fn age_beyond(&self, key: &RepositoryKey, number: usize) -> Option<Duration> {
        let stored = lock(&self.stored);
        let times = stored.get(key)?;
        // The begin is the status 0.
        Some(times.get(number + 1).map_or(Duration::ZERO, Instant::elapsed))
    }

    /// How many repositories were taken more than once.
    pub(crate) fn repeated(&self) -> usize {
        lock(&self.taken).values().filter(|times| **times > 1).count()
    }

    /// Whether the first repository of a job was taken.
    pub(crate) fn has_taken(&self, job: &str) -> bool {
        let job = job.parse().expect("the id of a job");
        lock(&self.taken).contains_key(&RepositoryKey { job, index: 0 })
    }

    /// How many repositories were taken.
    pub(crate) fn repositories(&self) -> usize {
        lock(&self.taken).len()
    }
}

/// One agent.
struct Agent {
    names: Names,
    model: Heartbeat,
    client: async_nats::Client,
    status: kv::Store,
    agents: kv::Store,
    orders: kv::Store,
    results: ObjectStore,
    consumer: PullConsumer,
    running: Mutex<BTreeSet<Running>>,
    turn: tokio::sync::Mutex<()>,
    soon: Notify,
    work: Work,
    counts: Arc<Counts>,
}

impl Agent {
    async fn open(
        name: &str,
        key: &AgentKey,
        nats: &NatsServer,
        work: Work,
        counts: Arc<Counts>,
    ) -> Outcome<Self> {
        let name: AgentName = name.parse()?;
        let names = Names::new("scanwatch".parse()?);
        let client = async_nats::connect(nats.url()).await?;
        let context: Context = jetstream::new(client.clone());
        let bucket = async |name: String| context.get_key_value(name).await;
        let (stream, label) = (names.attempts_stream(), Label::default());
        let mut model = Heartbeat::new(name.clone(), name.to_string(), chrono::Utc::now());
        model.slots = work.slots;
        model.labels = vec![label.clone()];
        key.public().as_str().clone_into(&mut model.public_key);
        Ok(Self {
            status: bucket(names.status_bucket()).await?,
            agents: bucket(names.agents_bucket()).await?,
            orders: bucket(names.orders_bucket()).await?,
            results: context.get_object_store(names.results_bucket(&name)).await?,
            consumer: context.get_consumer_from_stream(names.consumer(&label), &stream).await?,
            running: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            soon: Notify::new(),
            names,
            model,
            client,
            work,
            counts,
        })
    }

    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    async fn give_signs_of_life(self: Arc<Self>, every: Duration) {
        loop {
            if self.beat().await.is_err() {
                Self::count(&self.counts.failures);
            }
            tokio::select! {
                () = sleep(every) => {}
                () = self.soon.notified() => {}
            }
        }
    }

    async fn beat(&self) -> Outcome<()> {
        let _turn = self.turn.lock().await;
        let running = lock(&self.running).iter().cloned().collect();
        let beat = Heartbeat { running, ..self.model.clone() };
        self.agents.put(self.model.agent.as_str(), wire::write(&beat)?.into()).await?;
        Self::count(&self.counts.heartbeats);
        Ok(())
    }

    /// One slot.
    async fn scan(self: Arc<Self>) {
        loop {
            if self.take().await.is_err() {
                Self::count(&self.counts.failures);
                sleep(Duration::from_millis(100)).await;
            }
        }
    }

    async fn take(&self) -> Outcome<()> {
        let batch = self.consumer.batch().max_messages(1).expires(WAIT).messages();
        let Some(delivery) = batch.await?.try_next().await? else { return Ok(()) };
        let message = AttemptMessage::read(&delivery.payload)?;
        let number = u64::try_from(delivery.info()?.delivered)?;
        let (key, attempt) = (message.key.clone(), message.attempt(number));
        lock(&self.counts.first).get_or_insert_with(Instant::now);
        *lock(&self.counts.taken).entry(key.clone()).or_default() += 1;
        Self::count(&self.counts.attempts);
        let running = Running { key: key.clone(), attempt };
        lock(&self.running).insert(running.clone());
        let done = self.run(
            &delivery,
            &key,
            StatusHeader::began(self.model.agent.clone(), attempt, number),
        );
        let done = done.await;
        lock(&self.running).remove(&running);
        lock(&self.counts.stored).remove(&key);
        self.soon.notify_one();
        done
    }

    /// An attempt, in the order of a real agent.
    async fn run(
        &self,
        delivery: &Message,
        key: &RepositoryKey,
        mut header: StatusHeader,
    ) -> Outcome<()> {
        let reply = delivery.reply.clone().ok_or("a delivery without a reply")?;
        let acknowledge =
            async |kind: AckKind| self.client.request(reply.clone(), kind.into()).await;
        acknowledge(AckKind::Progress).await?;
        self.orders.get(key.token()).await?;
        self.beat().await?;
        self.put(key, &header, b"").await?;
        self.orders.get(key.token()).await?;
        header.kind = Kind::Running;
        for number in 1..=self.work.statuses {
            sleep(self.work.pause).await;
            header.sequence += 1;
            let now = chrono::Utc::now();
            let text = json!({
                "repo_index": key.index, "repo_name": "r", "status": "scanning", "last_update": now,
                "total_files": self.work.statuses, "current_file": number,
            });
            self.put(key, &header, text.to_string().as_bytes()).await?;
        }
        header.kind = Kind::Final;
        header.sequence += 1;
        header.exit_code = Some(0);
        // Whether a later attempt has begun.
        let pattern = format!("$KV.{}.*.{}", self.names.status_bucket(), key.token());
        self.status.stream.direct_get_next_for_subject(pattern, Some(1)).await?;
        let result = result(self.work.packages).into_bytes();
        header.result = Some(self.object(key.result_object(header.attempt), &result).await?);
        let log = b"the scan has begun\nthe scan has ended\n";
        header.log = Some(self.object(key.log_object(header.attempt), log).await?);
        let now = chrono::Utc::now();
        let text = json!({
            "repo_index": key.index, "repo_name": "r", "status": "completed", "last_update": now,
            "completed_at": now, "packages_found": self.work.packages,
        });
        self.put(key, &header, text.to_string().as_bytes()).await?;
        acknowledge(AckKind::Ack).await?;
        Ok(())
    }

    async fn put(&self, key: &RepositoryKey, header: &StatusHeader, bytes: &[u8]) -> Outcome<()> {
        let value = status::encode(header, bytes)?;
        self.status.put(key.status_key(&self.model.agent), value.into()).await?;
        Self::count(&self.counts.statuses);
        if key.index.is_multiple_of(SAMPLED) && header.kind != Kind::Final {
            lock(&self.counts.stored).entry(key.clone()).or_default().push(Instant::now());
        }
        Ok(())
    }

    async fn object(&self, name: String, mut bytes: &[u8]) -> Outcome<ObjectRef> {
        let info: ObjectInfo = self.results.put(name.as_str(), &mut bytes).await?;
        let digest = info.digest.as_deref().and_then(|digest| digest.strip_prefix("SHA-256="));
        let digest = URL_SAFE.decode(digest.ok_or("an object without a digest")?)?;
        let hex = digest
            .iter()
            .try_fold(String::new(), |mut hex, byte| write!(hex, "{byte:02x}").map(|()| hex));
        Ok(ObjectRef { name, size: u64::try_from(info.size)?, sha256: hex? })
    }
}

/// A result with this many packages.
fn result(packages: usize) -> String {
    let package = |number| {
        json!({
            "name": format!("package-{number}"), "version": format!("1.{number}.0"), "ecosystem": "npm",
            "purl": format!("pkg:npm/package-{number}@1.{number}.0"), "file": "package-lock.json",
        })
    };
    json!({ "schema": 1, "packages": (0..packages).map(package).collect::<Vec<_>>() }).to_string()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
