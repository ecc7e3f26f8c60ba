//! A forge with a certificate authority of its own.

use super::{Settings, lines};
use crate::support::{files, forge::Forge};

/// Breaks if the certificate authority of the settings is not trusted, or an unverified forge is
/// contacted.
#[tokio::test]
async fn a_group_is_listed_over_tls_only_with_the_forges_authority() {
    let forge = Forge::start();
    forge.group(&["acme/a"]);
    let front = forge.with_tls();
    let url = format!("{}/acme", front.base());
    let unknown = Settings::new().forge(&front.base(), "gitlab", "");
    let error = unknown.error(&url).await;
    assert!(error.contains("no trusted connection") && error.contains("ca_file"), "{error}");
    assert!(forge.seen().is_empty(), "never asked unverified");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    files::write(&file, front.authority());
    let named = format!("ca_file = \"{}\"", file.display());
    let plan = Settings::new().forge(&front.base(), "gitlab", &named).group(&url).await;
    assert_eq!(lines(&plan), ["0 a"]);
    assert_eq!(plan.repositories[0].git_url, format!("{}/acme/a.git", front.base()));

    // A forge's certificate authority is not trusted for other forges.
    let settings = Settings::new().forge(&front.base(), "gitlab", "").forge(
        "https://other.example",
        "gitlab",
        &named,
    );
    assert!(settings.error(&url).await.contains("no trusted connection"));
}
