//! The page for people, in a real browser against the real server: what a person sees, and that nothing but text
//! comes of what repositories are called.

mod network;
mod views;

use crate::job_packages::changed_group;
use crate::support::{
    browser::{Playing, plays, scenario},
    files,
    forge::{Forge, program},
    python::succeed,
    server::{Setup, TestServer},
    wait::eventually,
};
use crate::webhooks::{
    self,
    receiver::{Receiver, status},
};
use flate2::{Compression, write::GzEncoder};
use reqwest::Method;
use serde_json::json;
use std::io::Write;

/// A scanner: the repository with number 1 fails, the others find two packages; it writes a log and waits for a
/// file where the test says so.
const SCANNER: &str = r"
index = task['repo_index']
print('a line of the log', flush=True)
say('scanning', total_files=4, current_file=2, message='reading', percentage=50.0)
while os.path.exists(here + '/hold') and not os.path.exists(here + '/go'):
    time.sleep(0.05)
    say('scanning', total_files=4, current_file=2, message='reading', percentage=50.0)
if index == 1:
    print('it fails', file=sys.stderr)
    sys.exit(1)
package = lambda name, direct, requires: dict(name=name, version='1.0', ecosystem='npm', purl=f'pkg:npm/{name}@1.0',
    file='package-lock.json', line=3, direct=direct, scope='runtime', source='lockfile', requires=requires)
replace(os.environ['SCANWATCH_RESULT_FILE'], dict(schema=1, packages=[
    package('shop-lib', True, ['pkg:npm/left-pad@1.0']), package('left-pad', False, [])]))
say('completed', total_files=4, current_file=4)
";

fn scanner() -> Setup {
    Setup::new().python(SCANNER)
}

async fn finished_group(setup: Setup, count: usize) -> (TestServer, String) {
    let job = setup.write_group(count);
    let server = setup.start().await;
    server.finished(&job).await;
    (server, job)
}

fn base(server: &TestServer) -> String {
    server.url("")
}

/// Breaks if the first visit of the page takes more than 60 KB, or if a file of it names another site.
#[tokio::test]
async fn the_page_is_small_and_complete_in_itself() {
    let server = Setup::new().start().await;
    let home = server.get("/").await.expect(200);
    let mut total = 0;
    let mut wanted = vec!["/".to_owned()];
    let mut seen = 0;
    while let Some(path) = wanted.get(seen).cloned() {
        seen += 1;
        let answer = server.get(&path).await.expect(200);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(answer.text.as_bytes()).unwrap();
        total += gzip.finish().unwrap().len();
        let without_namespace = answer.text.replace("http://www.w3.org/2000/svg", "");
        let others = ["http://", "https://", "//cdn"]
            .iter()
            .filter(|text| without_namespace.contains(**text));
        let others: Vec<_> = others.collect();
        // The form has an example of a URL.
        assert!(others.is_empty() || path.ends_with("jobs.js"), "{path} names {others:?}");
        for part in answer.text.split(['"', '\'']) {
            let file = part.strip_prefix("page/").or_else(|| part.strip_prefix("./"));
            let file = file.filter(|file| {
                file.ends_with(".js") || file.ends_with(".css") || file.ends_with(".svg")
            });
            let path = file.map(|file| format!("/page/{file}"));
            if let Some(path) = path.filter(|path| !wanted.contains(path)) {
                wanted.push(path);
            }
        }
    }
    assert!(wanted.len() >= 18, "{wanted:?}");
    assert!(total <= 60_000, "{total} bytes");
    let policy = home.header("content-security-policy").unwrap();
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    for path in ["/page/none.js", "/page/../mod.rs", "/page/"] {
        server.get(path).await.expect(404);
    }
}

/// Breaks if the page cannot be switched off.
#[tokio::test]
async fn without_the_page_the_root_leads_to_the_documentation() {
    let server =
        Setup::new().set("server.dashboard", false).user("operator", "s3cret").start().await;
    let answer = server.get("/").await.expect(302);
    assert_eq!(answer.header("location"), Some("docs"));
    server.get("/page/app.js").await.expect(404);
    let navigation =
        server.without_credentials(Method::GET, "/jobs").header("sec-fetch-mode", "navigate");
    let answer = server.send(navigation).await.expect(401);
    assert!(answer.header("www-authenticate").is_some());
}

/// Breaks if somebody cannot submit a group on the page, watch it, and find out what failed and why.
#[tokio::test]
async fn a_group_is_watched_from_its_submission_to_its_packages() {
    let forge = Forge::start();
    forge.group(&["acme/part-0", "acme/part-1", "acme/part-2"]);
    let forges = format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base());
    let server = scanner().set("forges", forges).start().await;
    let (home, address) = (server.folder().to_owned(), base(&server));
    let url = format!("{}/acme", forge.base());
    let played = tokio::task::spawn_blocking(move || {
        let mut command = scenario("group", &home, &address);
        succeed(command.env("PAGE_URL", url));
    });
    played.await.expect("the scenario passes");
}

/// Breaks if an open page does not say that it is out of date, or does not recover with its server.
#[tokio::test]
async fn a_page_survives_the_death_of_its_server() {
    let setup = scanner();
    files::write(&setup.folder().join("hold"), "");
    let job = setup.write_group(3);
    let mut server = setup.start().await;
    server.working(&job).await;
    let mut playing = waiting("restart", &server, &job).await;
    server.set_variable("SCANWATCH_SERVER__LISTEN", server.address());
    server.kill9().await;
    playing.tell("killed");
    server.restart().await;
    playing.tell("started");
    files::write(&server.file("go"), "");
    playing.end().await;
}

/// Breaks if a name, a message, a log or a package becomes markup.
#[tokio::test]
async fn hostile_names_are_text() {
    let hostile = r#"
nasty = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>\u202e\u2066"\'&amp;' + '\U0001f4a3' * 40 + 'x' * 3000
print(nasty, flush=True)
say('scanning', total_files=4, current_file=2, message=nasty, current_filename=nasty)
if task['repo_index'] == 0:
    replace(os.environ['SCANWATCH_RESULT_FILE'], dict(schema=1, packages=[dict(name=nasty[:900], version=nasty[:900], ecosystem='npm',
        purl='pkg:npm/x@1', file=nasty, line=3, direct=None, scope=None, source='lockfile')], warnings=[dict(file=nasty, message=nasty)]))
    say('completed')
else:
    say('failed', errors=[dict(message=nasty, timestamp='2026-01-01T00:00:00Z')])
"#;
    let setup = Setup::new().python(hostile);
    let (server, job) = finished_group(setup, 2).await;
    play_job("hostile", &server, &job).await;
}

/// Breaks if a job of ten thousand repositories makes ten thousand rows.
#[tokio::test]
async fn ten_thousand_repositories_are_a_page_like_any_other() {
    let setup = Setup::new().set("scanner.max_concurrent_processes", 1).shell("sleep 600\n");
    let job = setup.write_group(10_000);
    let server = setup.start().await;
    play_job("large", &server, &job).await;
}

/// Breaks if one task, from signing in to a failure, needs a mouse, or if a script can read the session.
#[tokio::test]
async fn everything_can_be_done_with_the_keyboard() {
    let (server, _) = finished_group(scanner().user("operator", "s3cret"), 3).await;
    plays("keyboard", server.folder(), base(&server)).await;
}

/// Breaks if a token that may only read is offered what it may not do.
#[tokio::test]
async fn a_reader_sees_no_verbs() {
    let setup = scanner();
    let mut new = program(env!("CARGO_BIN_EXE_scanwatch"));
    let made = succeed(new.args(["token", "new", "reader", "--scope", "read"]));
    let said = String::from_utf8(made.stderr).unwrap();
    let token = said.split_whitespace().find(|word| word.starts_with("scanwatch_")).unwrap();
    let token = token.to_owned();
    let path = setup.folder().join("tokens");
    files::write(&path, made.stdout);
    let setup = setup.set("auth.tokens_file", json!(path)).user("operator", "s3cret");
    let (server, _) = finished_group(setup, 3).await;
    let (home, address) = (server.folder().to_owned(), base(&server));
    let played = tokio::task::spawn_blocking(move || {
        let mut command = scenario("reader", &home, &address);
        succeed(command.env("PAGE_TOKEN", token));
    });
    played.await.expect("the scenario passes");
}

/// Breaks if each tab has a connection of its own: a browser opens six to a server.
#[tokio::test]
async fn eight_tabs_are_live_at_once() {
    let setup = scanner();
    files::write(&setup.folder().join("hold"), "");
    let job = setup.write_group(3);
    let server = setup.start().await;
    server.working(&job).await;
    let mut playing = waiting("tabs", &server, &job).await;
    files::write(&server.file("go"), "");
    playing.tell("released");
    playing.end().await;
}

/// Breaks if a change since an earlier job is not shown, or a repository that is not known is not named.
#[tokio::test]
async fn two_jobs_are_compared() {
    let server = Setup::new().start().await;
    let [_, after] = changed_group(&server).await;
    play_job("changes", &server, &after.id).await;
}

/// Breaks if the page does not show why a webhook fails, or cannot send a delivery again.
#[tokio::test]
async fn webhooks_are_shown_and_sent_again() {
    let receiver = Receiver::answering(|_, _| status(500));
    let hook = webhooks::webhook("ci", &receiver.url("/"), &["job.finished"], "");
    let server = webhooks::setup(&[hook]).start().await;
    webhooks::recording(&server).await;
    let job = server.submit("app").await;
    server.finished(&job).await;
    eventually("it has failed", async || webhooks::row(&server, "ci").await["failures"] == 1).await;
    let mut playing = waiting("webhooks", &server, &job).await;
    receiver.answer(|_, _| status(200));
    playing.tell("repaired");
    playing.end().await;
}

/// Breaks if a verb acts without a question, or does not do what it says.
#[tokio::test]
async fn verbs_ask_first() {
    let setup = scanner();
    files::write(&setup.folder().join("hold"), "");
    let job = setup.write_group(3);
    let server = setup.start().await;
    server.working(&job).await;
    play_job("verbs", &server, &job).await;
}

/// Breaks if a view is wider than a phone's window, or draws nothing in one of the themes.
#[tokio::test]
async fn every_view_fits_every_width() {
    let schedules =
        "[{ name = 'nightly', cron = '30 2 * * 1-5', git_url = 'https://github.com/acme' }]";
    let (server, job) = finished_group(scanner().set("schedules", schedules), 12).await;
    play_job("pictures", &server, &job).await;
    if let Some(folder) = std::env::var_os("SCANWATCH_PICTURES") {
        for entry in std::fs::read_dir(server.folder()).unwrap().flatten() {
            if entry.path().extension().is_some_and(|ending| ending == "png") {
                let name = entry.file_name();
                std::fs::copy(entry.path(), std::path::Path::new(&folder).join(name)).unwrap();
            }
        }
    }
}

/// Plays a scenario about a job.
async fn play_job(name: &'static str, server: &TestServer, job: &str) {
    let (home, address, job) = (server.folder().to_owned(), base(server), job.to_owned());
    let played = tokio::task::spawn_blocking(move || {
        let mut command = scenario(name, &home, &address);
        succeed(command.env("PAGE_JOB", job));
    });
    played.await.expect("the scenario passes");
}

/// Begins a scenario with these variables.
async fn begin(
    name: &'static str,
    server: &TestServer,
    variables: &[(&'static str, &str)],
) -> Playing {
    let (home, address) = (server.folder().to_owned(), base(server));
    let variables: Vec<_> =
        variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let begun = tokio::task::spawn_blocking(move || {
        let mut command = scenario(name, &home, &address);
        command.envs(variables);
        Playing::begin(command)
    });
    begun.await.expect("the scenario begins")
}

/// Begins a scenario about a job, and waits until its pages are live.
async fn waiting(name: &'static str, server: &TestServer, job: &str) -> Playing {
    begin(name, server, &[("PAGE_JOB", job)]).await.live().await
}
