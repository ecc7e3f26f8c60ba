//! Private repositories without a settings file: tokens of the environment, git's credential helper, and
//! `--forge`, each for one origin only.

use crate::support::{
    files,
    forge::{Behaviour, Fault, Forge, program},
};
use serde_json::Value;
use std::{os::unix::fs::PermissionsExt, path::Path, process::Command};
use tempfile::TempDir;

const TOKEN: &str = "canary-s3cr3t-0452";

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs scanwatch in this folder, with both tokens in its environment.
fn run(home: &Path, arguments: &[&str]) -> Ran {
    finish(command(home).args(arguments).env("GITLAB_TOKEN", TOKEN).env("GITHUB_TOKEN", TOKEN))
}

fn command(home: &Path) -> Command {
    let mut command = program(env!("CARGO_BIN_EXE_scanwatch"));
    command.env("TMPDIR", home).env("HOME", home).current_dir(home);
    command
}

fn finish(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let ran =
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
    assert!(!ran.out.contains(TOKEN) && !ran.err.contains(TOKEN), "{}\n{}", ran.out, ran.err);
    ran
}

fn names(ran: &Ran) -> Vec<String> {
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let results: Value = serde_json::from_str(&ran.out).unwrap();
    let results = results.as_array().cloned().unwrap_or_else(|| vec![results]);
    let packages = results.iter().flat_map(|result| result["packages"].as_array().unwrap());
    packages.map(|package| package["name"].as_str().unwrap().to_owned()).collect()
}

/// A forge whose group is visible only with the token.
fn private() -> Forge {
    let forge = Forge::start();
    forge.group(&["acme/api", "acme/web"]);
    forge.listing().token = Some(TOKEN.to_owned());
    forge.require_login("x-access-token", TOKEN);
    forge
}

/// Breaks if a private group cannot be scanned with a token of the environment, or if the token is used
/// for a forge that nobody has named.
#[test]
fn a_private_group_is_scanned_with_the_token_of_the_environment() {
    let (home, forge) = (TempDir::new().unwrap(), private());
    let named = format!("gitlab={}", forge.base());
    let url = format!("{}/acme", forge.base());
    let ran = run(home.path(), &["scan", &url, "--forge", &named, "--format", "json"]);
    assert_eq!(names(&ran), ["in-acme-api", "in-acme-web"]);
    // Nothing of it is kept.
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);

    for more in [&[][..], &["--forge", "gitlab=https://gitlab.example.com"]] {
        let seen = forge.seen().len();
        let url = forge.url("acme/api");
        let ran = run(home.path(), &[&["scan", &url], more].concat());
        assert_eq!(ran.code, Some(1), "{}", ran.err);
        assert!(ran.err.contains("GITLAB_TOKEN"), "{}", ran.err);
        let asked = &forge.seen()[seen..];
        assert!(!asked.is_empty() && asked.iter().all(|seen| !seen.had_authorization), "{asked:?}");
    }
}

/// Breaks if a token is sent to a server that serves everybody, where an expired one would only do harm.
#[test]
fn a_token_is_sent_only_to_a_server_that_asks() {
    let (home, forge) = (TempDir::new().unwrap(), Forge::start());
    forge.group(&["acme/api"]);
    let named = format!("gitlab={}", forge.base());
    let url = forge.url("acme/api");
    let ran = run(home.path(), &["scan", &url, "--forge", &named, "--format", "json"]);
    assert_eq!(names(&ran), ["in-acme-api"]);
    assert!(forge.seen().iter().all(|seen| !seen.had_authorization), "{:?}", forge.seen());
}

/// Breaks if a redirect, of the API or of git, takes the token to another origin.
#[test]
fn no_redirect_takes_the_token_elsewhere() {
    let (home, forge, trap) = (TempDir::new().unwrap(), private(), Forge::start());
    trap.group(&["acme/api"]);
    let named = format!("gitlab={}", forge.base());
    forge.behave(Behaviour::Redirect(trap.base()));
    let url = forge.url("acme/api");
    let ran = run(home.path(), &["scan", &url, "--forge", &named]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("redirects to another URL"), "{}", ran.err);
    assert!(forge.seen().iter().any(|seen| seen.had_authorization), "it was asked for");

    let headers = format!("Location: {}/api/v4/groups/acme/projects\r\n", trap.base());
    forge.listing().faults = vec![Fault::Status(301, headers)].into();
    let url = format!("{}/acme", forge.base());
    let ran = run(home.path(), &["scan", &url, "--forge", &named]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert_eq!(trap.contacts(), 0);
}

/// A user's configuration whose helper notes what it is asked, and its environment.
fn helper(home: &Path) -> std::path::PathBuf {
    let script = home.join("helper.sh");
    let text = format!(
        "#!/bin/sh\ncat >> '{0}/asked'\nenv > '{0}/environment'\npwd > '{0}/folder'\n\
         (read -r answer < /dev/tty && echo prompted > '{0}/prompted') 2> /dev/null\n\
         printf 'username=me\\npassword={TOKEN}\\n'\n",
        home.display()
    );
    files::write(&script, text);
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let config = home.join("gitconfig");
    let text = format!("[credential]\n\thelper = {}\n\tuseHttpPath = true\n", script.display());
    files::write(&config, text);
    config
}

/// Breaks if git's credential helper is not asked, learns more than the typed origin, can prompt, or is that
/// of a folder.
#[test]
fn the_credential_helper_is_asked_for_the_typed_origin_alone() {
    let home = TempDir::new().unwrap();
    let forge = Forge::start();
    forge.group(&["acme/api"]);
    forge.require_login("me", TOKEN);
    let config = helper(home.path());
    // The current folder is a repository with a helper of its own.
    let project = home.path().join("project");
    let done = program("git").args(["init", "--quiet"]).arg(&project).status().unwrap();
    assert!(done.success());
    let trap = format!("!touch {}", home.path().join("trap").display());
    let set = ["config", "credential.helper", &trap];
    assert!(program("git").arg("-C").arg(&project).args(set).status().unwrap().success());
    let url = forge.url("acme/api");
    let ran = finish(
        command(home.path())
            .args(["scan", &url, &url, "--format", "json"])
            .current_dir(&project)
            .env("GIT_CONFIG_GLOBAL", &config)
            .env("GITHUB_TOKEN", "another")
            .env("GIT_ASKPASS", "/bin/false"),
    );
    assert_eq!(names(&ran), ["in-acme-api", "in-acme-api"]);
    let asked = files::text(&home.path().join("asked"));
    // Newer versions of git also name what they support.
    let asked: Vec<&str> =
        asked.lines().filter(|line| !line.starts_with("capability") && !line.is_empty()).collect();
    let host = format!("host=127.0.0.1:{}", forge.port());
    assert_eq!(asked, ["protocol=http", &host], "once, and nothing else");
    let environment = files::text(&home.path().join("environment"));
    assert!(
        !environment.contains("GITHUB_TOKEN") && !environment.contains("ASKPASS"),
        "{environment}"
    );
    assert!(!home.path().join("prompted").exists() && !home.path().join("trap").exists());
}

/// Breaks if a helper without an answer, or one that fails, ends a scan that needs none.
#[test]
fn a_helper_without_an_answer_does_no_harm() {
    let (home, forge) = (TempDir::new().unwrap(), Forge::start());
    forge.group(&["acme/api"]);
    let config = home.path().join("gitconfig");
    for helper in ["!false", "!echo username=me", "!printf 'password\\n\\n='", "/nonexistent"] {
        files::write(&config, format!("[credential]\n\thelper = \"{helper}\"\n"));
        let ran = finish(
            command(home.path())
                .args(["scan", &forge.url("acme/api"), "--format", "json"])
                .env("GIT_CONFIG_GLOBAL", &config),
        );
        assert_eq!(names(&ran), ["in-acme-api"], "{helper}");
    }
}

/// Breaks if any other command uses what only `scan` may use.
#[test]
fn no_other_command_uses_tokens_of_the_environment() {
    let (home, forge) = (TempDir::new().unwrap(), private());
    let config = helper(home.path());
    let file = |name: &str| home.path().join(name).display().to_string();
    let (status, result) = (file("status.json"), file("result.json"));
    let ran = finish(
        command(home.path())
            .args(["worker", "--url", &forge.url("acme/api")])
            .args(["--status-file", &status, "--result-file", &result])
            .env("GITLAB_TOKEN", TOKEN)
            .env("GITHUB_TOKEN", TOKEN)
            .env("GIT_CONFIG_GLOBAL", &config),
    );
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains("requires credentials"), "{}", ran.err);
    assert!(forge.seen().iter().all(|seen| !seen.had_authorization));
    assert!(!home.path().join("asked").exists());
}

/// Breaks if a group of a forge that nobody has named fails without saying how to name it.
#[test]
fn a_group_of_an_unnamed_forge_says_how_to_name_it() {
    let (home, forge) = (TempDir::new().unwrap(), Forge::start());
    forge.group(&["acme/api"]);
    for path in ["acme", "acme/sub"] {
        let url = format!("{}/{path}", forge.base());
        let ran = run(home.path(), &["scan", &url]);
        assert_eq!(ran.code, Some(1), "{}", ran.err);
        let hint = format!("--forge gitlab={}", forge.base());
        assert!(ran.err.contains(&hint), "{}", ran.err);
    }
    // Not for what is certainly a repository.
    let ran = run(home.path(), &["scan", &forge.url("acme/missing")]);
    assert!(ran.code == Some(1) && !ran.err.contains("--forge"), "{}", ran.err);
}
