//! Large answers, and clients that disconnect, read nothing, or request many of them.
//!
//! `SCANWATCH_LARGE=whole cargo nextest run --release large_answers::` runs the tests at full
//! length.

use crate::support::{
    files,
    handmade::Handmade,
    processes::resident,
    raw::request,
    server::{Setup, TestServer},
    wait::{PATIENCE, eventually, until, within},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufWriter, Write},
    path::Path,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// Packages of a result of 4 MB, and of one of 33 MB.
const PACKAGES: (usize, usize) = (15_000, 120_000);
/// Lines of a log of 10 MB.
const LINES: usize = 200_000;
const LINE: &str = "a line of a log that is as long as lines are usual\n";

fn is_whole() -> bool {
    std::env::var_os("SCANWATCH_LARGE").is_some()
}

/// A result of so many packages, each of which requires two others.
fn write_result(path: &Path, packages: usize) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let part = path.with_extension("part");
    let mut file = BufWriter::new(fs::File::create(&part).unwrap());
    write!(file, "{{\"schema\":1,\"commit\":\"{:040}\",\"packages\":[", 7).unwrap();
    for number in 0..packages {
        let purl = |number: usize| format!("pkg:npm/some-package-{:06}@1.2.3", number % packages);
        let comma = if number == 0 { "" } else { "," };
        write!(
            file,
            "{comma}\n{{\"name\":\"some-package-{number:06}\",\"version\":\"1.2.3\",\"ecosystem\":\"npm\",\
             \"purl\":\"{}\",\"file\":\"package-lock.json\",\"line\":{},\"direct\":{},\
             \"scope\":\"runtime\",\"source\":\"lockfile\",\"requires\":[\"{}\",\"{}\"]}}",
            purl(number),
            number + 1,
            number % 50 == 0,
            purl(number * 7 + 1),
            purl(number * 13 + 5),
        )
        .unwrap();
    }
    write!(file, "],\"categories\":{{\"web\":true}},\"infrastructure_usage\":{{}}}}").unwrap();
    file.into_inner().unwrap().sync_data().unwrap();
    fs::rename(part, path).unwrap();
}

/// A finished job of this many repositories, each with a result of this many packages.
async fn lay(server: &TestServer, repositories: u32, packages: usize) -> Handmade {
    let job = Handmade::new(server, repositories);
    let result = |index| job.folder.join(format!("results/repo_{index}.json"));
    write_result(&result(0), packages);
    for index in 0..repositories {
        if index > 0 {
            fs::hard_link(result(0), result(index)).unwrap();
        }
        job.repository(index, "completed", 1000);
    }
    job.master("completed");
    eventually("the job is known and over", async || {
        let document = server.get(&job.path()).await;
        document.status == 200
            && document.json()["status"] == "completed"
            && document.json()["completed_repositories"].as_array().unwrap().len()
                == repositories as usize
    })
    .await;
    job
}

/// A reader with a small window, which has requested a path.
async fn reader(server: &TestServer, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut line = socket.connect(server.address()).await.unwrap();
    line.write_all(&request("GET", path)).await.unwrap();
    line
}

/// Waits until a successful answer has begun.
async fn begun(line: &mut TcpStream) {
    let mut begin = [0; 12];
    timeout(2 * PATIENCE, line.read_exact(&mut begin)).await.expect("it begins").unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
}

/// Samples the memory of a server until it is asked for the maximum, in KiB.
struct Peak {
    stop: tokio::sync::oneshot::Sender<()>,
    watch: tokio::task::JoinSet<u64>,
}

impl Peak {
    fn of(server: &TestServer) -> Self {
        let pid = server.pid();
        let (stop, mut stopped) = tokio::sync::oneshot::channel();
        let mut watch = tokio::task::JoinSet::new();
        watch.spawn(async move {
            let mut most = 0;
            loop {
                most = most.max(resident(pid));
                if timeout(Duration::from_millis(5), &mut stopped).await.is_ok() {
                    return most;
                }
            }
        });
        Self { stop, watch }
    }

    async fn end(mut self) -> u64 {
        self.stop.send(()).unwrap();
        self.watch.join_next().await.unwrap().unwrap()
    }
}

/// Breaks if clients that request documents and disconnect delay anything: the work of others, or
/// the end of the server.
#[tokio::test]
async fn six_hundred_disconnecting_clients_delay_nothing() {
    let setup = Setup::new().python("say('scanning')\ntime.sleep(600)\n");
    let mut server = setup.start().await;
    let job = lay(&server, 1, PACKAGES.0).await;
    let log = job.folder.join("logs/repo_0.log");
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    files::write(&log, LINE);
    let of = format!("{}/repositories/0", job.path());
    for (number, path) in ["/sbom", "/packages?format=csv", "/packages?page=150"].iter().enumerate()
    {
        let mut lines = Vec::new();
        for _ in 0..200 {
            lines.push(reader(&server, &format!("{of}{path}")).await);
        }
        // They are requested, and the first of them are answered.
        let answered = async |line: &TcpStream| line.readable().await.is_ok();
        timeout(PATIENCE, answered(&lines[number])).await.unwrap();
        drop(lines);
        let begin = Instant::now();
        let scan = server.submit("r").await;
        server.working(&scan).await;
        server.post_nothing(&format!("/scan/{scan}/cancel")).await.expect(200);
        server.get("/health").await.expect(200);
        assert_eq!(server.get(&format!("{of}/log")).await.expect(200).text, LINE);
        assert!(begin.elapsed() < Duration::from_secs(10), "it took {:?}", begin.elapsed());
    }
    // No work for them is left: one more is served at once.
    let page = server.get(&format!("{of}/packages?per_page=1")).await.expect(200).json();
    assert_eq!(page["total"], PACKAGES.0);
    let mut lines = Vec::new();
    for _ in 0..200 {
        lines.push(reader(&server, &format!("{of}/sbom")).await);
    }
    begun(&mut lines[0]).await;
    let begin = Instant::now();
    assert_eq!(server.terminate().await, Some(0));
    // Documents are cut at once: a stop that waited for them would use up its grace period of 10 s.
    assert!(begin.elapsed() < Duration::from_secs(9), "it took {:?}", begin.elapsed());
}

/// Breaks if one client can use the whole capacity.
#[tokio::test]
async fn a_client_with_too_many_requests_is_refused_and_others_are_served() {
    let server = Setup::new().start().await;
    let job = lay(&server, 1, PACKAGES.0).await;
    let path = format!("{}/sbom", job.path());
    let mut lines = Vec::new();
    for _ in 0..160 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        // Another client, by its address.
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut line = socket.connect(server.address()).await.unwrap();
        line.write_all(&request("GET", &path)).await.unwrap();
        lines.push(line);
    }
    // On a busy machine they are not admitted in the order of their requests.
    let answer = until(PATIENCE, "those beyond the share are refused", async || {
        lines.iter().find_map(|line| {
            let mut begin = [0; 1024];
            let read = line.try_read(&mut begin).ok()?;
            let answer = String::from_utf8_lossy(&begin[..read]).to_lowercase();
            answer.starts_with("http/1.1 503").then_some(answer)
        })
    })
    .await;
    assert!(answer.contains("retry-after: 5"), "{answer}");
    // Another client's document is complete, although nobody reads those that came before it.
    let answer =
        server.request(reqwest::Method::GET, &path).timeout(2 * PATIENCE).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let document: Value = answer.json().await.unwrap();
    assert_eq!(document["components"].as_array().unwrap().len(), PACKAGES.0);
}

/// Breaks if a document that yielded to others continues with anything but its next part.
#[tokio::test]
async fn documents_of_slow_readers_yield_and_resume() {
    let server = Setup::new().start().await;
    let job = lay(&server, 1, 2 * PACKAGES.0 / 3).await;
    let path = format!("{}/sbom", job.path());
    let expected = server.get(&path).await.expect(200).json();
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(reader(&server, &path).await);
    }
    // More than may be processed at a time, none of which reads: each begins nevertheless.
    for line in &mut slow {
        begun(line).await;
    }
    for mut line in slow {
        let mut text = String::new();
        timeout(2 * PATIENCE, line.read_to_string(&mut text)).await.unwrap().unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let document: Value = serde_json::from_str(&joined(body)).unwrap();
        assert_eq!(document["serialNumber"], expected["serialNumber"]);
        assert_eq!(document["components"], expected["components"]);
        assert_eq!(document["dependencies"], expected["dependencies"]);
    }
}

/// A body without the lengths of its chunks.
fn joined(chunked: &str) -> String {
    let (mut rest, mut body) = (chunked, String::new());
    loop {
        let (length, more) = rest.split_once("\r\n").expect("it ends in order");
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return body;
        }
        body.push_str(&more[..length]);
        rest = &more[length + 2..];
    }
}

/// Breaks if a document uses memory in proportion to its size, or keeps it.
#[tokio::test]
async fn documents_of_large_results_use_little_memory_and_keep_none() {
    let server = Setup::new().start().await;
    let job = lay(&server, 1, PACKAGES.1).await;
    let path = format!("{}/sbom", job.path());
    let before = resident(server.pid());
    let peak = Peak::of(&server);
    let (at_once, in_a_row) = if is_whole() { (10, 8) } else { (4, 0) };
    let mut lines = Vec::new();
    for _ in 0..at_once {
        lines.push(reader(&server, &path).await);
    }
    let (mut sizes, mut buffer) = (Vec::new(), vec![0; 1 << 20]);
    for line in &mut lines {
        begun(line).await;
        let mut size = 0;
        loop {
            let read = timeout(2 * PATIENCE, line.read(&mut buffer)).await.unwrap().unwrap();
            size += read;
            if read == 0 || !is_whole() && size > 256 << 10 {
                break;
            }
        }
        sizes.push(size);
    }
    drop(lines);
    let most = peak.end().await.saturating_sub(before);
    // Three are processed at a time.
    assert!(most < 3 * (32 << 10), "{at_once} at once took {most} KiB");
    for _ in 0..in_a_row {
        let document = server.get(&path).await.expect(200).json();
        assert_eq!(document["components"].as_array().unwrap().len(), PACKAGES.1);
    }
    within(PATIENCE, "the memory is given back", async || {
        resident(server.pid()).saturating_sub(before) < 32 << 10
    })
    .await;
    #[expect(clippy::print_stderr, reason = "what was measured, for whoever asked for it")]
    if is_whole() {
        eprintln!(
            "{at_once} at once: {most} KiB; sizes {sizes:?}; before {before} KiB, after {} KiB",
            resident(server.pid())
        );
    }
}

/// Breaks if the answer to a client that reads nothing is held in memory, whatever it is.
#[tokio::test]
async fn readers_that_read_nothing_cost_one_piece_each() {
    let server = Setup::new().start().await;
    let job = lay(&server, 1, PACKAGES.0).await;
    let group = lay(&server, 3000, 3).await;
    let log = job.folder.join("logs/repo_0.log");
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    files::write(&log, LINE.repeat(LINES));
    let of = format!("{}/repositories/0", job.path());
    for path in [
        format!("{of}/log"),
        format!("{of}/log?tail=100000"),
        format!("{of}/packages?per_page=1000"),
        format!("{of}/packages?format=csv"),
        format!("{}/repositories?per_page=1000", group.path()),
        format!("/jobs/{}/results", group.id),
        format!("/jobs/{}/results?format=csv", group.id),
    ] {
        let before = resident(server.pid());
        let mut lines = Vec::new();
        for _ in 0..60 {
            lines.push(reader(&server, &path).await);
        }
        for line in &mut lines {
            begun(line).await;
        }
        // What is sent waits in sockets; what is not yet sent, a piece or two for each.
        let growth = resident(server.pid()).saturating_sub(before);
        assert!(growth < 60 * 128 + (6 << 10), "{path}: {growth} KiB for 60");
    }
}

/// Breaks if a log that is sent piece by piece is wrong in its parts, its length, or when it
/// changes in the meantime.
#[tokio::test]
async fn a_large_log_is_served_in_all_its_parts() {
    let server = Setup::new().start().await;
    let job = lay(&server, 1, 1).await;
    let log = job.folder.join("logs/repo_0.log");
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    let lines: Vec<String> = (0..LINES).map(|number| format!("{number:08} {LINE}")).collect();
    let text = lines.concat();
    files::write(&log, &text);
    let path = format!("{}/repositories/0/log", job.path());
    let whole = server.get(&path).await.expect(200);
    assert_eq!(whole.header("content-length"), Some(text.len().to_string().as_str()));
    assert!(whole.text == text, "another text");
    let head = server.send(server.request(reqwest::Method::HEAD, &path)).await.expect(200);
    assert_eq!(head.header("content-length"), whole.header("content-length"));
    let tail = server.get(&format!("{path}?tail=70000")).await.expect(200);
    assert!(tail.text == text[text.len() - 70_000 * (LINE.len() + 9)..], "another tail");
    for (range, expected) in [
        ("bytes=100000-7000000", &text[100_000..=7_000_000]),
        ("bytes=-300000", &text[text.len() - 300_000..]),
        ("bytes=9-9", &text[9..=9]),
    ] {
        let asked = server.request(reqwest::Method::GET, &path).header("range", range);
        let part = server.send(asked).await.expect(206);
        assert!(part.text == expected, "another {range}");
        assert_eq!(part.header("content-length"), Some(expected.len().to_string().as_str()));
    }

    // What is added later is not part of an answer; if the log restarts, the answer breaks off.
    for is_anew in [false, true] {
        let mut line = reader(&server, &path).await;
        begun(&mut line).await;
        let mut options = fs::OpenOptions::new();
        let file = if is_anew { options.write(true).truncate(true) } else { options.append(true) };
        let added = "of the next attempt\n".repeat(if is_anew { 4 * LINES } else { 1 });
        file.open(&log).unwrap().write_all(added.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // Whether the end is a socket error or an early end depends on the kernel.
        let _ = timeout(PATIENCE, line.read_to_end(&mut answer)).await.unwrap();
        let body = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let body = String::from_utf8(answer.split_off(body)).unwrap();
        if is_anew {
            assert!(body.len() < text.len() && text.starts_with(&body), "{} bytes", body.len());
        } else {
            assert!(body == text, "another text");
        }
    }
}

/// Breaks if an answer whose job is removed in the meantime looks complete, or waits.
#[tokio::test]
async fn a_document_whose_job_is_removed_breaks_off() {
    let server = Setup::new().start().await;
    let job = lay(&server, 1, PACKAGES.0).await;
    let mut line = reader(&server, &format!("{}/sbom", job.path())).await;
    begun(&mut line).await;
    server.delete(&job.path()).await.expect(204);
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, line.read_to_end(&mut answer)).await.unwrap();
    assert!(!answer.ends_with(b"0\r\n\r\n"), "it looks whole");
}

/// Breaks if the results of a group are not what its repositories found, or if corrupt ones fail
/// the rest.
#[tokio::test]
async fn the_totals_of_a_group_follow_its_list() {
    let server = Setup::new().start().await;
    let job = Handmade::new(&server, 4);
    let results = job.folder.join("results");
    fs::create_dir_all(&results).unwrap();
    let package = json!({"name": "a", "version": "1", "ecosystem": "npm", "purl": "pkg:npm/a@1",
        "file": "f", "direct": true, "scope": null, "source": "lockfile"});
    for (index, text) in [
        json!({"packages": [package, package], "categories": {"web": false, "db": true}})
            .to_string(),
        "{\"packages\": [{".to_owned(),
        json!({"categories": {"web": true}, "packages": [package]}).to_string(),
    ]
    .iter()
    .enumerate()
    {
        files::write(&results.join(format!("repo_{index}.json")), text);
        job.repository(u32::try_from(index).unwrap(), "completed", 1000);
    }
    job.repository(3, "failed", 10);
    let partial = format!("/jobs/{}/partial", job.id);
    eventually("all are known", async || {
        let answer = server.get(&partial).await;
        answer.status == 200 && answer.json()["partial_results"]["failed_scans"] == 1
    })
    .await;
    let check = |found: &Value| {
        assert_eq!(found["dependencies"], json!({"db": true, "web": true}), "{found}");
        assert_eq!(found["packages_total"], 3);
        let projects = found["project_results"].as_array().unwrap();
        assert_eq!(projects.len(), 4);
        assert_eq!(projects[0]["dependencies"], json!({"db": true, "web": false}));
        assert_eq!(projects[3]["status"], "failed");
        assert_eq!(found["failed_projects"][0]["error"], "broken");
    };
    let so_far = server.get(&partial).await.expect(200).json();
    assert_eq!(so_far["status"], "running");
    check(&so_far["partial_results"]);
    job.master("completed_with_errors");
    let path = format!("/jobs/{}/results", job.id);
    eventually("it is over", async || server.get(&path).await.status == 200).await;
    check(&server.get(&path).await.json());
    let csv = server.get(&format!("{path}?format=csv")).await.expect(200).text;
    assert_eq!(csv.lines().count(), 4, "{csv}");
    let document = server.get(&format!("{}/sbom", job.path())).await.expect(200).json();
    assert_eq!(
        document["components"].as_array().unwrap().len(),
        5,
        "four repositories, and one package"
    );
}
