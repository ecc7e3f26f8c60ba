//! Groups of which repositories are skipped: all of them, or some.

use super::{Ran, run, scanwatch, setup};
use crate::support::forge::Forge;

/// Breaks if a pattern that matches nothing looks like success, or if what is skipped is not counted
/// and not explained.
#[tokio::test]
async fn skipped_repositories_are_counted_and_a_group_without_others_is_a_failure() {
    let forge = Forge::start();
    forge.group(&["acme/api", "acme/web", "acme/old"]);
    let forges = format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base());
    let server = setup().set("forges", forges).start().await;
    let group = format!("{}/acme", forge.base());
    let ran = run(&server, &["submit", "--wait", "--include", "zzz*", &group]).expect(1);
    let job = ran.out.trim();
    let expected = format!(
        "{group}: no repository was scanned; for the reasons: scanwatch status {job} --skipped"
    );
    assert!(ran.err.contains(&expected), "{ran:?}");
    assert!(ran.err.contains(": completed, 3 skipped: 3 filtered"), "{ran:?}");
    let ran = run(&server, &["watch", job]).expect(1);
    assert!(ran.err.contains(&expected), "{ran:?}");
    run(&server, &["watch", "--json", job]).expect(1);
    let ran = run(&server, &["status", job, "--skipped"]).expect(0);
    let reasons = ["api", "old", "web"].map(|name| format!("{name}: not included by `zzz*`\n"));
    assert_eq!(ran.out, reasons.concat());

    let ran = run(&server, &["submit", "--wait", "--exclude", "old", &group]).expect(0);
    let job = ran.out.trim();
    assert!(
        ran.err.contains("2 of 2 repositories completed, 0 failed, 1 skipped: 1 filtered"),
        "{ran:?}"
    );
    let ran = run(&server, &["status", job]).expect(0);
    assert!(ran.out.contains("0 pending, 1 skipped: 1 filtered"), "{ran:?}");
    let ran = run(&server, &["status", job, "--skipped", "--json"]).expect(0);
    assert_eq!(ran.lines()[0]["skipped"][0]["reason"], "excluded by `old`");
}

/// Breaks if `--server` is understood only behind the command, or by commands without a server; or if
/// `--quiet` suppresses data or errors.
#[tokio::test]
async fn the_server_is_named_anywhere_and_messages_are_suppressed() {
    let server = setup().start().await;
    for arguments in [
        &["--server", &server.url(""), "jobs", "-q"] as &[&str],
        &["-q", "jobs", "--server", &server.url("")],
    ] {
        let mut command = scanwatch(&server, arguments);
        command.env("SCANNER_SERVER_URL", "http://127.0.0.1:1");
        let ran = Ran::from(command.output().unwrap()).expect(0);
        assert_eq!(ran.err, "");
    }
    let ran = run(&server, &["--server", &server.url(""), "version"]).expect(2);
    assert!(ran.err.contains("--server"), "{ran:?}");
    let ran = run(&server, &["version"]).expect(0);
    assert_eq!(ran.out, format!("scanwatch {}\n", env!("CARGO_PKG_VERSION")));

    let ran = run(&server, &["-q", "submit", "--wait", &super::url("good")]).expect(0);
    assert_eq!((ran.out.lines().count(), ran.err.as_str()), (1, ""), "{ran:?}");
    let ran = run(&server, &["-q", "submit", "--wait", &super::url("bad")]).expect(1);
    assert_eq!(ran.err, "bad: failed (exit): Process exited with code 3\n");
}
