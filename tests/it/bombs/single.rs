//! Bombs that need a server of their own.

use super::{Scale, git};
use crate::support::{
    files,
    forge::{Entry, Forge},
    server::{Setup, TestServer},
};
use serde_json::json;

fn server_with_forge(forge: &Forge) -> Setup {
    let url = format!("http://127.0.0.1:{}", forge.port());
    Setup::new().set("forges", format!("[{{ kind = \"git\", url = \"{url}\" }}]"))
}

/// Submits a repository and waits for its end; returns the job's id.
async fn scan(server: &TestServer, forge: &Forge, name: &str) -> String {
    let job = server.submit_with(&json!({ "git_url": forge.url(name) })).await;
    server.finished(&job).await;
    job
}

/// Breaks if a fetch whose work is out of proportion to its size runs for hours.
#[tokio::test]
async fn a_pack_of_expanding_deltas_ends_in_time() {
    let forge = Forge::start();
    git::tight(&forge, "tight", Scale::SUITE);
    let server = server_with_forge(&forge).set("limits.fetch_stall_timeout_secs", 5).start().await;
    let job = scan(&server, &forge, "tight").await;
    let status = server.status_file(&job, 0);
    assert_eq!(status["failure"]["kind"], "limit", "{status:#}");
    let detail = status["failure"]["detail"].as_str().unwrap();
    assert!(detail.contains("within 5 seconds"), "{detail}");
}

/// Breaks if a server that speaks protocol version 2 is asked for all branches where one is wanted.
#[tokio::test]
async fn only_one_of_many_branches_is_requested() {
    let forge = Forge::start();
    git::branches(&forge, "branches", Scale::SUITE);
    let server = server_with_forge(&forge).start().await;
    let job = scan(&server, &forge, "branches").await;
    assert_eq!(server.status_file(&job, 0)["status"], "completed");
    assert!(forge.sent() < 10_000, "{} bytes for one small commit", forge.sent());
}

/// Breaks if anything from a repository is run or followed: a hook, a filter, a setting, a
/// submodule whose path ends with a carriage return, a build script, a link, an address its server
/// names.
#[tokio::test]
async fn nothing_of_a_repository_is_run_or_followed() {
    let (forge, trap) = (Forge::start(), Forge::start());
    let setup = server_with_forge(&forge);
    let canary = setup.folder().join("canary");
    let secret = setup.folder().join("secret");
    files::write(&secret, "s3cr3t-of-the-machine==1.0\n");
    let (touch, trap_url) = (format!("touch '{}'", canary.display()), trap.base());
    let hook = format!("#!/bin/sh\n{touch}\n");
    let settings = format!(
        "[core]\n\tfsmonitor = \"{touch}\"\n\tsshCommand = \"{touch}\"\n\thooksPath = hooks\n\
         \tpager = \"{touch}\"\n\teditor = \"{touch}\"\n\tattributesFile = .gitattributes\n\
         [filter \"x\"]\n\tsmudge = \"{touch}\"\n\tclean = \"{touch}\"\n\tprocess = \"{touch}\"\n\
         [diff \"x\"]\n\ttextconv = \"{touch}\"\n\tcommand = \"{touch}\"\n\
         [credential]\n\thelper = \"!{touch}\"\n[url \"{trap_url}/\"]\n\tinsteadOf = http://\n"
    );
    let modules = format!(
        "[submodule \"x\"]\n\tpath = \"sub\\r\"\n\turl = {trap_url}/x.git\n\tupdate = !{touch}\n\
         [submodule \"-u\"]\n\tpath = -u\n\turl = -u{touch}\n"
    );
    let attributes = "* filter=x diff=x merge=x ident export-subst working-tree-encoding=UTF-16\n";
    let python = format!("import os\nos.system(\"{touch}\")\nsetup(install_requires=['py==1'])\n");
    let node = format!(
        "{{\"scripts\": {{\"preinstall\": \"{touch}\"}}, \"dependencies\": {{\"node\": \"1.0.0\"}}}}"
    );
    let gradle = format!("\"{touch}\".execute()\ndependencies {{ implementation 'g:gradle:1' }}\n");
    let sbt = format!(
        "import sys.process._\n\"{touch}\".!\nlibraryDependencies += \"g\" % \"sbt\" % \"1\"\n"
    );
    let secret = secret.display().to_string();
    let repository = forge.add_empty_repository("project");
    repository.commit(
        "main",
        &[
            Entry::File(b".gitmodules", modules.as_bytes()),
            Entry::Submodule(b"sub\r"),
            Entry::Link(b"sub", ".git/modules/x/hooks"),
            Entry::File(b"hooks/post-checkout", hook.as_bytes()),
            Entry::File(b"hooks/reference-transaction", hook.as_bytes()),
            Entry::File(b"config", settings.as_bytes()),
            Entry::File(b"HEAD", b"ref: refs/heads/main\n"),
            Entry::File(b".gitconfig", settings.as_bytes()),
            Entry::File(b".gitattributes", attributes.as_bytes()),
            Entry::File(b"info/attributes", attributes.as_bytes()),
            Entry::File(b".lfsconfig", format!("[lfs]\n\turl = {trap_url}/lfs\n").as_bytes()),
            Entry::File(b"setup.py", python.as_bytes()),
            Entry::File(b"package.json", node.as_bytes()),
            Entry::File(b"build.gradle", gradle.as_bytes()),
            Entry::File(b"build.sbt", sbt.as_bytes()),
            Entry::Link(b"requirements.txt", &secret),
            Entry::Link(b"a/requirements.txt", "/proc/self/environ"),
            Entry::Link(b"b/requirements.txt", "../../../../../../../../../../etc/passwd"),
            Entry::Link(b"c/requirements.txt", "../requirements.txt"),
            Entry::Link(b"d/requirements.txt", "/dev/zero"),
            Entry::Link(b"e/requirements.txt", "."),
        ],
    );
    // What a server may offer besides its own pack.
    let blob = repository.git(&["rev-parse", "main:package.json"], b"");
    let pack = "1234567890".repeat(4);
    for (name, value) in [
        ("uploadpack.advertiseBundleURIs", "true".to_owned()),
        ("bundle.version", "1".to_owned()),
        ("bundle.mode", "all".to_owned()),
        ("bundle.one.uri", format!("{trap_url}/one.bundle")),
        ("uploadpack.blobPackfileUri", format!("{blob} {pack} {trap_url}/one.pack")),
    ] {
        repository.git(&["config", name, &value], b"");
    }
    let server = setup.start().await;
    let job = scan(&server, &forge, "project").await;
    let status = server.status_file(&job, 0);
    assert_eq!(status["status"], "completed", "{status:#}");
    let result = server.job_folder(&job).join("results/repo_0.json");
    let result = files::json(&result).expect("there is a result");
    let names: Vec<&str> = result["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["127.0.0.1/x", "g:gradle", "g:sbt", "node", "py"], "{result:#}");
    assert_eq!(result["files"]["skipped"], 7, "{result:#}");
    assert!(!canary.exists(), "something was run");
    assert_eq!(trap.contacts(), 0, "something was followed");
    for path in [
        format!("/scan/{job}"),
        format!("/jobs/{job}/results"),
        format!("/scan/{job}/repositories/0"),
        format!("/scan/{job}/repositories/0/packages"),
        format!("/scan/{job}/repositories/0/log"),
    ] {
        let text = server.get(&path).await.expect(200).text;
        assert!(!text.contains("s3cr3t") && !text.contains("root:"), "{path}: {text}");
    }
}
