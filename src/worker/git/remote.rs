//! The one place that a fetch may contact, and what it says there.
//!
//! Input: the task's URL, policy and credentials. Output: settings for git.
//! Invariants: the URL passes the gate once more, here; a name that is not trusted is
//! resolved once, every address must be allowed, and git is pinned to these addresses, so that
//! a name which changes its mind between check and contact leads nowhere else.

use super::GitError;
use crate::{
    model::{
        address::{NetworkPolicy, Origin},
        git_url::GitUrl,
        task::{Credentials, ScanTask},
    },
    sys,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use std::{
    fmt,
    net::{IpAddr, ToSocketAddrs},
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};
use url::Host;

/// Bytes per second below which a transfer counts as stalled.
const SLOWEST: u64 = 1000;

/// A URL that may be contacted, and how.
pub(super) struct Remote {
    url: GitUrl,
    /// Empty where git may resolve the name itself.
    pins: Vec<IpAddr>,
    authorization: Option<String>,
    /// What takes the place of the system's certificate authorities, if the settings say so.
    ca_file: Option<String>,
    stall_secs: u64,
}

impl Remote {
    /// Passes the task's URL through the gate, and its name through the resolver.
    pub(super) fn of(task: &ScanTask) -> Result<Self, GitError> {
        let url = GitUrl::parse(&task.git_url, &task.network)
            .map_err(|refusal| GitError::Refused { refusal })?;
        let pins = if url.is_trusted() {
            Vec::new()
        } else {
            let within = Duration::from_secs(task.limits.connect_timeout_secs);
            judged_addresses(&url, &task.network, within)?
        };
        let origin = Origin::of(url.url());
        let ca_file = origin.and_then(|it| task.network.ca_file(&it).map(Path::to_owned));
        Ok(Self {
            url,
            pins,
            authorization: task.credentials.as_ref().map(authorization),
            // It came as JSON, so it is text.
            ca_file: ca_file.map(|it| it.to_string_lossy().into_owned()),
            stall_secs: task.limits.fetch_stall_timeout_secs.max(1),
        })
    }

    /// The URL for git.
    pub(super) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The one protocol that git may speak.
    pub(super) fn scheme(&self) -> &str {
        self.url.url().scheme()
    }

    /// The host, for messages.
    pub(super) fn host(&self) -> String {
        self.url.host().to_string()
    }

    /// Whether git has credentials to offer.
    pub(super) fn has_credentials(&self) -> bool {
        self.authorization.is_some()
    }

    /// Settings for the command line: no secrets.
    pub(super) fn settings(&self) -> Vec<String> {
        let mut settings = vec![
            // The gate judged this URL, and no other.
            "http.followRedirects=false".to_owned(),
            "http.proxy=".to_owned(),
            "http.cookieFile=".to_owned(),
            "transfer.bundleURI=false".to_owned(),
            "fetch.uriProtocols=".to_owned(),
            "transfer.credentialsInUrl=die".to_owned(),
            format!("http.lowSpeedLimit={SLOWEST}"),
            format!("http.lowSpeedTime={}", self.stall_secs),
            // Left off: it refuses repositories whose old commits or trees have harmless
            // faults (padded modes, dates and addresses that are none), and what it guards is
            // a checkout. Hashes are verified all the same, and every name and mode of the
            // tree is judged where it is read.
            "fetch.fsckObjects=false".to_owned(),
        ];
        if let Some(ca_file) = &self.ca_file {
            settings.push(format!("http.sslCAInfo={ca_file}"));
        }
        if !self.pins.is_empty() {
            let pins: Vec<String> = self.pins.iter().map(pin).collect();
            settings.push(format!(
                "http.curloptResolve={}:{}:{}",
                self.host(),
                self.url.port(),
                pins.join(",")
            ));
        }
        settings
    }

    /// Variables for git's environment: the credentials, bound to this origin.
    pub(super) fn secret_environment(&self) -> Vec<(&'static str, String)> {
        let (Some(authorization), Some(origin)) = (&self.authorization, Origin::of(self.url.url()))
        else {
            return Vec::new();
        };
        vec![
            ("GIT_CONFIG_COUNT", "1".to_owned()),
            (
                "GIT_CONFIG_KEY_0",
                format!("http.{}://{}:{}/.extraHeader", origin.scheme, origin.host, origin.port),
            ),
            ("GIT_CONFIG_VALUE_0", format!("Authorization: {authorization}")),
        ]
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({}, {:?})", self.url, self.pins)
    }
}

/// The value of the header, by RFC 7617.
fn authorization(credentials: &Credentials) -> String {
    let pair = format!("{}:{}", credentials.username, credentials.password);
    format!("Basic {}", STANDARD.encode(pair))
}

fn pin(address: &IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

/// The addresses behind a name; empty for a literal one, which needs no pin.
fn judged_addresses(
    url: &GitUrl,
    policy: &NetworkPolicy,
    within: Duration,
) -> Result<Vec<IpAddr>, GitError> {
    let (addresses, is_name) = match url.host() {
        Host::Ipv4(v4) => (vec![v4.into()], false),
        Host::Ipv6(v6) => (vec![v6.into()], false),
        Host::Domain(name) => (resolve(name, url.port(), within)?, true),
    };
    let host = url.host().to_string();
    if let Some(address) = addresses.iter().copied().find(|it| !policy.allows_address(*it)) {
        return Err(GitError::Address { host, address });
    }
    // At public addresses of its own a machine may serve what it shows to no other.
    let own = |it: &IpAddr| !policy.in_allowed_net(*it) && sys::is_own_address(*it);
    if let Some(address) = addresses.iter().copied().find(own) {
        return Err(GitError::OwnAddress { host, address });
    }
    Ok(if is_name { addresses } else { Vec::new() })
}

/// Asks the system's resolver. It knows no time limit, so a thread asks, which is left behind
/// should it never come back: this process is short-lived.
fn resolve(name: &str, port: u16, within: Duration) -> Result<Vec<IpAddr>, GitError> {
    let unresolvable = |reason: String| GitError::Unresolvable { host: name.to_owned(), reason };
    let (answer, answered) = mpsc::channel();
    let question = (name.to_owned(), port);
    thread::Builder::new()
        .name("resolver".to_owned())
        .spawn(move || {
            let found = question
                .to_socket_addrs()
                .map(|them| them.map(|it| it.ip()).collect::<Vec<IpAddr>>());
            // Nobody waits any more: fine.
            let _ = answer.send(found);
        })
        .map_err(|error| unresolvable(error.to_string()))?;
    let found = answered
        .recv_timeout(within)
        .map_err(|_| unresolvable(format!("no answer within {} seconds", within.as_secs())))?;
    let mut addresses = found.map_err(|error| unresolvable(error.to_string()))?;
    addresses.dedup();
    if addresses.is_empty() {
        return Err(unresolvable("it has no address".to_owned()));
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(nets: &[&str]) -> NetworkPolicy {
        NetworkPolicy {
            allow_hosts: vec!["localhost".into(), "no-such-name.invalid".into()],
            allow_nets: nets.iter().map(|it| it.parse().unwrap()).collect(),
            allow_ports: vec![443],
            ..NetworkPolicy::default()
        }
    }

    fn judge(url: &str, policy: &NetworkPolicy) -> Result<Vec<IpAddr>, GitError> {
        let url = GitUrl::parse(url, policy).unwrap();
        judged_addresses(&url, policy, Duration::from_secs(10))
    }

    #[test]
    fn an_allowed_name_with_an_inner_address_is_refused() {
        let error = judge("https://localhost/a.git", &policy(&[])).unwrap_err();
        assert!(matches!(error, GitError::Address { .. }), "{error}");
        let opened = policy(&["127.0.0.0/8", "::1/128"]);
        assert!(!judge("https://localhost/a.git", &opened).unwrap().is_empty());
    }

    #[test]
    fn a_name_that_cannot_be_resolved_is_refused() {
        let error = judge("https://no-such-name.invalid/a.git", &policy(&[])).unwrap_err();
        assert!(matches!(error, GitError::Unresolvable { .. }), "{error}");
    }

    #[test]
    fn git_is_pinned_to_the_judged_addresses_and_the_secret_stays_out_of_its_arguments() {
        let remote = Remote {
            url: GitUrl::parse("https://localhost/a.git", &policy(&[])).unwrap(),
            pins: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            authorization: Some("Basic c2VjcmV0".to_owned()),
            ca_file: None,
            stall_secs: 30,
        };
        let settings = remote.settings();
        assert!(
            settings
                .contains(&"http.curloptResolve=localhost:443:192.0.2.1,[2001:db8::1]".to_owned()),
            "{settings:?}"
        );
        assert!(!settings.join(" ").contains("c2VjcmV0"));
        assert_eq!(remote.secret_environment()[1].1, "http.https://localhost:443/.extraHeader");
    }
}
