//! A large job goes to object storage, is removed here, and answers from there.

use crate::{
    Outcome, PACE, PATIENCE, ask, jobs,
    latencies::Latencies,
    memory, number_of,
    support::{
        files,
        s3::{BUCKET, KEYS, S3},
        server::Setup,
    },
    until,
};
use serde_json::json;
use std::{collections::BTreeMap, fs, time::Instant};
use tokio::time::sleep;

const REPOSITORIES: usize = 10_000;
const ROUNDS: usize = 100;
const ID: &str = "0198a7c4-0000-7000-8000-00000000a001";

pub(crate) async fn measure() -> Outcome<()> {
    let count = number_of("REPOSITORIES", REPOSITORIES)?;
    let s3 = S3::start();
    let setup = setup(&s3);
    fs::create_dir(setup.jobs())?;
    jobs::write(&setup.jobs(), ID, count)?;
    let folder = setup.jobs();
    let mut server = setup.start().await;
    let before = memory(&server, "VmRSS")?;
    let took = until(&folder.join(format!(".results/uploads/done/{ID}.json")), true).await?;
    let mut requests: BTreeMap<String, usize> = BTreeMap::new();
    for seen in s3.seen() {
        *requests.entry(seen.split(' ').next().unwrap_or_default().to_owned()).or_default() += 1;
    }
    println!("upload of {count} repositories: {:.1} s, requests {requests:?}", took.as_secs_f64());
    let peak = memory(&server, "VmHWM")?;
    println!("memory of the server: {} MB before, peak {} MB", before >> 20, peak >> 20);

    server.terminate().await;
    server.set("jobs.retention_hours", 0);
    server.set("jobs.results_retention_hours", 0);
    server.restart().await;
    until(&folder.join(ID), false).await?;
    until(&folder.join(format!(".results/jobs/{ID}.jsonl")), false).await?;
    println!("removed here: {} MB of memory", memory(&server, "VmRSS")? >> 20);
    // What is brought back is kept while it is measured.
    server.terminate().await;
    server.set("jobs.cleanup_interval_secs", 3600);
    server.restart().await;
    let seen = s3.seen().len();
    let path = format!("/scan/{ID}/packages?per_page=50&name=package-7-3");
    let begin = Instant::now();
    let mut refused = 0;
    loop {
        let answer = server.get(&path).await;
        match answer.status {
            200 => break,
            503 if begin.elapsed() < PATIENCE => refused += 1,
            _ => return Err(answer.text.into()),
        }
        sleep(PACE).await;
    }
    println!(
        "first answer from the archive: {:.1} s, {refused} answers 503, {} requests to the storage, memory peak {} MB",
        begin.elapsed().as_secs_f64(),
        s3.seen().len() - seen,
        memory(&server, "VmHWM")? >> 20,
    );
    Latencies::print_head();
    ask(&server, &path, ROUNDS).await;
    ask(&server, &format!("/scan/{ID}/repositories/7/packages"), ROUNDS).await;
    ask(&server, &format!("/jobs/{ID}/results"), 5).await;
    Ok(())
}

/// The settings of a server with this archive.
fn setup(s3: &S3) -> Setup {
    let setup = Setup::new();
    let (access, secret) = (setup.folder().join("access"), setup.folder().join("secret"));
    files::write(&access, format!("{}\n", KEYS.0));
    files::write(&secret, KEYS.1);
    setup
        .set("archive.url", format!("\"s3://{BUCKET}/some/where\""))
        .set("archive.endpoint", format!("\"{}\"", s3.endpoint()))
        .set("archive.allow_http", true)
        .set("archive.access_key_file", json!(access))
        .set("archive.secret_key_file", json!(secret))
        .set("log.level", json!("warn"))
}
