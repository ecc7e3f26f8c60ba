//! What single parts of the views show and do.

use super::{begin, finished_group, play_job, scanner};
use crate::archived::expire;
use crate::support::{
    browser::plays,
    files,
    forge::program,
    python::succeed,
    server::{Setup, TestServer},
    wait::eventually,
};
use rustix::process::Signal;
use serde_json::json;

/// Breaks if somebody cannot see on the page how busy the server is, and when a job that waits gets its turn.
#[tokio::test]
async fn jobs_that_wait_show_their_places() {
    let setup = scanner().set("scanner.max_concurrent_processes", 1);
    files::write(&setup.folder().join("hold"), "");
    let server = setup.start().await;
    let running = server.submit("running").await;
    server.working(&running).await;
    let (next, last) = (server.submit("next").await, server.submit("last").await);
    for (job, place) in [(&running, None), (&next, Some(1)), (&last, Some(2))] {
        let row = server.get(&format!("/jobs/{job}")).await.expect(200).json();
        assert_eq!(row["queue_position"].as_u64(), place, "{row:#}");
    }
    let playing = begin("queue", &server, &[("PAGE_WAITING", &format!("{next} {last}"))]).await;
    let mut playing = playing.live().await;
    files::write(&server.file("go"), "");
    for job in [&running, &next, &last] {
        server.finished(job).await;
    }
    playing.tell("released");
    playing.end().await;
    let listed = server.get("/jobs").await.expect(200).json();
    assert!(listed["jobs"][0].get("queue_position").is_none(), "{listed:#}");
}

/// Breaks if nobody can see on the page why fewer scans run than the settings allow.
#[tokio::test]
async fn fewer_slots_are_explained() {
    let hungry = r"
if task['attempt'] == 1:
    say('failed', attempt=1, failure={'kind': 'out_of_memory', 'detail': 'of the test'})
    sys.exit(1)
say('scanning', attempt=task['attempt'])
while not os.path.exists(here + '/go'):
    time.sleep(0.05)
say('completed', attempt=task['attempt'])
";
    let server = Setup::new()
        .python(hungry)
        .set("scanner.max_concurrent_processes", 3)
        .set("scanner.retry_pause_secs", 1)
        .start()
        .await;
    let body = json!({ "git_url": "https://github.com/acme/hungry.git", "retries": 1 });
    let job = server.submit_with(&body).await;
    eventually("it is scanned alone", async || {
        server.get("/health").await.json()["scanners"]["slots"] == 1
    })
    .await;
    let mut playing = begin("slots", &server, &[("PAGE_JOB", &job)]).await.live().await;
    files::write(&server.file("go"), "");
    assert_eq!(server.finished(&job).await["status"], "completed");
    playing.tell("released");
    playing.end().await;
}

/// Breaks if the address of a job whose files were removed leads nowhere although its results are archived.
#[tokio::test]
async fn an_archived_job_is_shown() {
    let setup = scanner().set("jobs.cleanup_interval_secs", 1);
    let (mut server, job) = finished_group(setup, 3).await;
    expire(&mut server, &[&job]).await;
    play_job("archived", &server, &job).await;
}

/// Breaks if the page does not show why the server is degraded and what to do, or still shows it when it is not.
#[tokio::test]
async fn a_problem_is_shown_with_its_remedy() {
    let server = scanner().start().await;
    let settings = server.file("settings.toml");
    let valid = files::text(&settings);
    files::write(&settings, format!("{valid}\n[nonsense]\nkey = 1\n"));
    server.signal(server.pid(), Signal::HUP);
    let mut playing = begin("degraded", &server, &[]).await.live().await;
    files::write(&settings, valid);
    server.signal(server.pid(), Signal::HUP);
    playing.tell("mended");
    playing.end().await;
}

/// Breaks if a retry of one cause scans anything else, if a command that the page copies does not run in a shell, or if
/// an estimate looks like a fact.
#[tokio::test]
async fn one_cause_is_retried() {
    let by_cause = r"
index = task['repo_index']
print('attempt', task['attempt'], flush=True)
say('scanning', total_files=4, current_file=2)
if index == 1:
    sys.exit(1)
if index in (0, 2) and task['attempt'] == 1:
    say('failed', failure=dict(kind='clone', detail='no route to host'), errors=[dict(message='no route to host')])
    sys.exit(0)
while index in (0, 2) and not os.path.exists(here + '/go'):
    time.sleep(0.05)
    say('scanning', total_files=4, current_file=2)
say('completed', total_files=4, current_file=4)
";
    let (server, job) = finished_group(Setup::new().python(by_cause), 9).await;
    let (mut playing, command) = begin("causes", &server, &[("PAGE_JOB", &job)]).await.hear().await;
    let rows = run_in_jobs_folder(&server, &command);
    assert_eq!(rows.lines().count(), 9, "{rows}");
    assert!(rows.contains("0\tpart-0\tfailed\tclone\tno route to host"), "{rows}");
    playing.tell("read");
    let mut playing = playing.live().await;
    assert_eq!(server.status_file(&job, 1)["attempt"], 1, "only one cause");
    files::write(&server.file("go"), "");
    playing.tell("released");
    playing.end().await;
    let attempts = [0, 1, 2, 3].map(|index| server.status_file(&job, index)["attempt"].clone());
    assert_eq!(attempts, [2, 1, 2, 1]);
    let path = format!("/scan/{job}/retry?cause=clone");
    server.post_nothing(&path).await.expect(409);
    server.post_nothing(&format!("/scan/{job}/retry?cause=nothing")).await.expect(400);
}

/// Breaks if a line of a log cannot be found or linked to, or if a long log becomes as many elements.
#[tokio::test]
async fn lines_of_a_log_have_addresses() {
    let logs = r"
if task['repo_index'] == 0:
    for number in range(1, 7001):
        print('a Needle' if number in (10, 3500, 6990) else f'line {number}')
else:
    for number in range(30000):
        print('x' * 100)
    print('the last of many lines')
say('completed')
";
    let (server, job) = finished_group(Setup::new().python(logs), 2).await;
    play_job("log", &server, &job).await;
}

/// Breaks if packages cannot be selected, if the page does not show why one is there, or if what a scanner could not
/// read is not listed.
#[tokio::test]
async fn packages_are_selected_counted_and_explained() {
    let result = r#"
package = lambda name, **own: dict(dict(name=name, version='1.0', ecosystem='npm', purl=f'pkg:npm/{name}@1.0',
    file='package-lock.json', line=3, direct=False, scope='runtime', source='lockfile', requires=[]), **own)
deep = ["pkg:npm/it's-deep@1.0"]
packages = [package('shop-lib', direct=True, file='package.json', line=7, requires=['pkg:npm/between@1.0']),
    package('between', requires=deep), package("it's-deep"), package('other', requires=deep)]
packages += [package(f'filler-{number}') for number in range(1199)]
packages += [package('flask', ecosystem='pypi', direct=True), package('pytest', ecosystem='pypi', direct=True, scope='dev')]
warning = lambda file, message: dict(file=file, line=3, message=message)
replace(os.environ['SCANWATCH_RESULT_FILE'], dict(schema=1, packages=packages, warnings=[
    warning('a/b.lock', 'no version'), warning('c.lock', 'no version'), warning('d.xml', 'is not XML')]))
say('completed')
"#;
    let (server, job) = finished_group(Setup::new().python(result), 1).await;
    let path = format!("/scan/{job}/repositories/0/warnings");
    assert_eq!(server.get(&path).await.expect(200).json()["total"], 3);
    let mut playing = begin("packages", &server, &[("PAGE_JOB", &job)]).await;
    for expected in [
        "pytest\t1.0\tpypi\tdev\tpackage-lock.json\n",
        "it's-deep\t1.0\tnpm\truntime\tpackage-lock.json\n",
    ] {
        let (told, command) = playing.hear().await;
        playing = told;
        assert_eq!(run_in_jobs_folder(&server, &command), expected);
        playing.tell("read");
    }
    playing.end().await;
}

/// What a command prints that the page has copied.
fn run_in_jobs_folder(server: &TestServer, command: &str) -> String {
    let mut shell = program("sh");
    let said = succeed(shell.args(["-c", command]).current_dir(server.setup().jobs())).stdout;
    String::from_utf8(said).unwrap()
}

/// Breaks if somebody cannot see on the page when a schedule runs, what became of its last run, or why it was skipped.
#[tokio::test]
async fn schedules_show_their_runs() {
    const URL: &str = "https://github.com/acme/widget.git";
    const YEARLY: &str = "0 0 1 1 *";
    let entry = format!("[{{ name = \"mine\", cron = \"{YEARLY}\", git_url = \"{URL}\" }}]");
    let setup = scanner().set("schedules", entry);
    let folder = setup.jobs().join(".schedules");
    std::fs::create_dir_all(&folder).unwrap();
    files::write(&folder.join("torn.json"), "{");
    for (name, cron, enabled) in
        [("yearly", YEARLY, true), ("off", YEARLY, false), ("often", "* * * * * *", true)]
    {
        let body = json!({ "cron": cron, "git_url": URL, "enabled": enabled });
        files::write(&folder.join(format!("{name}.json")), body.to_string());
    }
    files::write(&setup.folder().join("hold"), "");
    let server = setup.start().await;
    eventually("a run is skipped", async || {
        let often = server.get("/schedules/often").await.expect(200).json();
        often["skipped_runs"].as_u64() >= Some(1)
    })
    .await;
    plays("schedules", server.folder(), server.url("")).await;
}
