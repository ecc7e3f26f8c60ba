//! Lists and counts of all jobs, for few jobs and for many: the time of an answer on one keep-alive connection.

use crate::{
    Latencies, Outcome,
    server::{AUTHORIZATION, serve, write_job},
};

const ROUNDS: usize = 300;
/// The jobs of both servers.
const FEW: usize = 1_000;
const MANY: usize = 100_000;

pub(crate) fn measure() -> Outcome<()> {
    let few = measure_with(FEW)?;
    let many = measure_with(MANY)?;
    println!("ratios at p50, {MANY} jobs to {FEW}:");
    for ((path, few), (_, many)) in few.iter().zip(&many) {
        let ratio = many.percentile(50).as_secs_f64() / few.percentile(50).as_secs_f64();
        println!("{path:36} {ratio:9.2}");
    }
    Ok(())
}

fn measure_with(jobs: usize) -> Outcome<Vec<(String, Latencies)>> {
    let home = tempfile::tempdir()?;
    for number in 0..jobs {
        write_job(home.path(), &format!("bench-{number}"), 1)?;
    }
    let server = serve(home.path())?;
    println!("{:36} {:>9} {:>9} {:>9}", format!("{jobs} jobs"), "p50 ms", "p99 ms", "worst ms");
    let (last, middle) = (jobs / 100, jobs / 200);
    let paths = [
        "/jobs".to_owned(),
        "/jobs?status=completed&per_page=100".to_owned(),
        "/jobs?status=failed".to_owned(),
        format!("/jobs?per_page=100&page={middle}"),
        format!("/jobs?per_page=100&page={last}"),
        "/metrics".to_owned(),
        "/health".to_owned(),
    ];
    let mut all = Vec::new();
    for path in paths {
        let mut connection = server.client(AUTHORIZATION)?;
        let latencies = Latencies::of(ROUNDS, || connection.get(&path))?;
        latencies.print(&path);
        all.push((path, latencies));
    }
    Ok(all)
}
