//! Tests of the settings: layers, limits and messages.

use super::*;
use std::{path::Path, time::Duration};

fn load(file: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("test.toml");
    crate::store::atomic::replace(
        root.path(),
        &path,
        file.as_bytes(),
        crate::store::atomic::Durability::Eventual,
    )
    .unwrap();
    let environment =
        environment.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    Config::load(&Sources { file: Some(path), environment, flags: Vec::new() })
        .map_err(|error| error.to_string().replace(&root.path().display().to_string(), ""))
}

#[track_caller]
fn refused(file: &str, environment: &[(&str, &str)], expected: &str) {
    let error = load(file, environment).unwrap_err();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let config = load("", &[]).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8000");
    assert_eq!(config.jobs.dir, Path::new("tmp/scan_jobs"));
    assert_eq!(config.jobs.retention, Duration::from_hours(24));
    assert_eq!(config.scanner.max_concurrent_processes, 5);
    assert_eq!(config.scanner.subprocess_timeout_secs, 3600);
    assert_eq!(config.network.allow_hosts[0], "github.com");
}

#[test]
fn later_layers_override_earlier_ones() {
    let config = load(
        "[scanner]\nkill_grace_secs = 7\nstall_timeout_secs = 9\n",
        &[
            ("SCANWATCH_SCANNER__STALL_TIMEOUT_SECS", "11"),
            ("SCANWATCH_NETWORK__ALLOW_HOSTS", "a.example, B.example."),
            ("SCANWATCH_JOB_ID", "not a setting: without __"),
        ],
    )
    .unwrap();
    assert_eq!((config.scanner.kill_grace_secs, config.scanner.stall_timeout_secs), (7, 11));
    assert_eq!(config.network.allow_hosts, ["a.example", "b.example"]);
}

#[test]
fn an_error_names_the_setting_and_its_source() {
    refused(
        "[scanner]\n\nmax_procs = 3\n",
        &[],
        "test.toml, line 3: unknown setting `scanner.max_procs`",
    );
    refused("[scaner]\n", &[], "line 1: unknown setting `scaner`; did you mean `scanner`?");
    refused(
        "[scanner]\nkill_grace_secs = \"5\"\n",
        &[],
        "line 2: `scanner.kill_grace_secs`: expected a whole",
    );
    refused(
        "[scanner]\nkill_grace_secs = -5\n",
        &[],
        "expected a whole number from 0 to 9007199254740991, got `-5`",
    );
    refused(
        "[scanner]\nmax_concurrent_processes = 0\n",
        &[],
        "line 2: `scanner.max_concurrent_processes`",
    );
    refused("scanner = 5\n", &[], "`scanner` is a section");
    refused("[server]\nlisten = \"everywhere\"\n", &[], "line 2: `server.listen`");
    refused("[jobs]\nfolder_mode = \"999\"\n", &[], "`jobs.folder_mode`");
    refused("[watch\n", &[], "test.toml, line 1");
    refused(
        "",
        &[("SCANWATCH_WATCH__MOOD", "x")],
        "environment variable SCANWATCH_WATCH__MOOD: unknown",
    );
    refused(
        "",
        &[("SCANWATCH_WATCH__MODE", "x")],
        "environment variable SCANWATCH_WATCH__MODE: `watch.mode`",
    );
    refused(
        "[[forges]]\nkind = \"gitlab\"\nurl = \"https://g\"\ntoken = \"x\"\n",
        &[],
        "unknown field `token`",
    );
    refused("[[forges]]\nkind = \"gitlab\"\nurl = \"https://u:p@g\"\n", &[], "without credentials");
    refused(
        "[[forges]]\nkind = \"git\"\nurl = \"https://g\"\ntoken_env = \"NOPE\"\n",
        &[],
        "NOPE is not set",
    );
}

#[test]
fn a_bundle_of_certificate_authorities_is_read_at_the_start() {
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = root.path().join(name);
        let durability = crate::store::atomic::Durability::Eventual;
        crate::store::atomic::replace(root.path(), &path, text.as_bytes(), durability).unwrap();
        path.display().to_string()
    };
    let with = |path: &str| {
        format!("[[forges]]\nkind = \"git\"\nurl = \"https://g\"\nca_file = \"{path}\"\n")
    };
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap().pem();
    let good = write("good.pem", &format!("{certificate}\n{certificate}"));
    let config = load(&with(&good), &[]).unwrap();
    assert_eq!(config.forges[0].authorities.len(), 2);
    assert_eq!(config.network.authorities[0].ca_file, Path::new(&good));

    let torn = certificate.replacen("-----END", "-----", 1);
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (text, reason) in [
        ("", "no certificate"),
        (key.serialize_pem().as_str(), "no certificate"),
        (torn.as_str(), "not a PEM bundle"),
        (no_certificate, "cannot be used"),
    ] {
        let bad = write("bad.pem", text);
        refused(&with(&bad), &[], "line 1: `forges`: `ca_file`");
        refused(&with(&bad), &[], reason);
    }
    refused(&with("/nonexistent/ca.pem"), &[], "cannot read `/nonexistent/ca.pem`");
    let plain = with(&good).replace("https:", "http:");
    refused(&plain, &[], "`ca_file` requires an https URL");
}

#[test]
fn a_forge_is_trusted_and_has_its_token() {
    let config = load(
        "[[forges]]\nkind = \"gitlab\"\nurl = \"http://10.0.0.1:8080/\"\ntoken_env = \"T\"\n",
        &[("T", "s3cret\n")],
    )
    .unwrap();
    let origin = Origin { scheme: "http".into(), host: "10.0.0.1".into(), port: 8080 };
    assert_eq!(config.network.trusted, std::slice::from_ref(&origin));
    assert_eq!(config.credentials_for(&origin).unwrap().password, "s3cret");
    assert!(!format!("{config:?}").contains("s3cret"));
}
