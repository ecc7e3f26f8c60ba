//! What must hold of the gate, whatever it is given.

use super::*;

/// A policy in which something of each kind is allowed.
pub(super) fn policy() -> NetworkPolicy {
    NetworkPolicy {
        allow_hosts: vec!["github.com".into(), "gitlab.com".into(), "*.star.example".into()],
        allow_nets: vec!["10.9.0.0/16".parse().expect("a network")],
        allow_ports: vec![443],
        trusted: vec![Origin { scheme: "http".into(), host: "forge.corp".into(), port: 8080 }],
        authorities: Vec::new(),
        local_paths: false,
    }
}

/// Gives text to the gate.
pub(crate) fn url(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(url) = GitUrl::parse(&text, &policy()) {
        check_let_in(&text, &url);
    }
}

/// What must hold of everything that is let in, told without the gate's own words.
pub(super) fn check_let_in(text: &str, url: &GitUrl) {
    let shown = url.as_str();
    let parsed = Url::parse(shown).expect("what is let in is a URL with all its parts");
    let host = parsed.host_str().expect("what is let in is a URL with all its parts");
    let port = parsed.port_or_known_default().expect("what is let in is a URL with all its parts");
    let forge = (parsed.scheme(), host, port) == ("http", "forge.corp", 8080);
    let named = matches!(host, "github.com" | "gitlab.com") || host.ends_with(".star.example");
    let opened = host.starts_with("10.9.") || host == "[::ffff:a09:102]";
    let allowed = parsed.scheme() == "https" && port == 443 && (named || opened);
    assert!(forge && url.is_trusted() || allowed && !url.is_trusted(), "{text:?} as {shown}");
    assert!(!host.starts_with(['-', '+', '*']) && !host.contains(".."), "{text:?} as {shown}");
    assert!(shown.bytes().all(|it| it.is_ascii_graphic()), "{text:?} as {shown}");
    assert!(parsed.username().is_empty() && parsed.password().is_none(), "{text:?} as {shown}");
    assert!(parsed.query().is_none() && parsed.fragment().is_none(), "{text:?} as {shown}");
    assert!(shown.len() <= 2048 && parsed.path() != "/", "{text:?} as {shown}");
    assert!(!text.bytes().any(|it| it < 0x20 || it == 0x7f), "{text:?} as {shown}");
    let decoded = percent_encoding::percent_decode_str(shown).decode_utf8_lossy();
    assert!(!decoded.contains(is_invisible) && !decoded.contains("/../"), "{text:?} as {shown}");
    assert!(!url.name().is_empty() && !url.name().contains(is_invisible), "{text:?}");
    assert_eq!(GitUrl::parse(shown, &policy()).as_ref(), Ok(url), "{text:?} as {shown}");
}
