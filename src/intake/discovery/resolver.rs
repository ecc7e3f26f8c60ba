//! Names are resolved when a connection is made, and every address is judged there: a name that
//! changes its mind between check and contact leads nowhere else.

use crate::{model::address::NetworkPolicy, sys};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{net::SocketAddr, sync::Arc};

/// A resolver that gives out addresses which policy allows: all of a name's, or none.
#[derive(Debug)]
pub(super) struct Judge {
    policy: Arc<NetworkPolicy>,
}

/// Why a name led nowhere. Asking again would not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Nowhere {
    #[error("Private network access not allowed: {host} has the address {address}")]
    Address { host: String, address: std::net::IpAddr },
    #[error(
        "Private network access not allowed: {host} has the address {address}, which is this \
         machine's own; if it is to be asked, open it by [network] allow_nets in the server's \
         settings"
    )]
    OwnAddress { host: String, address: std::net::IpAddr },
    #[error("the name {host} has no address")]
    NoAddress { host: String },
}

impl Judge {
    pub(super) fn new(policy: Arc<NetworkPolicy>) -> Self {
        Self { policy }
    }
}

impl Resolve for Judge {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = Arc::clone(&self.policy);
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<_> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            Ok(Box::new(judged(host, found, &policy)?.into_iter()) as Addrs)
        })
    }
}

fn judged(
    host: String,
    found: Vec<SocketAddr>,
    policy: &NetworkPolicy,
) -> Result<Vec<SocketAddr>, Nowhere> {
    if found.is_empty() {
        return Err(Nowhere::NoAddress { host });
    }
    let mut addresses = found.iter().map(SocketAddr::ip);
    if let Some(address) = addresses.clone().find(|it| !policy.allows_address(*it)) {
        return Err(Nowhere::Address { host, address });
    }
    let own = |it: &std::net::IpAddr| !policy.in_allowed_net(*it) && sys::is_own_address(*it);
    match addresses.find(own) {
        Some(address) => Err(Nowhere::OwnAddress { host, address }),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_inner_address_spoils_a_name() {
        let policy = NetworkPolicy::default();
        let judge = |addresses: &[&str]| {
            let found = addresses.iter().map(|it| SocketAddr::new(it.parse().unwrap(), 0));
            judged("h.example".into(), found.collect(), &policy)
        };
        assert_eq!(judge(&["1.1.1.1", "2606:4700::1111"]).unwrap().len(), 2);
        let address = "10.0.0.1".parse().unwrap();
        let refused = Nowhere::Address { host: "h.example".into(), address };
        assert_eq!(judge(&["1.1.1.1", "10.0.0.1"]), Err(refused));
        assert_eq!(judge(&[]), Err(Nowhere::NoAddress { host: "h.example".into() }));
    }
}
