//! The hostile URLs of the fixtures, with the rule that refuses each.

use super::files;
use scanwatch::model::git_url::Refusal;
use std::path::Path;

/// The rule, and the URL.
pub(crate) fn hostile() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/urls");
    let text = ["addresses.txt", "others.txt"].map(|name| files::text(&folder.join(name))).concat();
    let lines = text.lines().filter_map(|line| line.split_once('\t'));
    let read =
        |url: &str| serde_json::from_str(url).unwrap_or_else(|error| panic!("{url}: {error}"));
    lines.map(|(rule, url)| (rule.to_owned(), read(url))).collect()
}

/// A refusal's rule, as the fixtures call it.
pub(crate) fn rule_of(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Characters => "characters".to_owned(),
        Refusal::Shape(_) => "shape".to_owned(),
        Refusal::Scheme(scheme) => format!("scheme:{scheme}"),
        Refusal::Userinfo => "userinfo".to_owned(),
        Refusal::Metadata => "metadata".to_owned(),
        Refusal::PrivateNetwork => "private".to_owned(),
        Refusal::Port(port) => format!("port:{port}"),
        Refusal::Host(_) => "host".to_owned(),
    }
}

/// How a refusal by a rule begins.
pub(crate) fn said(rule: &str) -> String {
    match rule.split_once(':').unwrap_or((rule, "")) {
        ("characters", _) => {
            "Invalid Git URL: contains potentially dangerous characters".to_owned()
        }
        ("shape", _) => "Invalid Git URL: ".to_owned(),
        ("scheme", name) => format!("Invalid Git URL scheme: {name}"),
        ("userinfo", _) => "Invalid Git URL: credentials in a URL are not accepted".to_owned(),
        ("metadata", _) => "Metadata endpoint access not allowed".to_owned(),
        ("private", _) => "Private network access not allowed".to_owned(),
        ("port", number) => format!("Non-standard port not allowed: {number}"),
        ("host", _) => "Domain not allowed: ".to_owned(),
        _ => panic!("there is no rule {rule}"),
    }
}
