//! Resolves names when a connection is made, and checks every address against the policy. A name
//! whose addresses change between a check and the connection therefore gains nothing (DNS
//! rebinding).
//!
//! Input: a host name. Output: its addresses. Invariants: either all addresses of a name are
//! allowed, or none is returned.

use crate::{model::address::NetworkPolicy, sys};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{io, net::SocketAddr, sync::Arc};

/// A resolver that returns the addresses of a name only if the policy allows all of them.
#[derive(Debug)]
pub(super) struct PolicyResolver {
    policy: Arc<NetworkPolicy>,
}

/// Why a name has no usable address; a retry would not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAllowedAddress {
    #[error("Private network access not allowed: {host} has the address {address}")]
    Address { host: String, address: std::net::IpAddr },
    #[error(
        "Private network access not allowed: {host} has the address {address}, which \
         belongs to this machine; to allow it, set [network] allow_nets in the server's settings"
    )]
    OwnAddress { host: String, address: std::net::IpAddr },
}

impl PolicyResolver {
    pub(super) fn new(policy: Arc<NetworkPolicy>) -> Self {
        Self { policy }
    }
}

impl Resolve for PolicyResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = Arc::clone(&self.policy);
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<_> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            // As an unknown name, this is the network's failure, and a retry may help.
            if found.is_empty() {
                return Err(io::Error::other(format!("the name {host} has no address")).into());
            }
            Ok(Box::new(check_addresses(host, found, &policy)?.into_iter()) as Addrs)
        })
    }
}

fn check_addresses(
    host: String,
    found: Vec<SocketAddr>,
    policy: &NetworkPolicy,
) -> Result<Vec<SocketAddr>, NoAllowedAddress> {
    let mut addresses = found.iter().map(SocketAddr::ip);
    if let Some(address) = addresses.clone().find(|address| !policy.allows_address(*address)) {
        return Err(NoAllowedAddress::Address { host, address });
    }
    let own = |address: &std::net::IpAddr| {
        !policy.in_allowed_net(*address) && sys::is_own_address(*address)
    };
    match addresses.find(own) {
        Some(address) => Err(NoAllowedAddress::OwnAddress { host, address }),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_inner_address_spoils_a_name() {
        let policy = NetworkPolicy::default();
        let check = |addresses: &[&str]| {
            let found = addresses.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0));
            check_addresses("h.example".into(), found.collect(), &policy)
        };
        assert_eq!(check(&["1.1.1.1", "2606:4700::1111"]).unwrap().len(), 2);
        let address = "10.0.0.1".parse().unwrap();
        let refused = NoAllowedAddress::Address { host: "h.example".into(), address };
        assert_eq!(check(&["1.1.1.1", "10.0.0.1"]), Err(refused));
    }
}
