//! The remote: the one host that a fetch may contact, and the settings for it.
//!
//! Input: the task's URL, policy and credentials. Output: settings for git.
//!
//! Invariants: the URL passes the gate again here; an untrusted name is resolved once, all its
//! addresses must be allowed, and git is pinned to these addresses, so that a name that changes
//! between check and use (DNS rebinding) leads nowhere else. Behind a proxy the URL passes the same gate, and
//! the proxy resolves the name and decides which addresses it contacts.

use super::GitError;
use crate::{
    model::{
        address::{NetworkPolicy, Origin},
        git_url::GitUrl,
        proxy::Proxy,
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

/// The rate in bytes per second below which a transfer counts as stalled.
const SLOWEST: u64 = 1000;

/// A URL that may be contacted, with the settings for that.
pub(super) struct Remote {
    url: GitUrl,
    /// Empty if git may resolve the name itself.
    pins: Vec<IpAddr>,
    authorization: Option<String>,
    /// What becomes the authorization once the server asks for one.
    spare: Option<String>,
    /// The proxy that is contacted in place of the host, if there is one.
    proxy: Option<Proxy>,
    /// A CA file that replaces the system's certificate authorities, if one is configured.
    ca_file: Option<String>,
    stall_secs: u64,
}

impl Remote {
    /// Checks the task's URL and resolves its host.
    pub(super) fn of(task: &ScanTask) -> Result<Self, GitError> {
        let url = GitUrl::parse(&task.git_url, &task.network)
            .map_err(|refusal| GitError::Refused { refusal })?;
        let origin = Origin::of(url.url());
        let proxy = origin.as_ref().and_then(|origin| task.network.proxy_for(origin)).cloned();
        // A proxy resolves the name itself, so there is nothing to check and to pin here.
        let pins = if url.is_trusted() || proxy.is_some() {
            Vec::new()
        } else {
            let within = Duration::from_secs(task.limits.connect_timeout_secs);
            judged_addresses(&url, &task.network, within)?
        };
        let on_request = task.credentials.as_ref().is_some_and(|login| login.on_request);
        let login = task.credentials.as_ref().map(authorization);
        let (spare, authorization) = if on_request { (login, None) } else { (None, login) };
        let ca_file = origin.and_then(|origin| task.network.ca_file(&origin).map(Path::to_owned));
        Ok(Self {
            url,
            pins,
            authorization,
            spare,
            proxy,
            // The path came as JSON, so it is text.
            ca_file: ca_file.map(|path| path.to_string_lossy().into_owned()),
            stall_secs: task.limits.fetch_stall_timeout_secs.max(1),
        })
    }

    /// The URL for git.
    pub(super) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The only protocol that git may use.
    pub(super) fn scheme(&self) -> &str {
        self.url.url().scheme()
    }

    /// The host, for messages.
    pub(super) fn host(&self) -> String {
        self.url.host().to_string()
    }

    /// The host of the proxy, if there is one.
    pub(super) fn proxy(&self) -> Option<String> {
        self.proxy.as_ref().map(Proxy::host)
    }

    /// Whether git has credentials.
    pub(super) fn has_credentials(&self) -> bool {
        self.authorization.is_some()
    }

    /// Sends credentials from now on; false if there are none that were not sent before.
    pub(super) fn offer_credentials(&mut self) -> bool {
        let spare = self.spare.take();
        let is_new = spare.is_some();
        self.authorization = spare.or_else(|| self.authorization.take());
        is_new
    }

    /// Settings for the command line, without secrets.
    pub(super) fn settings(&self) -> Vec<String> {
        let mut settings = vec![
            // The gate checked this URL only.
            "http.followRedirects=false".to_owned(),
            "http.cookieFile=".to_owned(),
            "transfer.bundleURI=false".to_owned(),
            "fetch.uriProtocols=".to_owned(),
            "transfer.credentialsInUrl=die".to_owned(),
            format!("http.lowSpeedLimit={SLOWEST}"),
            format!("http.lowSpeedTime={}", self.stall_secs),
            // Disabled, because it refuses repositories with harmless faults in old commits or
            // trees (padded modes, invalid dates and addresses), and what it protects is a
            // checkout. Hashes are verified nevertheless, and every name and mode of the tree is
            // checked where it is read.
            "fetch.fsckObjects=false".to_owned(),
        ];
        match &self.proxy {
            None => settings.push("http.proxy=".to_owned()),
            // With credentials, the URL is in the environment.
            Some(proxy) if proxy.credentials.is_some() => {
                settings.push("http.proxyAuthMethod=basic".to_owned());
            }
            Some(proxy) => settings.push(format!("http.proxy={}", proxy.url)),
        }
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

    /// Variables for git's environment: the credentials, bound to this origin, and those of the proxy.
    pub(super) fn secret_environment(&self) -> Vec<(String, String)> {
        let mut settings = Vec::new();
        if let (Some(authorization), Some(origin)) =
            (&self.authorization, Origin::of(self.url.url()))
        {
            let Origin { scheme, host, port } = origin;
            let name = format!("http.{scheme}://{host}:{port}/.extraHeader");
            settings.push((name, format!("Authorization: {authorization}")));
        }
        if let Some(proxy) = self.proxy.as_ref().filter(|proxy| proxy.credentials.is_some()) {
            settings.push(("http.proxy".to_owned(), proxy.url_with_credentials()));
        }
        if settings.is_empty() {
            return Vec::new();
        }
        let count = ("GIT_CONFIG_COUNT".to_owned(), settings.len().to_string());
        let variables = settings.into_iter().enumerate().flat_map(|(at, (name, value))| {
            [(format!("GIT_CONFIG_KEY_{at}"), name), (format!("GIT_CONFIG_VALUE_{at}"), value)]
        });
        std::iter::once(count).chain(variables).collect()
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Remote({}, {:?})", self.url, self.pins)
    }
}

/// The value of the `Authorization` header, by RFC 7617.
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

/// The checked addresses of a host; empty for an address literal, which needs no pin.
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
    if let Some(address) =
        addresses.iter().copied().find(|address| !policy.allows_address(*address))
    {
        return Err(GitError::Address { host, address });
    }
    // On its own public addresses a machine may offer services that nobody else can reach.
    let own = |address: &IpAddr| !policy.in_allowed_net(*address) && sys::is_own_address(*address);
    if let Some(address) = addresses.iter().copied().find(own) {
        return Err(GitError::OwnAddress { host, address });
    }
    Ok(if is_name { addresses } else { Vec::new() })
}

/// Resolves a name with the system's resolver. The resolver has no timeout, so it runs on a thread
/// that is abandoned if it never returns: this process is short-lived.
fn resolve(name: &str, port: u16, within: Duration) -> Result<Vec<IpAddr>, GitError> {
    let unresolvable = |reason: String| GitError::Unresolvable { host: name.to_owned(), reason };
    let (answer, answered) = mpsc::channel();
    let question = (name.to_owned(), port);
    thread::Builder::new()
        .name("resolver".to_owned())
        .spawn(move || {
            let found = question
                .to_socket_addrs()
                .map(|sockets| sockets.map(|socket| socket.ip()).collect::<Vec<IpAddr>>());
            // The receiver may have timed out.
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
            allow_nets: nets.iter().map(|net| net.parse().unwrap()).collect(),
            allow_ports: vec![443],
            ..NetworkPolicy::default()
        }
    }

    fn judge(url: &str, policy: &NetworkPolicy) -> Result<Vec<IpAddr>, GitError> {
        let url = GitUrl::parse(url, policy).unwrap();
        judged_addresses(&url, policy, Duration::from_secs(10))
    }

    #[test]
    fn an_allowed_name_with_a_private_address_is_refused() {
        let error = judge("https://localhost/a.git", &policy(&[])).unwrap_err();
        assert!(matches!(error, GitError::Address { .. }), "{error}");
        let opened = policy(&["127.0.0.0/8", "::1/128"]);
        assert!(!judge("https://localhost/a.git", &opened).unwrap().is_empty());
    }

    #[test]
    fn a_name_that_cannot_be_resolved_is_not_contacted() {
        let error = judge("https://no-such-name.invalid/a.git", &policy(&[])).unwrap_err();
        assert!(matches!(error, GitError::Unresolvable { .. }), "{error}");
    }

    #[test]
    fn git_is_pinned_to_the_checked_addresses_and_arguments_contain_no_secret() {
        let remote = Remote {
            url: GitUrl::parse("https://localhost/a.git", &policy(&[])).unwrap(),
            pins: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            authorization: Some("Basic c2VjcmV0".to_owned()),
            spare: None,
            proxy: None,
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

    /// Breaks if the password of a proxy is in git's arguments, or if git finds another proxy than ours.
    #[test]
    fn the_password_of_a_proxy_is_only_in_the_environment() {
        let mut remote = Remote {
            url: GitUrl::parse("https://localhost/a.git", &policy(&[])).unwrap(),
            pins: Vec::new(),
            authorization: None,
            spare: None,
            proxy: None,
            ca_file: None,
            stall_secs: 30,
        };
        let proxies = |remote: &Remote| -> Vec<String> {
            let all = remote.settings().into_iter();
            all.filter(|setting| setting.starts_with("http.proxy=")).collect()
        };
        assert_eq!(proxies(&remote), ["http.proxy="]);
        let mut proxy = Proxy {
            url: "http://proxy.example:3128/".to_owned(),
            no_proxy: Vec::new(),
            https_only: false,
            credentials: None,
        };
        remote.proxy = Some(proxy.clone());
        assert_eq!(proxies(&remote), ["http.proxy=http://proxy.example:3128/"]);
        assert!(remote.secret_environment().is_empty());
        let (username, password) = ("me".to_owned(), "secret".to_owned());
        proxy.credentials = Some(Credentials { username, password, on_request: false });
        remote.proxy = Some(proxy);
        // A setting of the command line would take precedence over the environment.
        assert!(proxies(&remote).is_empty());
        let environment = remote.secret_environment();
        assert_eq!(environment[0], ("GIT_CONFIG_COUNT".to_owned(), "1".to_owned()));
        assert_eq!(environment[2].1, "http://me:secret@proxy.example:3128/");
    }
}
