//! Groups of each kind of forge, through the real server: listed by its API and fetched by git, with one
//! token.

use crate::support::{files, forge::Forge, server::Setup};
use serde_json::json;

const TOKEN: &str = "k1nd-c4n4ry";

/// Fails if a group of a kind of forge cannot be scanned with the token of its settings: because the API or
/// git does not get it in the right form, because a clone URL with a user name is refused, or because the
/// repositories get other names than below their group.
#[tokio::test]
async fn a_group_of_each_kind_of_forge_is_scanned_with_its_token() {
    for (kind, place, folder, user) in [
        ("gitea", "acme", "acme", "oauth2"),
        ("forgejo", "acme", "acme", "oauth2"),
        ("bitbucket", "acme", "acme", "x-token-auth"),
        ("bitbucket-server", "projects/ACME", "ACME", "x-token-auth"),
        ("azure", "acme/web", "acme/web/_git", "oauth2"),
    ] {
        let forge = Forge::start();
        for name in ["api", "lib"] {
            let manifest = format!(r#"{{"dependencies": {{"in-{name}": "1.0.0"}}}}"#);
            let repository = format!("{folder}/{name}");
            forge.add_repository(&repository, &[("package.json", manifest.as_bytes())]);
            forge.listing().add(&format!("{}/{name}", folder.trim_end_matches("/_git")));
        }
        forge.require_login(user, TOKEN);
        forge.listing().token = Some(TOKEN.to_owned());
        forge.listing().page_size = 1;
        let setup = Setup::new();
        let token = setup.folder().join("token");
        files::write(&token, format!("{TOKEN}\n"));
        let forges = format!(
            "[{{ kind = \"{kind}\", url = \"{}\", token_file = \"{}\" }}]",
            forge.base(),
            token.display()
        );
        let server = setup.set("forges", forges).start().await;
        let url = format!("{}/{place}", forge.base());
        let job = server.submit_with(&json!({ "git_url": url })).await;
        let document = server.finished(&job).await;
        assert_eq!(document["status"], "completed", "{kind}: {document:#}");
        let mut names = document["completed_repositories"].as_array().unwrap().clone();
        names.sort_by_key(ToString::to_string);
        assert_eq!(json!(names), json!(["api", "lib"]), "{kind}");
        let packages = format!("/scan/{job}/packages?name=in-lib");
        let packages = server.get(&packages).await.expect(200).json();
        assert_eq!(packages["total"], 1, "{kind}: {packages:#}");
        assert!(!server.setup().log().contains(TOKEN), "{kind}");
    }
}
