//! A server under TLS: whom the commands trust, and what they say of one whom they do not.

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

/// Breaks if a server with an authority of its own cannot be used from a terminal.
#[tokio::test]
async fn an_authority_of_ones_own_is_named_by_flag_or_variable() {
    let server = Setup::new().shell(SCANNER).with_tls(&Authority::new()).start().await;
    let authority = server.setup().authority_file().display().to_string();
    let ran = run(&server, &["submit", "--wait", &url("one"), "--ca-file", &authority], &[]).await;
    let job = ran.expect(0).out.trim().to_owned();
    let named = [("SCANNER_CA_FILE", authority.as_str())];
    for arguments in [&["status", &job] as &[&str], &["jobs"], &["watch", &job], &["health"]] {
        run(&server, arguments, &named).await.expect(0);
    }
    // The flag goes before the variable.
    let other = [("SCANNER_CA_FILE", "/nonexistent/ca.pem")];
    run(&server, &["jobs", "--ca-file", &authority], &other).await.expect(0);
    run(&server, &["jobs"], &other).await.expect(2);
}

/// Breaks if a certificate that proves nothing is taken, or if somebody who is refused does not learn
/// what to do, or waits for a certificate to become another one.
#[tokio::test]
async fn a_server_that_is_not_trusted_is_told_with_the_way_out() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let expired = authority.issue_with(|it| it.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let early = authority.issue_with(|it| it.not_before = rcgen::date_time_ymd(4000, 1, 1));
    let elsewhere = authority.issue_with(|it| it.subject_alt_names.clear());
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, authority: &Authority| {
        let path = folder.path().join(name);
        files::write(&path, authority.pem());
        path.display().to_string()
    };
    let (right, wrong) = (file("right.pem", &authority), file("wrong.pem", &stranger));
    let good = authority.issue();
    for (pair, ca_file, reason, way_out) in [
        (&good, None, "no trusted certificate authority", "--ca-file FILE or SCANNER_CA_FILE"),
        (&good, Some(&wrong), "no trusted certificate authority", "--ca-file FILE"),
        (&expired, Some(&right), "has expired", "renew it"),
        (&early, Some(&right), "is not valid yet", "clock"),
        (&elsewhere, Some(&right), "is for another name", "--server"),
    ] {
        let setup = Setup::new().shell(SCANNER).with_certificate(&authority, pair);
        // The client that waits for a test's server would refuse these as well.
        let server = setup.start_unasked().await;
        for arguments in [&["jobs"] as &[&str], &["watch", "a"], &["submit", &url("one"), "--wait"]]
        {
            let mut arguments = arguments.to_vec();
            arguments.extend(ca_file.iter().flat_map(|it| ["--ca-file", it.as_str()]));
            let began = Instant::now();
            let ran = run(&server, &arguments, &[]).await.expect(4);
            assert!(began.elapsed() < Duration::from_secs(30), "{arguments:?}");
            for words in ["is not trusted", reason, way_out] {
                assert!(ran.err.contains(words), "{arguments:?}: {words:?} is not in: {ran:?}");
            }
        }
    }
}

/// Breaks if a mistake in the scheme, or in the file of the authority, is left to be guessed.
#[tokio::test]
async fn a_mistake_in_the_scheme_or_the_file_is_named() {
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
