//! A forge with a certificate of a private authority: its repositories are fetched by TLS that is
//! always verified.

use crate::support::{
    files,
    forge::{Forge, TlsFront},
    server::Setup,
};
use scanwatch::{
    config::{Config, Sources},
    model::address::Origin,
};
use serde_json::json;

fn forge() -> (Forge, TlsFront) {
    let forge = Forge::start();
    forge.add_repository("acme/a", &[("package.json", b"{}")]);
    let front = forge.with_tls();
    (forge, front)
}

/// Breaks if the scanner's git does not get the authority, or fetches without one.
#[tokio::test]
async fn a_repository_is_fetched_over_tls_only_with_the_forges_authority() {
    let (forge, front) = forge();
    let url = format!("{}/acme/a.git", front.base());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    files::write(&file, front.authority());
    for (ca_file, status) in [(None, "failed"), (Some(&file), "completed")] {
        let named = ca_file.map(|path| format!(", ca_file = \"{}\"", path.display()));
        let named = named.as_deref().unwrap_or_default();
        let forges = format!("[{{ kind = \"git\", url = \"{}\"{named} }}]", front.base());
        let server = Setup::new().set("forges", forges).start().await;
        let job = server.submit_with(&json!({ "git_url": url })).await;
        let document = server.finished(&job).await;
        assert_eq!(document["status"], status, "{document:#}");
        if ca_file.is_none() {
            let error = document["failed_repositories"][0]["error"].as_str().unwrap_or_default();
            assert!(
                error.contains("cannot establish a trusted TLS connection to 127.0.0.1"),
                "{error}"
            );
            assert!(forge.seen().is_empty(), "never asked unverified");
        }
    }
    assert!(!forge.seen().is_empty());
}

/// Breaks if a relative path stays relative for processes with other working directories.
#[test]
fn the_path_of_the_ca_file_is_made_absolute() {
    let (_forge, front) = forge();
    let here = std::env::current_dir().unwrap();
    let folder = tempfile::tempdir_in(here.join("target")).unwrap();
    let relative = folder.path().strip_prefix(&here).unwrap().join("ca.pem");
    files::write(&folder.path().join("ca.pem"), front.authority());
    let settings = folder.path().join("settings.toml");
    let text = format!(
        "[[forges]]\nkind = \"git\"\nurl = \"{}\"\nca_file = \"{}\"\n",
        front.base(),
        relative.display()
    );
    files::write(&settings, text);
    let config = Config::load(&Sources { file: Some(settings), ..Sources::default() }).unwrap();
    let origin = Origin::of(&url::Url::parse(&front.base()).unwrap()).unwrap();
    assert_eq!(config.network.ca_file(&origin), Some(folder.path().join("ca.pem").as_path()));
}
