//! Fuzz invariants of the gate, for any input.

use super::*;

/// A policy that allows something of each kind.
pub(super) fn policy() -> NetworkPolicy {
    NetworkPolicy {
        allow_hosts: ["github.com", "gitlab.com", "dev.azure.com", "*.star.example"]
            .map(Into::into)
            .to_vec(),
        allow_nets: vec!["10.9.0.0/16".parse().expect("a network")],
        allow_ports: vec![443],
        trusted: vec![Origin { scheme: "http".into(), host: "forge.corp".into(), port: 8080 }],
        authorities: Vec::new(),
        proxy: None,
        local_paths: false,
    }
}

/// Passes text to the gate.
pub(crate) fn url(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(url) = GitUrl::parse(&text, &policy()) {
        check_accepted(&text, &url);
    }
}

/// Checks an accepted URL independently of the gate's code.
pub(super) fn check_accepted(text: &str, url: &GitUrl) {
    let shown = url.as_str();
    let parsed = Url::parse(shown).expect("an accepted URL has all its parts");
    let host = parsed.host_str().expect("an accepted URL has all its parts");
    let port = parsed.port_or_known_default().expect("an accepted URL has all its parts");
    let forge = (parsed.scheme(), host, port) == ("http", "forge.corp", 8080);
    let named = matches!(host, "github.com" | "gitlab.com" | "dev.azure.com")
        || host.ends_with(".star.example");
    let opened = host.starts_with("10.9.") || host == "[::ffff:a09:102]";
    let allowed = parsed.scheme() == "https" && port == 443 && (named || opened);
    assert!(forge && url.is_trusted() || allowed && !url.is_trusted(), "{text:?} as {shown}");
    assert!(!host.starts_with(['-', '+', '*']) && !host.contains(".."), "{text:?} as {shown}");
    assert!(shown.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?} as {shown}");
    assert!(parsed.username().is_empty() && parsed.password().is_none(), "{text:?} as {shown}");
    assert!(parsed.query().is_none() && parsed.fragment().is_none(), "{text:?} as {shown}");
    assert!(shown.len() <= 2048 && parsed.path() != "/", "{text:?} as {shown}");
    let within = trimmed(text);
    assert!(!within.bytes().any(|byte| byte < 0x20 || byte == 0x7f), "{text:?} as {shown}");
    let decoded = percent_encoding::percent_decode_str(shown).decode_utf8_lossy();
    assert!(!decoded.contains(is_invisible) && !decoded.contains("/../"), "{text:?} as {shown}");
    assert!(!url.name().is_empty() && !url.name().contains(is_invisible), "{text:?}");
    assert_eq!(GitUrl::parse(shown, &policy()).as_ref(), Ok(url), "{text:?} as {shown}");
}
