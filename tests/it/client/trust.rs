//! A server with TLS: which certificates the commands trust, and how they report an untrusted one.

use super::{Ran, SCANNER, scanwatch, url};
use crate::support::{
    certificates::Authority,
    files,
    server::{Setup, TestServer},
};
use std::time::{Duration, Instant};

async fn run(server: &TestServer, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = scanwatch(server, arguments);
    command.envs(variables.iter().copied());
    tokio::task::spawn_blocking(move || command.output().unwrap().into()).await.unwrap()
}

/// Breaks if a server with its own certificate authority cannot be used from a terminal.
#[tokio::test]
async fn a_custom_certificate_authority_is_set_by_flag_or_variable() {
    let server = Setup::new().shell(SCANNER).with_tls(&Authority::new()).start().await;
    let authority = server.setup().authority_file().display().to_string();
    let ran = run(&server, &["submit", "--wait", &url("one"), "--ca-file", &authority], &[]).await;
    let job = ran.expect(0).out.trim().to_owned();
    let named = [("SCANNER_CA_FILE", authority.as_str())];
    for arguments in [&["status", &job] as &[&str], &["jobs"], &["watch", &job], &["health"]] {
        run(&server, arguments, &named).await.expect(0);
    }
    // The flag takes precedence over the variable.
    let other = [("SCANNER_CA_FILE", "/nonexistent/ca.pem")];
    run(&server, &["jobs", "--ca-file", &authority], &other).await.expect(0);
    run(&server, &["jobs"], &other).await.expect(2);
}

/// Breaks if an invalid certificate is accepted, if the error has no remedy, or if the command
/// retries.
#[tokio::test]
async fn an_untrusted_server_is_reported_with_the_remedy() {
    let (authority, other_authority) = (Authority::new(), Authority::new());
    let expired =
        authority.issue_with(|parameters| parameters.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let early =
        authority.issue_with(|parameters| parameters.not_before = rcgen::date_time_ymd(4000, 1, 1));
    let elsewhere = authority.issue_with(|parameters| parameters.subject_alt_names.clear());
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, authority: &Authority| {
        let path = folder.path().join(name);
        files::write(&path, authority.pem());
        path.display().to_string()
    };
    let (right, wrong) = (file("right.pem", &authority), file("wrong.pem", &other_authority));
    let good = authority.issue();
    for (pair, ca_file, reason, remedy) in [
        (&good, None, "no trusted certificate authority", "--ca-file FILE or SCANNER_CA_FILE"),
        (&good, Some(&wrong), "no trusted certificate authority", "--ca-file FILE"),
        (&expired, Some(&right), "has expired", "renew it"),
        (&early, Some(&right), "is not valid yet", "clock"),
        (&elsewhere, Some(&right), "is for another name", "--server"),
    ] {
        let setup = Setup::new().shell(SCANNER).with_certificate(&authority, pair);
        // The client that waits for a test server would refuse these certificates too.
        let server = setup.start_without_check().await;
        for arguments in [&["jobs"] as &[&str], &["watch", "a"], &["submit", &url("one"), "--wait"]]
        {
            let mut arguments = arguments.to_vec();
            arguments.extend(ca_file.iter().flat_map(|path| ["--ca-file", path.as_str()]));
            let began = Instant::now();
            let ran = run(&server, &arguments, &[]).await.expect(4);
            assert!(began.elapsed() < Duration::from_secs(30), "{arguments:?}");
            for words in ["is not trusted", reason, remedy] {
                assert!(ran.err.contains(words), "{arguments:?}: {words:?} is not in: {ran:?}");
            }
        }
    }
}

/// Breaks if the error does not name a wrong scheme or a wrong file of certificate authorities.
#[tokio::test]
async fn a_wrong_scheme_or_file_is_named() {
    let tls = Setup::new().with_tls(&Authority::new()).start().await;
    let plain = Setup::new().start().await;
    let clear = tls.url("").replace("https:", "http:");
    let ran = run(&plain, &["jobs", "--server", &clear], &[]).await.expect(2);
    assert!(ran.err.contains("HTTPS") && ran.err.contains("https://"), "{ran:?}");
    let secure = plain.url("").replace("http:", "https:");
    let ran = run(&plain, &["jobs", "--server", &secure], &[]).await.expect(4);
    assert!(ran.err.contains("does not speak TLS") && ran.err.contains("http://"), "{ran:?}");

    let empty = plain.file("empty.pem");
    files::write(&empty, "");
    let empty = empty.display().to_string();
    for (path, reason) in [("/nonexistent/ca.pem", "cannot read"), (&empty, "no certificate")] {
        let ran = run(&plain, &["jobs", "--ca-file", path], &[]).await.expect(2);
        assert!(ran.err.contains("--ca-file: ") && ran.err.contains(reason), "{ran:?}");
        let ran = run(&plain, &["jobs"], &[("SCANNER_CA_FILE", path)]).await.expect(2);
        assert!(ran.err.contains("SCANNER_CA_FILE: ") && ran.err.contains(reason), "{ran:?}");
    }
}
