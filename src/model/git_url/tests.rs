//! Tests of the gate, rule by rule and notation by notation.

use super::{fuzz::policy, *};

#[track_caller]
fn accepts(text: &str, url: &str, name: &str) {
    let parsed =
        GitUrl::parse(text, &policy()).unwrap_or_else(|refusal| panic!("{text}: {refusal}"));
    assert_eq!((parsed.as_str(), parsed.name().as_str()), (url, name));
}

#[track_caller]
fn refuses(text: &str, message: &str) {
    match GitUrl::parse(text, &policy()) {
        Ok(url) => panic!("{text:?} was accepted as {url}"),
        Err(refusal) => {
            assert!(refusal.to_string().starts_with(message), "{text:?}: {refusal}");
        }
    }
}

#[test]
fn allowed_urls_are_normalized() {
    accepts("https://github.com/a/b.git", "https://github.com/a/b.git", "b");
    accepts("https://GitHub.com./a/b", "https://github.com/a/b", "b");
    accepts("git@gitlab.com:x/y/z.git", "https://gitlab.com/x/y/z.git", "z");
    accepts("ssh://git@github.com/a/b.git", "https://github.com/a/b.git", "b");
    accepts("ssh://git@github.com:22/a/b.git", "https://github.com/a/b.git", "b");
    accepts("SSH://git@gitlab.com:2222//a/b", "https://gitlab.com/a/b", "b");
    accepts("git+ssh://git@github.com/a/b.git", "https://github.com/a/b.git", "b");
    accepts(" https://github.com/a/b.git\r\n", "https://github.com/a/b.git", "b");
    accepts("\tgit@github.com:a/b.git ", "https://github.com/a/b.git", "b");
    for typed in [
        "git@ssh.dev.azure.com:v3/org/My%20Project/repo",
        "ssh://git@ssh.dev.azure.com/v3/org/My%20Project/repo",
        "ssh://git@SSH.dev.azure.com:22/v3/org/My%20Project/repo/",
    ] {
        accepts(typed, "https://dev.azure.com/org/My%20Project/_git/repo", "repo");
    }
    accepts("http://forge.corp:8080/g/r.git", "http://forge.corp:8080/g/r.git", "r");
    accepts("https://a_b.c-d.STAR.example/x", "https://a_b.c-d.star.example/x", "x");
    accepts("https://10.9.1.2/g/r.git", "https://10.9.1.2/g/r.git", "r");
}

#[test]
fn rules_refuse_in_their_order() {
    let dangerous = "Invalid Git URL: contains potentially dangerous characters";
    for text in [
        "https://github.com/a;b.git",
        "https://github.com/a&b",
        "https://github.com/a|b",
        "https://github.com/`a`",
        "https://github.com/$a",
        "https://github.com/<a>",
        "https://github.com\\@evil.example/",
        "https://github.com/../a.git",
        "https://a\r\nb/c.git",
        "https://github.com/a\0",
        "https://github.com/\u{7f}",
        "https://github.com/a%0ab.git",
        "https://github.com/a/%2e%2e/b",
        "https://github.com/a%255cb",
        "https://github.com/a/..",
        "https://github.com/a%c2%9bb",
        "https://github.com/a/\u{202e}b",
        "ftp://x/;",
    ] {
        refuses(text, dangerous);
    }
    for text in [
        "",
        "github.com/a/b.git",
        "/etc/passwd",
        "-u",
        "--upload-pack=touch",
        "https://",
        "https:///",
        "https://github.com",
        "https://github.com/",
        "https://github.com/-x/y",
        "https://github.com/a b.git",
        "https://github.com/a?b",
        "https://github.com/a#b",
        "git@github.com:",
        "git@-oProxyCommand=x:y",
        "https://github.com/%2dx/y",
        "https://-a.star.example/x",
        "https://+a.star.example/x",
        "https://*.star.example/x",
        "https://a-.star.example/x",
        "https://a..star.example/x",
        "https://a,b.star.example/x",
        "https://[::1/x",
        "ssh://git@github.com",
        "ssh://git@github.com/",
        "ssh://git@-oProxyCommand=x/y",
        "ssh://git@/a/b",
    ] {
        let refusal = GitUrl::parse(text, &policy()).unwrap_err();
        assert!(refusal.is_malformed(), "{text:?}: {refusal}");
    }
    // Short as typed, but too long when normalized.
    refuses(&format!("https://github.com/{}", "ä".repeat(900)), "Invalid Git URL: it is longer");
    for (text, scheme) in [
        ("http://github.com/a.git", "http"),
        ("ssh://github.com/a.git", "ssh"),
        ("git://github.com/a.git", "git"),
        ("file:///etc/passwd", "file"),
        ("ext::sh -c id", "ext"),
        ("fd::17", "fd"),
        ("ftp://github.com/a", "ftp"),
        ("javascript:alert(1)", "javascript"),
        ("http://forge.corp/g/r.git", "http"),
        ("ssh://-oProxyCommand=whoami/a", "ssh"),
    ] {
        refuses(text, &format!("Invalid Git URL scheme: {scheme}"));
    }
    for text in [
        "https://u:p@github.com/a.git",
        "https://token@127.0.0.1/a",
        "me@github.com:a/b",
        "u:p@h/a",
        "ssh://me@github.com/a/b",
        "ssh://git:secret@github.com/a/b",
        "ssh://git@me@github.com/a/b",
    ] {
        refuses(text, "Invalid Git URL: credentials");
    }
    for text in [
        "https://127.0.0.1/a",
        "https://127.1/a",
        "https://0177.0.0.1/a",
        "https://2130706433/a",
        "https://0x7f000001/a",
        "https://[::1]/a",
        "https://[::ffff:127.0.0.1]/a",
        "https://localhost/a",
        "https://LOCALHOST./a",
        "https://a.localhost/a",
        "https://10.0.0.1:22/a",
        "https://192.168.1.1/a",
        "https://[fe80::1]/a",
        "https://[64:ff9b::7f00:1]/a",
        "https://0/a",
        "git@127.0.0.1:a/b",
        "ssh://git@127.0.0.1/a/b",
        "ssh://git@[::1]:22/a/b",
    ] {
        refuses(text, "Private network access not allowed");
    }
    for text in [
        "https://169.254.169.254/latest",
        "https://metadata.google.internal/a",
        "https://[::ffff:169.254.169.254]/a",
        "https://0xa9fea9fe/a",
    ] {
        refuses(text, "Metadata endpoint access not allowed");
    }
    refuses("https://evil.example:8443/a", "Non-standard port not allowed: 8443");
    refuses("https://github.com:22/a.git", "Non-standard port not allowed: 22");
    for text in [
        "https://evil.example/a.git",
        "https://github.com.evil.example/a",
        "https://1.1.1.1/a",
        "https://xn--github-x2a.com/a",
        "https://gıthub.com/a",
        "ssh://git@evil.example/a",
        "git@ssh.dev.azure.com:v3/org/project/repo/more",
        "git@ssh.dev.azure.com:v3/org/project",
    ] {
        refuses(text, "Domain not allowed: ");
    }
}

#[test]
fn the_origin_of_a_typed_url_is_the_one_that_is_contacted() {
    for (typed, origin) in [
        (" https://h.example/a ", Some("https://h.example")),
        ("http://127.0.0.1:8080/a", Some("http://127.0.0.1:8080")),
        ("git@h.example:a/b", Some("https://h.example")),
        ("ssh://git@h.example:2222/a", Some("https://h.example")),
        ("git@ssh.dev.azure.com:v3/o/p/r", Some("https://dev.azure.com")),
        ("me@h.example:a/b", None),
        ("/srv/a", None),
    ] {
        let found = typed_origin(typed).map(|origin| origin.to_string());
        assert_eq!(found.as_deref(), origin, "{typed}");
    }
}

mod generated;
