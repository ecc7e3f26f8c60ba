//! Somebody deletes or empties what the server has in NATS: scans are at most repeated, and everything is created again.

use super::*;
use crate::support::agent::WAITING;
use futures_util::future::join_all;

const ATTEMPTS: &str = "SCANWATCH_ATTEMPTS";
const STATUS: &str = "KV_scanwatch_status";
const AGENTS: &str = "KV_scanwatch_agents";
const ORDERS: &str = "KV_scanwatch_orders";
const RESULTS: &str = "OBJ_scanwatch_results_one";

/// What is done behind the back of the server.
#[derive(Debug, Clone, Copy)]
enum Loss {
    Emptied(&'static str),
    Deleted(&'static str),
    /// The consumer of the label.
    Consumer,
    /// The status of the running scan.
    Key,
}

async fn lose(context: &jetstream::Context, loss: Loss, job: &str) {
    match loss {
        Loss::Emptied(name) => {
            context.get_stream(name).await.unwrap().purge().await.unwrap();
        }
        Loss::Deleted(name) => {
            context.delete_stream(name).await.unwrap();
        }
        Loss::Consumer => {
            let stream = context.get_stream(ATTEMPTS).await.unwrap();
            stream.delete_consumer("agents_default").await.unwrap();
        }
        Loss::Key => {
            let bucket = context.get_key_value("scanwatch_status").await.unwrap();
            bucket.delete(format!("one.{job}.0")).await.unwrap();
        }
    }
}

/// What is lost while a scan runs and another one waits for a slot costs at most a repetition.
async fn survives(loss: Loss) {
    let nats = NatsServer::start();
    let server = of_agents(&nats, Setup::new()).start().await;
    let mut agent = TestAgent::new("one", &nats, WAITING);
    join(&server, &mut [&mut agent]).await;
    let running = server.submit("a").await;
    is_scanned(&server, &running, 1).await;
    let waiting = server.submit("b").await;
    let context = context(&nats).await;
    lose(&context, loss, &running).await;
    if let Loss::Deleted(name) = loss {
        eventually(&format!("{loss:?}: the server creates it again"), async || {
            context.get_stream(name).await.is_ok()
        })
        .await;
        let is_named = name == RESULTS || server.setup().log().contains(name);
        assert!(is_named, "{loss:?}: {}", server.setup().log());
    }
    agent.release();
    for job in [&running, &waiting] {
        let last = is_final(&server, job).await;
        assert_eq!(last["status"], "completed", "{loss:?}: {last:#}\n{}", server.setup().log());
    }
    let log = agent.log();
    let runs = agent.runs().len();
    assert!((2..=4).contains(&runs), "{loss:?}: {runs} runs\n{log}");
    let next = server.submit("c").await;
    assert_eq!(is_final(&server, &next).await["status"], "completed", "{loss:?}");
    eventually("no scan is left", async || agent.scans().is_empty()).await;
    eventually(&format!("{loss:?}: the server is healthy"), async || {
        server.get("/health").await.json()["status"] == "healthy"
    })
    .await;
    nothing_is_stored(&nats).await;
}

/// Breaks if a repository is lost or never ends because a stream or bucket was emptied.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_emptied_costs_at_most_a_repetition() {
    join_all([ATTEMPTS, STATUS, AGENTS, ORDERS, RESULTS].map(Loss::Emptied).map(survives)).await;
}

/// Breaks if a repository is lost or never ends because a stream or bucket was deleted, or if it is not created again.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_is_created_again() {
    join_all([ATTEMPTS, STATUS, AGENTS, ORDERS, RESULTS].map(Loss::Deleted).map(survives)).await;
}

/// Breaks if a deleted consumer or key costs more than a repetition.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_consumer_or_key_costs_at_most_a_repetition() {
    join_all([Loss::Consumer, Loss::Key].map(survives)).await;
}

/// Breaks if a scan is repeated because the server no longer hears of changes, and does not notice.
#[tokio::test]
async fn a_watch_that_ends_in_silence_costs_nothing() {
    let nats = NatsServer::start();
    let server = waiting_for(&nats, Setup::new(), LONG_WAIT).start().await;
    let mut agent = TestAgent::new("one", &nats, WAITING);
    join(&server, &mut [&mut agent]).await;
    let job = server.submit("a").await;
    is_scanned(&server, &job, 1).await;
    let stream = context(&nats).await.get_stream(STATUS).await.unwrap();
    let watches: Vec<String> = stream.consumer_names().try_collect().await.unwrap();
    assert!(!watches.is_empty());
    for watch in watches {
        stream.delete_consumer(&watch).await.unwrap();
    }
    agent.release();
    let last = is_final(&server, &job).await;
    assert_eq!((&last["status"], &last["attempt"]), (&json!("completed"), &json!(1)));
    assert_eq!(agent.runs(), ["0/1"]);
    nothing_is_stored(&nats).await;
}

/// Breaks if a repository fails, or completes without its result, because NATS has lost the result.
#[tokio::test]
async fn a_result_that_nats_has_lost_is_made_again() {
    is_made_again(">").await;
}

/// Breaks if a scan never ends of whose result NATS has lost the content alone.
#[tokio::test]
async fn a_result_without_its_content_is_made_again() {
    is_made_again("$O.scanwatch_results_one.C.>").await;
}

async fn is_made_again(lost: &str) {
    let nats = NatsServer::start();
    let mut server = of_agents(&nats, Setup::new()).start().await;
    let mut agent = TestAgent::new("one", &nats, WAITING);
    join(&server, &mut [&mut agent]).await;
    let job = server.submit("a").await;
    is_scanned(&server, &job, 1).await;
    server.kill9().await;
    agent.release();
    let context = context(&nats).await;
    eventually("the agent has delivered its scan", async || {
        let stream = context.get_stream(ATTEMPTS).await.unwrap();
        stream.cached_info().state.messages == 0
    })
    .await;
    context.get_stream(RESULTS).await.unwrap().purge().filter(lost).await.unwrap();
    server.restart().await;
    let status = is_final(&server, &job).await;
    assert_eq!(
        (&status["status"], &status["attempt"]),
        (&json!("completed"), &json!(2)),
        "{status:#}"
    );
    assert!(server.job_folder(&job).join("results/repo_0.json").exists());
    nothing_is_stored(&nats).await;
}

/// Breaks if what a cut upload or a lost attempt has stored stays in NATS for ever, or if what goes on is removed.
#[tokio::test]
async fn objects_that_no_report_names_are_removed() {
    let nats = NatsServer::start();
    let server = of_agents(&nats, Setup::new()).start().await;
    let mut agent = TestAgent::new("one", &nats, WAITING);
    join(&server, &mut [&mut agent]).await;
    let job = server.submit("a").await;
    is_scanned(&server, &job, 1).await;
    let context = context(&nats).await;
    let bucket = context.get_object_store("scanwatch_results_one").await.unwrap();
    let put = async |name: String| {
        bucket.put(name.as_str(), &mut &b"canary"[..]).await.unwrap();
    };
    put("no-such-job.0.1.result".to_owned()).await;
    put(format!("{job}.0.1.result")).await;
    let pieces = "$O.scanwatch_results_one.C.cut-upload";
    context.publish(pieces, "half".into()).await.unwrap().await.unwrap();
    eventually("what is left over is removed", async || {
        let subjects = stored(&nats).await;
        bucket.info("no-such-job.0.1.result").await.is_err()
            && subjects.iter().all(|subject| subject != pieces)
    })
    .await;
    // Of a scan that runs.
    assert!(bucket.info(format!("{job}.0.1.result")).await.is_ok());
    agent.release();
    assert_eq!(is_final(&server, &job).await["status"], "completed");
    nothing_is_stored(&nats).await;
}

/// Breaks if the number of a message in a deleted stream names a message of another repository in its successor.
#[tokio::test]
async fn a_stream_that_was_created_again_loses_no_message() {
    let nats = NatsServer::start();
    // Long enough for the leases to outlast the loss of the stream.
    let server = waiting_for(&nats, Setup::new(), Duration::from_secs(5)).start().await;
    let mut one = TestAgent::new("one", &nats, WAITING);
    join(&server, &mut [&mut one]).await;
    let first = server.submit("a").await;
    is_scanned(&server, &first, 1).await;
    let context = context(&nats).await;
    context.delete_stream(ATTEMPTS).await.unwrap();
    eventually("the stream and its consumer are created again", async || {
        let stream = context.get_stream(ATTEMPTS).await;
        stream.is_ok() && stream.unwrap().consumer_info("agents_default").await.is_ok()
    })
    .await;
    let mut two = TestAgent::new("two", &nats, WAITING);
    join(&server, &mut [&mut two]).await;
    // Its message has the number that the message of the first one had.
    let second = server.submit("b").await;
    is_scanned(&server, &second, 1).await;
    kill_machine(&mut one);
    server.post_nothing(&format!("/scan/{first}/cancel")).await.expect(200);
    assert_eq!(is_final(&server, &first).await["status"], "cancelled");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let left = stored(&nats).await;
    assert!(left.iter().any(|subject| subject.contains(".attempts.")), "{left:?}");
    two.release();
    let last = is_final(&server, &second).await;
    assert_eq!((&last["status"], &last["attempt"]), (&json!("completed"), &json!(1)));
    nothing_is_stored(&nats).await;
}
