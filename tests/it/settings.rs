//! Settings: errors are reported at the start, with the key and the source of the value.

use crate::support::{
    certificates::Authority,
    private_network::can_have_a_network,
    server::{Ended, Setup},
};

/// Asserts that the start was refused with exit code 2, and that the output contains each of the
/// words.
#[track_caller]
fn refused(ended: &Ended, words: &[&str]) {
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    for word in words {
        assert!(ended.output.contains(word), "{word:?} is not named in: {}", ended.output);
    }
}

/// Breaks if a misspelled key is silently ignored.
#[tokio::test]
async fn an_unknown_key_of_the_file_is_refused_with_its_name_and_the_file() {
    let setup = Setup::new().set("scanner.max_concurent_processes", 3);
    refused(&setup.run_to_end().await, &["max_concurent_processes", "settings.toml"]);
    let setup = Setup::new().set("scaner.command", "[]");
    refused(&setup.run_to_end().await, &["scaner", "settings.toml"]);
}

/// Breaks if a misspelled variable is silently ignored.
#[tokio::test]
async fn an_unknown_key_of_the_environment_is_refused_with_the_variables_name() {
    let setup = Setup::new().variable("SCANWATCH_SCANNER__MAX_CONCURENT_PROCESSES", 3);
    refused(&setup.run_to_end().await, &["SCANWATCH_SCANNER__MAX_CONCURENT_PROCESSES"]);
}

/// Breaks if an invalid value is silently replaced by a default.
#[tokio::test]
async fn a_bad_value_is_refused_with_its_key_and_source() {
    let setup = Setup::new().set("scanner.max_concurrent_processes", "\"many\"");
    refused(&setup.run_to_end().await, &["max_concurrent_processes", "settings.toml"]);
    let setup = Setup::new().set("scanner.max_concurrent_processes", 0);
    refused(&setup.run_to_end().await, &["max_concurrent_processes", "settings.toml"]);
    let setup = Setup::new().variable("SCANWATCH_JOBS__RETENTION_HOURS", "soon");
    refused(&setup.run_to_end().await, &["SCANWATCH_JOBS__RETENTION_HOURS"]);
    // A duration that is too large.
    let setup = Setup::new().set("scanner.subprocess_timeout_secs", i64::MAX);
    refused(&setup.run_to_end().await, &["subprocess_timeout_secs", "settings.toml"]);
    let setup = Setup::new().set("watch.mode", "\"sometimes\"");
    refused(&setup.run_to_end().await, &["mode", "settings.toml"]);
    let setup = Setup::new().variable("SCANWATCH_SERVER__LISTEN", "nowhere");
    refused(&setup.run_to_end().await, &["SCANWATCH_SERVER__LISTEN"]);
}

/// Breaks if an invalid TOML file counts as an empty one.
#[tokio::test]
async fn a_file_that_cannot_be_read_is_refused() {
    let setup = Setup::new().set("[[[", "what is this");
    refused(&setup.run_to_end().await, &["settings.toml"]);
}

/// Breaks if a server without credentials listens on another address than loopback.
#[tokio::test]
async fn an_address_other_than_loopback_needs_credentials() {
    let setup = Setup::new().variable("SCANWATCH_SERVER__LISTEN", "0.0.0.0:0");
    refused(&setup.run_to_end().await, &["0.0.0.0", "API_PASSWORD"]);
    // Half of a pair, or an empty half, does not count as credentials.
    let setup = Setup::new()
        .variable("SCANWATCH_SERVER__LISTEN", "0.0.0.0:0")
        .variable("API_USERNAME", "operator")
        .variable("API_PASSWORD", "");
    refused(&setup.run_to_end().await, &[]);
}

/// Breaks if there is no warning about unencrypted credentials, or if there is one without cause.
#[tokio::test]
async fn a_reachable_server_without_tls_warns() {
    if !can_have_a_network() {
        return;
    }
    let everywhere = |address: &str| {
        Setup::new()
            // A network namespace of its own.
            .launched_by(&["unshare", "-rn"])
            .variable("SCANWATCH_SERVER__LISTEN", address)
            .user("operator", "secret")
    };
    let words = "warning: no TLS: credentials and results are sent unencrypted";
    let proxied = everywhere("0.0.0.0:0").set("server.behind_proxy", true);
    for (setup, warned) in [
        (everywhere("0.0.0.0:0"), true),
        (everywhere("[::]:0"), true),
        (proxied, false),
        (everywhere("0.0.0.0:0").with_tls(&Authority::new()), false),
        (Setup::new(), false),
    ] {
        let output = setup.run_to_end().await.output;
        assert!(output.contains(" listens on http"), "{output}");
        assert_eq!(output.contains(words), warned, "{output}");
        assert_eq!(output.contains("behind_proxy = true"), warned, "{output}");
    }
}

/// Breaks if the layers are not applied in the order file, environment; or if variables without
/// `__`, which are not settings, are reported as misspelled ones.
#[tokio::test]
async fn the_environment_overrides_the_file() {
    let server = Setup::new()
        .set("jobs.dir", "\"from-the-file\"")
        .variable("SCANWATCH_NOTE", "not a setting")
        .start()
        .await;
    assert!(server.setup().jobs().is_dir(), "the variable's folder is used");
    assert!(!server.file("from-the-file").exists(), "the file's folder is not");
}

/// Breaks if the server needs settings to start, or does not warn that it has no authentication.
#[tokio::test]
async fn a_server_without_credentials_warns_and_prints_its_address() {
    let server = Setup::new().start().await;
    let log = server.setup().log();
    assert!(log.contains(&server.url("")), "{log}");
    assert!(log.to_lowercase().contains("credentials"), "{log}");
}
