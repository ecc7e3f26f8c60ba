//! Secrets in everything that can go wrong: a forge that knows them puts them, in all their forms,
//! into everything it sends; and all output is searched for them.

use crate::support::{
    encodings::Forms,
    files,
    forge::{Behaviour, Entry, Forge},
    sampler::{Sampler, Sight},
    server::{Setup, TestServer, is_final},
    wait::{eventually, until},
};
use reqwest::Method;
use scanwatch::model::redact::MASK;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// The forge's token, the one of the server's user, and that of a tool: every kind of escaping
/// applies to it.
const TOKEN: &str = r#"c4n/+"<&'\~%s3t"#;
const PASSWORD: &str = r#"p4s/+"<&'\~%s3w"#;

/// How long a line of git's output may be when shown, after the `remote: ` that git prepends.
const SHOWN: usize = 380;

/// What goes wrong, by the name of the repository it happens to; each repeats the token.
fn faults(lines: &[String], elsewhere: &str) -> Vec<(String, Behaviour)> {
    let mut faults = Vec::new();
    for (part, some) in lines.chunks(3).enumerate() {
        let body = some.join("\n");
        let text = "Content-Type: text/plain\r\n";
        let says = |code, headers: &str| {
            Behaviour::Says(code, format!("{text}{headers}"), format!("{body}\n"))
        };
        let hex = TOKEN.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02x}"));
        let packet = format!("ERR {}", some.join(" "));
        let packet = format!("{:04x}{packet}", packet.len() + 4);
        let smart = "Content-Type: application/x-git-upload-pack-advertisement\r\n".to_owned();
        for (name, behaviour) in [
            ("unauthorized", says(401, &format!("WWW-Authenticate: Basic realm=\"{hex}\"\r\n"))),
            ("forbidden", says(403, &format!("X-Token: {hex}\r\n"))),
            ("missing", says(404, "")),
            ("broken", says(500, "")),
            ("moved", says(302, &format!("Location: {elsewhere}/{hex}/x.git\r\n"))),
            ("no-git", says(200, "")),
            ("refuses", Behaviour::Says(200, smart, packet)),
            ("explains", Behaviour::SaysInPack(some.to_vec())),
        ] {
            faults.push((format!("acme/{name}-{part}"), behaviour));
        }
    }
    let forms = Forms::of(TOKEN);
    // Cut within a form: where lines are shortened, and where git's own lines are.
    for (name, width) in [("shortened", 390_i32), ("cut", 4086)] {
        let line = |form: &str, by: i32| {
            "x".repeat(usize::try_from(width - by).unwrap_or(0)) + form + &"y".repeat(300)
        };
        let lines = forms.all().zip(0..).map(|(form, by)| line(form, by % 14));
        let lines: Vec<_> = lines.collect();
        for (part, some) in lines.chunks(4).enumerate() {
            let body = some.join("\n");
            let text = "Content-Type: text/plain\r\n".to_owned();
            faults.push((format!("acme/{name}-{part}"), Behaviour::Says(500, text, body)));
        }
    }
    faults.push(("acme/silent".to_owned(), Behaviour::Silent));
    faults.push(("acme/stalls".to_owned(), Behaviour::StallAfter(40)));
    faults
}

/// A forge that knows the token, and abuses it.
fn forge(elsewhere: &str) -> Forge {
    let forge = Forge::start();
    forge.listing().token = Some(TOKEN.to_owned());
    forge.require_login("oauth2", TOKEN);
    let forms = Forms::of(TOKEN);
    let lines = forms.lines(SHOWN);
    for (path, behaviour) in faults(&lines, elsewhere) {
        forge.add_repository(&path, &[("package.json", b"{}")]);
        forge.listing().add(&path);
        forge.behave_at(&path, behaviour);
    }
    // In names, and in the list's entries about them.
    for (number, form) in forms.all().enumerate() {
        let path = format!("acme/named-{number} {form}");
        forge.listing().describe(&path, json!({ "default_branch": form }));
    }
    // In branches, paths and files, odd ones among them.
    let repository = forge.add_empty_repository("acme/holds");
    let hex = forms.all().find(|form| form.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let branch = format!("b-{}", hex.expect("one form is hexadecimal"));
    let mut contents = Vec::new();
    for (number, form) in forms.all().enumerate() {
        let quoted = Value::from(form).to_string();
        let package = format!(
            r#"{{"dependencies": {{{quoted}: {quoted}, "x{number}": {quoted}}}, "name": {quoted}}}"#
        );
        let padding = "z".repeat(70 - number % 8);
        let lines = format!("{form}=={form}\n{padding}{form} what is this\n-e {form}\n");
        contents.push((format!("{number}/{form}/package.json"), package));
        contents.push((format!("{number}/{form}/requirements.txt"), lines));
        contents.push((format!("{number}/{form}/Dockerfile"), String::new()));
    }
    // A form with a slash is a path by itself: none may begin or end with one.
    let entries: Vec<_> =
        contents.iter().map(|(path, text)| Entry::File(path.as_bytes(), text.as_bytes())).collect();
    repository.commit(&branch, &entries);
    repository.git(&["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")], b"");
    forge.listing().add("acme/holds");
    forge
}

/// What a stream sends, as it arrives.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    async fn listen(server: &TestServer, path: &str) -> Self {
        let heard = Self::default();
        let request = server.request(Method::GET, path).header("Accept", "text/event-stream");
        let mut response = request.send().await.unwrap();
        let writing = heard.clone();
        #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
        drop(tokio::spawn(async move {
            while let Ok(Some(piece)) = response.chunk().await {
                writing.0.lock().unwrap().extend_from_slice(&piece);
            }
        }));
        heard
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

/// Every answer of a GET about a job, under the name of its path.
async fn answers(server: &TestServer, job: &str, repositories: usize) -> Vec<(String, Vec<u8>)> {
    let mut answers = Vec::new();
    for template in scanwatch::api::routes::paths() {
        // Streams have been read, and a page opens no socket.
        if template.ends_with("events") || template.ends_with("ws") {
            continue;
        }
        let of_job = template.replace("{id}", job).replace("{job_id}", job);
        let numbers = if of_job.contains('{') { repositories } else { 1 };
        for number in 0..numbers {
            let path: String = of_job
                .split('/')
                .map(
                    |part| if part.starts_with('{') { number.to_string() } else { part.to_owned() },
                )
                .collect::<Vec<_>>()
                .join("/");
            let answer = server.get(&path).await;
            let mut bytes = answer.text.into_bytes();
            bytes.extend(format!("{:?}", answer.headers).into_bytes());
            answers.push((path, bytes));
        }
    }
    answers
}

#[track_caller]
fn is_clean(forms: &Forms, place: &str, bytes: &[u8]) {
    let found = forms.found_in(bytes);
    assert!(found.is_empty(), "{place} holds a secret:\n{}", found.join("\n"));
}

/// The git processes, and of their variables the one that holds the header.
fn is_gits_own(sight: &Sight) -> bool {
    let Sight::Environment { program, variable } = sight else { return false };
    let name = program.rsplit('/').next().unwrap_or_default();
    // Without a name it is in the middle of an exec.
    (name.is_empty() || name == "git" || name.starts_with("git-"))
        && variable == "GIT_CONFIG_VALUE_0"
}

/// Breaks if a secret of a forge or of a user appears anywhere, in any form, whatever goes wrong:
/// only the forge's git has it, in its own environment, while it fetches.
#[tokio::test]
async fn no_secret_leaks_whatever_goes_wrong() {
    let elsewhere = Forge::start();
    let forge = forge(&elsewhere.base());
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    files::write(&folder.join("token"), format!("{TOKEN}\n"));
    std::fs::create_dir(folder.join("tmp")).unwrap();
    let port = forge.port();
    let forges: Vec<_> = ["http", "https"]
        .map(|scheme| {
            let token = folder.join("token");
            format!(
                "{{ kind = \"gitlab\", url = \"{scheme}://127.0.0.1:{port}\", token_file = {token:?} }}"
            )
        })
        .into();
    let mut setup = setup
        .user("operator", PASSWORD)
        .set("forges", format!("[{}]", forges.join(", ")))
        .set("limits.connect_timeout_secs", 15)
        .set("limits.fetch_stall_timeout_secs", 5)
        .variable("TMPDIR", folder.join("tmp").display())
        .variable("RUST_BACKTRACE", "1");
    // An operator who traces git must not leak it.
    for name in ["GIT_TRACE", "GIT_TRACE_CURL", "GIT_TRACE_PACKET", "GIT_TRACE2_EVENT"] {
        setup = setup.variable(name, folder.join("trace").display());
    }
    setup = setup.variable("GIT_CURL_VERBOSE", "1").variable("GIT_TRACE_REDACT", "0");
    let server = setup.start().await;

    let sampler = Sampler::start(Forms::of(TOKEN), &server.setup().jobs());
    let users = Sampler::start(Forms::of(PASSWORD), &server.setup().jobs());
    let all = Heard::listen(&server, "/events").await;
    let group = json!({ "git_url": format!("{}/acme", forge.base()), "retries": 0 });
    let job = server.submit_with(&group).await;
    let of_job = Heard::listen(&server, &format!("/scan/{job}/events")).await;
    // Nothing speaks TLS there.
    let url = format!("https://127.0.0.1:{port}/acme/holds.git");
    let tls = server.submit_with(&json!({ "git_url": url, "retries": 0 })).await;
    // A dozen scans, some of which wait for an answer: on a busy machine that takes its time.
    let document = until(Duration::from_mins(4), "all scans are over", async || {
        let document = server.progress(&job).await;
        is_final(&document).then_some(document)
    })
    .await;
    let of_tls = server.finished(&tls).await;
    assert_eq!(of_tls["status"], "failed", "{of_tls:#}");
    eventually("the stream has ended", async || {
        String::from_utf8_lossy(&of_job.bytes()).contains("event: end")
    })
    .await;

    let (seen, seen_of_user) = (sampler.finish(), users.finish());
    let gits: BTreeSet<_> = seen.iter().filter(|sight| is_gits_own(sight)).cloned().collect();
    assert_eq!(seen, gits, "seen outside of git's own environment");
    assert!(!gits.is_empty(), "the sampler sees what there is to see");
    let servers_own = |sight: &Sight| match sight {
        Sight::Environment { variable, .. } => variable == "API_PASSWORD",
        _ => false,
    };
    assert!(seen_of_user.iter().all(servers_own) && seen_of_user.len() == 1, "{seen_of_user:?}");

    let count = document["summary"]["total_repositories"].as_u64().unwrap();
    let mut places = answers(&server, &job, usize::try_from(count).unwrap()).await;
    places.extend(answers(&server, &tls, 1).await);
    assert!(places.len() > 100, "only {} answers", places.len());
    places.push(("/events".to_owned(), all.bytes()));
    places.push(("the job's events".to_owned(), of_job.bytes()));
    places.push(("the server's log".to_owned(), server.setup().log().into_bytes()));
    for file in files::below(&folder) {
        // The operator's own.
        if !file.ends_with("token") {
            places.push((file.display().to_string(), std::fs::read(&file).unwrap_or_default()));
        }
    }
    // Half of one reveals half of it.
    for secret in [TOKEN, PASSWORD, &TOKEN[..9], &PASSWORD[..9]] {
        let forms = Forms::of(secret);
        for (place, bytes) in &places {
            is_clean(&forms, place, bytes);
        }
    }
    assert!(!folder.join("trace").exists(), "git kept a trace");
    assert_eq!(elsewhere.contacts(), 0, "a redirect was followed");
    everything_was_repeated(&server, &job, &document);
}

/// The forge has sent all of it, and all of it was shown, masked.
fn everything_was_repeated(server: &TestServer, job: &str, document: &Value) {
    let names = |key: &str| document[key].as_array().unwrap().clone();
    assert!(names("completed_repositories").contains(&json!("holds")), "{document:#}");
    let mut masked = 0;
    for failed in names("failed_repositories") {
        let name = failed["repo_name"].as_str().unwrap();
        let error = failed["error"].as_str().unwrap();
        // Nothing these send is shown.
        let no_process_left =
            ["unauthorized", "silent", "stalls", "no-git", "moved", "named", "cut"];
        if no_process_left.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        assert!(error.contains(MASK), "{name} fails without a word of the forge: {error}");
        masked += 1;
    }
    assert!(masked >= 10, "only {masked}: {document:#}");
    let plan = files::text(&server.job_folder(job).join("repositories.json"));
    assert!(plan.contains(&format!("named-0 {MASK}")), "{plan}");
    let results = files::below(&server.job_folder(job).join("results"));
    let holds =
        results.iter().map(|path| files::text(path)).find(|text| text.contains("\"holds\""));
    let holds = holds.expect("what it holds is read");
    assert!(holds.matches(MASK).count() > 50, "{holds}");
}

/// Breaks if a credential helper is asked for a password, or a scan waits for one.
#[tokio::test]
async fn a_repository_that_needs_a_login_fails_at_once_without_a_prompt() {
    let forge = Forge::start();
    forge.add_repository("private", &[("package.json", b"{}")]);
    forge.require_login("somebody", "else");
    let setup = Setup::new();
    let folder = setup.folder().to_owned();
    let asked = folder.join("asked");
    let helper = folder.join("helper.sh");
    files::write(&helper, format!("#!/bin/sh\ntouch {}\necho password=x\n", asked.display()));
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&helper, executable).unwrap();
    let helper = helper.display();
    files::write(&folder.join(".gitconfig"), format!("[credential]\n\thelper = {helper}\n"));
    files::write(&folder.join(".netrc"), "machine 127.0.0.1 login somebody password else\n");
    let forges = format!("[{{ kind = \"git\", url = \"{}\" }}]", forge.base());
    let server = setup
        .set("forges", forges)
        .variable("GIT_ASKPASS", &helper)
        .variable("SSH_ASKPASS", &helper)
        .variable("GIT_TERMINAL_PROMPT", 1)
        .start()
        .await;
    let begin = Instant::now();
    let job = server.submit_with(&json!({ "git_url": forge.url("private"), "retries": 0 })).await;
    let document = server.finished(&job).await;
    let error = document["failed_repositories"][0]["error"].as_str().unwrap();
    assert!(error.contains("requires credentials"), "{error}");
    // It takes a fraction of a second; waiting for an answer would last for ever.
    assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
    assert!(!asked.exists(), "a helper was asked");
    assert!(
        forge.seen().iter().all(|request| !request.had_authorization),
        "a password was found somewhere"
    );
}
