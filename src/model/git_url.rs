//! The gate for repository URLs: decides whether policy allows a URL.
//!
//! Input: text. Output: a parsed URL that policy allows, or the rule that refuses it.
//!
//! Invariants: the rules are checked in the order characters, shape, scheme, userinfo, literal
//! address, port, host. All later code uses the parsed form, never the text, because parsers differ
//! in what they strip and repair. Names are resolved by the scanner, which checks the addresses
//! against the same policy before it connects.

use super::{
    address::{AddressKind, NetworkPolicy, Origin, kind_of, normal_host},
    control_chars::is_invisible,
};
use percent_encoding::percent_decode;
use std::{fmt, net::IpAddr};
use url::{Host, Url};

/// The longest allowed URL, in bytes.
const LONGEST: usize = 2048;

const TOO_LONG: Refusal = Refusal::Shape("it is longer than 2,048 bytes");
const NO_NAME: Refusal = Refusal::Shape("its host is not a valid name");

/// A repository URL that policy allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitUrl {
    url: Url,
    trusted: bool,
}

/// The rule that refuses a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("Invalid Git URL: contains potentially dangerous characters")]
    Characters,
    #[error("Invalid Git URL: {0}")]
    Shape(&'static str),
    #[error("Invalid Git URL scheme: {0}")]
    Scheme(String),
    #[error(
        "Invalid Git URL: credentials in a URL are not accepted; name the forge under [[forges]] \
         in the server's settings, with token_file or token_env"
    )]
    Userinfo,
    #[error("Metadata endpoint access not allowed")]
    Metadata,
    #[error("Private network access not allowed")]
    PrivateNetwork,
    #[error("Non-standard port not allowed: {0}")]
    Port(u16),
    #[error("Domain not allowed: {0}")]
    Host(String),
}

impl Refusal {
    /// What the submitter or the operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Characters => {
                "remove control characters and any of ; & | ` $ < > \\ and ../, and everything \
                 that is a control character, \\ or ../ in percent-encoding"
            }
            Self::Shape(_) => {
                "submit https://host/path/repository.git, git@host:path/repository.git or \
                 ssh://git@host/path/repository.git"
            }
            Self::Scheme(_) => {
                "submit the https URL (or ssh://git@host/path, which is fetched by https); http is only accepted \
                 for a forge that [[forges]] configures with http"
            }
            Self::Userinfo => "submit the URL without user and password",
            Self::Metadata | Self::PrivateNetwork => {
                "if this is your own forge, configure it under [[forges]], or add its network to \
                 [network] allow_nets and its host to allow_hosts, in the server's settings"
            }
            Self::Port(_) => {
                "if this port is right, add it to [network] allow_ports, or configure the forge \
                 under [[forges]], in the server's settings"
            }
            Self::Host(_) => {
                "if this host is right, add it to [network] allow_hosts, or configure the forge \
                 under [[forges]], in the server's settings"
            }
        }
    }

    /// Whether the text is not a repository URL at all, rather than one that policy refuses.
    pub fn is_malformed(&self) -> bool {
        matches!(self, Self::Shape(_))
    }
}

impl GitUrl {
    /// Checks a URL of a user or a forge. Blanks around it are ignored.
    pub fn parse(text: &str, policy: &NetworkPolicy) -> Result<Self, Refusal> {
        let text = trimmed(text);
        check_characters(text)?;
        let mut url = parse_shape(text)?;
        let origin = Origin::of(&url);
        let trusted = origin.as_ref().is_some_and(|origin| policy.trusted.contains(origin));
        if url.scheme() != "https" && !(trusted && url.scheme() == "http") {
            return Err(Refusal::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Userinfo);
        }
        let Some(Origin { host, port, .. }) = origin else {
            return Err(Refusal::Shape("it has no host"));
        };
        check_path(&url)?;
        if !trusted {
            let literal = literal_address(&url, &host);
            check_literal(literal, &host, policy)?;
            if !policy.allow_ports.contains(&port) {
                return Err(Refusal::Port(port));
            }
            let opened = literal.is_some_and(|address| policy.in_allowed_net(address));
            if !policy.allows_host(&host) && !opened {
                return Err(Refusal::Host(host));
            }
            // A wildcard allows arbitrary labels, and not every label is valid for git and curl.
            if literal.is_none() && !is_name(&host) {
                return Err(NO_NAME);
            }
        }
        if url.host_str() != Some(&host) && url.set_host(Some(&host)).is_err() {
            return Err(NO_NAME);
        }
        // The normalized URL is checked again by the scanner, so it must be short enough, too.
        if url.as_str().len() > LONGEST {
            return Err(TOO_LONG);
        }
        Ok(Self { url, trusted })
    }

    /// The URL as text, for git.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The parsed URL.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether the settings (or the user at the command line) name this origin, so that its
    /// addresses are not checked.
    pub fn is_trusted(&self) -> bool {
        self.trusted
    }

    /// The host, in the form in which it is resolved.
    pub fn host(&self) -> Host<&str> {
        self.url.host().unwrap_or(Host::Domain(""))
    }

    /// The port; the scheme's default if the URL has none.
    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or(443)
    }

    /// The number of segments in the path.
    pub fn depth(&self) -> usize {
        self.url.path().split('/').filter(|segment| !segment.is_empty()).count()
    }

    /// The name of a single repository: the last segment without `.git`.
    pub fn name(&self) -> String {
        let path = self.url.path().trim_end_matches('/');
        let last = path.rsplit('/').next().unwrap_or("");
        let last = percent_encoding::percent_decode_str(last).decode_utf8_lossy();
        let name = last.strip_suffix(".git").unwrap_or(&last);
        if name.is_empty() { "repository".to_owned() } else { name.to_owned() }
    }
}

impl fmt::Display for GitUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A URL without the blanks and line breaks around it, which come with copied text.
pub fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii_whitespace())
}

/// The origin that is contacted for a URL as a user typed it, in any accepted form; `None` if it is no
/// URL. The URL is not checked.
pub fn typed_origin(text: &str) -> Option<Origin> {
    let text = trimmed(text);
    match ssh_form(text) {
        Some(https) => Origin::of(&Url::parse(&https.ok()?).ok()?),
        None => Origin::of(&Url::parse(text).ok()?),
    }
}

fn check_characters(text: &str) -> Result<(), Refusal> {
    let dangerous =
        |c: char| c.is_control() || matches!(c, ';' | '&' | '|' | '`' | '$' | '<' | '>' | '\\');
    if text.contains(dangerous) || has_parent_segment(text) {
        return Err(Refusal::Characters);
    }
    // The parser decodes some percent-encoded characters; a proxy in front of the forge may decode
    // again.
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..2 {
        bytes = percent_decode(&bytes).collect();
        let decoded = String::from_utf8_lossy(&bytes);
        if decoded.contains(|c: char| is_invisible(c) || c == '\\') || has_parent_segment(&decoded)
        {
            return Err(Refusal::Characters);
        }
    }
    Ok(())
}

/// Whether a segment of a path is `..`.
fn has_parent_segment(text: &str) -> bool {
    text.contains("../") || text.ends_with("/..")
}

fn parse_shape(text: &str) -> Result<Url, Refusal> {
    if text.is_empty() {
        return Err(Refusal::Shape("it is empty"));
    }
    if text.len() > LONGEST {
        return Err(TOO_LONG);
    }
    // The address of a remote helper (gitremote-helpers(7)), which the `url` crate would not parse.
    if let Some((helper, _)) = text.split_once("::")
        && !helper.is_empty()
        && helper.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    {
        return Err(Refusal::Scheme(helper.to_ascii_lowercase()));
    }
    if text.contains(char::is_whitespace) {
        return Err(Refusal::Shape("it contains blanks"));
    }
    let spelled = match ssh_form(text) {
        Some(https) => https?,
        None => text.to_owned(),
    };
    let url = Url::parse(&spelled).map_err(|_| Refusal::Shape("it is not a URL"))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Refusal::Shape("a repository URL must not contain ? or #"));
    }
    Ok(url)
}

/// A URL for SSH as the equivalent https URL: `git@host:path`, the short form of git-clone(1), and
/// `ssh://git@host/path`. Its port, if there is one, is that of SSH and is dropped.
fn ssh_form(text: &str) -> Option<Result<String, Refusal>> {
    let (user, host, path) = if let Some((scheme, rest)) = text.split_once("://") {
        let scheme = scheme.to_ascii_lowercase();
        // git also knows the other two names (git-clone(1), "deprecated").
        if !matches!(scheme.as_str(), "ssh" | "git+ssh" | "ssh+git") {
            return None;
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        // Without a user it is refused by its scheme.
        let (user, host) = authority.rsplit_once('@')?;
        let port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        let host =
            host.rsplit_once(':').filter(|(_, text)| port(text)).map_or(host, |(host, _)| host);
        (user, host, path)
    } else {
        let (user, rest) = text.split_once('@')?;
        // `user:secret@host/path`, which a parser would take for a URL with the scheme `user`.
        if user.contains(':') && !user.contains('/') {
            return Some(Err(Refusal::Userinfo));
        }
        let (host, path) = rest.split_once(':')?;
        if host.is_empty() || host.contains('/') {
            return None;
        }
        (user, host, path)
    };
    let path = path.trim_start_matches('/');
    Some(if user != "git" {
        Err(Refusal::Userinfo)
    } else if host.is_empty() || host.starts_with('-') || path.is_empty() {
        Err(Refusal::Shape("it names no repository"))
    } else {
        Ok(azure_form(host, path).unwrap_or_else(|| format!("https://{host}/{path}")))
    })
}

/// The https URL of a repository of Azure DevOps, whose SSH server has a host and paths of its own:
/// `v3/organization/project/repository`.
fn azure_form(host: &str, path: &str) -> Option<String> {
    if normal_host(host) != "ssh.dev.azure.com" {
        return None;
    }
    let mut parts = path.trim_end_matches('/').split('/');
    let (version, organization, project, repository) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    (version == "v3" && parts.next().is_none())
        .then(|| format!("https://dev.azure.com/{organization}/{project}/_git/{repository}"))
}

fn check_path(url: &Url) -> Result<(), Refusal> {
    let mut segments = url.path().split('/').filter(|segment| !segment.is_empty()).peekable();
    if segments.peek().is_none() {
        return Err(Refusal::Shape("it names no repository"));
    }
    if segments.any(|segment| percent_decode(segment.as_bytes()).next() == Some(b'-')) {
        return Err(Refusal::Shape("a part of its path starts with -"));
    }
    Ok(())
}

/// Whether a host is a valid DNS name (RFC 1123, section 2.1); underscores are allowed, too. curl
/// interprets `-name` and `+name` in a list of addresses as commands.
fn is_name(host: &str) -> bool {
    let good = |label: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len())
            && label.bytes().all(known)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(good)
}

/// The address literal in place of a host name, in any notation.
fn literal_address(url: &Url, host: &str) -> Option<IpAddr> {
    match url.host() {
        Some(Host::Ipv4(v4)) => Some(v4.into()),
        Some(Host::Ipv6(v6)) => Some(v6.into()),
        _ => host.parse().ok(),
    }
}

fn check_literal(
    literal: Option<IpAddr>,
    host: &str,
    policy: &NetworkPolicy,
) -> Result<(), Refusal> {
    if let Some(address) = literal {
        return match kind_of(address) {
            _ if policy.in_allowed_net(address) => Ok(()),
            AddressKind::Public => Ok(()),
            AddressKind::NonPublic => Err(Refusal::PrivateNetwork),
            AddressKind::Metadata => Err(Refusal::Metadata),
        };
    }
    if policy.allows_host(host) {
        return Ok(());
    }
    if matches!(host, "metadata" | "metadata.google.internal" | "metadata.goog" | "instance-data") {
        return Err(Refusal::Metadata);
    }
    if host == "localhost" || host.ends_with(".localhost") || host == "localhost.localdomain" {
        return Err(Refusal::PrivateNetwork);
    }
    Ok(())
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;
