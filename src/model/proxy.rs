//! The proxy through which forges are contacted.
//!
//! Input: settings, or the environment of `scan`; origins. Output: whether an origin is contacted through
//! the proxy. Invariants: the URL contains no credentials; they are kept apart, and are not printed.

use super::{
    credentials::Credentials,
    origin::{Origin, normal_host},
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use url::Url;

/// A proxy for HTTP (RFC 9110, section 3.7): plain requests are forwarded, TLS is tunnelled by CONNECT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Proxy {
    /// `http://host:port` or `https://host:port`.
    pub url: String,
    /// Hosts that are contacted directly: names with everything below them, addresses, networks, or `*`.
    #[serde(default)]
    pub no_proxy: Vec<String>,
    /// Whether only https URLs are contacted through it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub https_only: bool,
    #[serde(default)]
    pub credentials: Option<Credentials>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// The URL of a proxy, and the user and the password in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyAddress {
    /// Without credentials.
    pub url: Url,
    pub username: Option<String>,
    pub password: Option<String>,
}

impl ProxyAddress {
    /// Parses `http://[user[:password]@]host[:port]`; without a scheme, http. `None` if it is no such address.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let with_scheme =
            if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let mut url = Url::parse(&with_scheme).ok()?;
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !is_bare {
            return None;
        }
        let decoded = |text: &str| {
            percent_encoding::percent_decode_str(text).decode_utf8().ok().map(String::from)
        };
        let username = Some(url.username()).filter(|name| !name.is_empty()).and_then(decoded);
        let password = url.password().and_then(decoded);
        url.set_username("").ok()?;
        url.set_password(None).ok()?;
        Some(Self { url, username, password })
    }
}

impl Proxy {
    /// Whether this origin is contacted through the proxy.
    pub fn serves(&self, origin: &Origin) -> bool {
        let skipped = self.https_only && origin.scheme != "https";
        !skipped && !self.no_proxy.iter().any(|entry| covers(entry, origin))
    }

    /// The host of the proxy, for messages.
    pub fn host(&self) -> String {
        let url = Url::parse(&self.url).ok();
        url.as_ref().and_then(Url::host_str).unwrap_or_default().to_owned()
    }

    /// The port that the proxy listens on.
    pub fn port(&self) -> u16 {
        Url::parse(&self.url).ok().and_then(|url| url.port_or_known_default()).unwrap_or(80)
    }

    /// The URL with the credentials, for programs that take them in it.
    pub fn url_with_credentials(&self) -> String {
        let (Some(login), Ok(mut url)) = (&self.credentials, Url::parse(&self.url)) else {
            return self.url.clone();
        };
        // Only a URL without a host refuses them.
        let _ = url.set_username(&login.username);
        let _ = url.set_password(Some(&login.password));
        url.into()
    }
}

/// Whether an entry of `no_proxy` covers an origin, by curl's rules: a name covers everything below it.
fn covers(entry: &str, origin: &Origin) -> bool {
    let entry = normal_host(entry.trim());
    if entry == "*" {
        return true;
    }
    let host = origin.host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = host.parse::<IpAddr>() {
        let bare = entry.trim_start_matches('[').trim_end_matches(']');
        let network = bare.parse::<IpNet>().ok();
        let network = network.or_else(|| bare.parse::<IpAddr>().ok().map(IpNet::from));
        return network.is_some_and(|network| network.contains(&address.to_canonical()));
    }
    let (name, port) = match entry.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().ok()),
        None => (entry.as_str(), None),
    };
    let name = name.trim_start_matches("*.").trim_start_matches('.');
    let is_below =
        host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    !name.is_empty() && is_below && port.is_none_or(|port: u16| port == origin.port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(no_proxy: &[&str]) -> Proxy {
        Proxy {
            url: "http://proxy.example:3128/".to_owned(),
            no_proxy: no_proxy.iter().map(|entry| (*entry).to_owned()).collect(),
            https_only: false,
            credentials: None,
        }
    }

    #[test]
    fn hosts_of_no_proxy_are_contacted_directly() {
        for (entry, direct, through) in [
            (
                "git.example",
                &["https://git.example", "https://a.git.example"][..],
                &["https://xgit.example", "https://example"][..],
            ),
            (
                ".git.example",
                &["https://git.example", "https://a.git.example"],
                &["https://xgit.example"],
            ),
            ("*.git.example", &["https://a.git.example"], &["https://xgit.example"]),
            ("GIT.example.", &["https://git.example"], &[]),
            ("git.example:8443", &["https://git.example:8443"], &["https://git.example"]),
            ("10.0.0.0/8", &["https://10.1.2.3"], &["https://11.1.2.3", "https://git.example"]),
            ("127.0.0.1", &["http://127.0.0.1:8080"], &["https://127.0.0.2"]),
            ("::1", &["https://[::1]"], &["https://[::2]"]),
            ("*", &["https://git.example", "https://1.2.3.4"], &[]),
            ("", &[], &["https://git.example"]),
        ] {
            let proxy = proxy(&[entry]);
            let serves = |url: &str| proxy.serves(&Origin::of(&Url::parse(url).unwrap()).unwrap());
            for url in direct {
                assert!(!serves(url), "{entry}: {url}");
            }
            for url in through {
                assert!(serves(url), "{entry}: {url}");
            }
        }
        let secure = Proxy { https_only: true, ..proxy(&[]) };
        for (url, served) in [("https://git.example", true), ("http://git.example", false)] {
            assert_eq!(secure.serves(&Origin::of(&Url::parse(url).unwrap()).unwrap()), served);
        }
    }

    #[test]
    fn an_address_is_parsed_without_keeping_its_credentials_in_the_url() {
        let parsed = ProxyAddress::parse("http://us%40er:p%3Aw@proxy.example:3128/").unwrap();
        assert_eq!(parsed.url.as_str(), "http://proxy.example:3128/");
        assert_eq!(parsed.username.as_deref(), Some("us@er"));
        assert_eq!(parsed.password.as_deref(), Some("p:w"));
        assert_eq!(ProxyAddress::parse("proxy:3128").unwrap().url.as_str(), "http://proxy:3128/");
        for text in ["", "socks5://proxy:1080", "http://", "http://proxy/path", "http://proxy/?x"] {
            assert_eq!(ProxyAddress::parse(text), None, "{text}");
        }
        let login =
            Credentials { username: "us@er".into(), password: "p:w/".into(), on_request: false };
        let proxy = Proxy { credentials: Some(login), ..proxy(&[]) };
        let url = proxy.url_with_credentials();
        assert_eq!(url, "http://us%40er:p%3Aw%2F@proxy.example:3128/");
        assert!(!format!("{proxy:?}").contains("p:w"));
    }
}
