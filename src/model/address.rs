//! The network policy: which hosts and addresses a scan may contact.
//!
//! Input: settings, hosts, addresses. Output: whether contact is allowed.
//!
//! Invariants: default deny: a name must be allowed, and every address it resolves to must be
//! public or in an allowed network. Forges that the operator configures are trusted as configured:
//! scheme, host and port together, whatever their address.

pub use super::origin::{Origin, normal_host};

use super::proxy::Proxy;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

/// What may be contacted; sent to the scanner as `network`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NetworkPolicy {
    /// Names, in lower case; `*.example.com` allows every name below it.
    pub allow_hosts: Vec<String>,
    /// Allowed networks in addition to public addresses.
    #[schemars(with = "Vec<String>")]
    pub allow_nets: Vec<IpNet>,
    pub allow_ports: Vec<u16>,
    /// Forges in the settings, and URLs that a user typed on the command line.
    #[serde(default)]
    pub trusted: Vec<Origin>,
    /// The certificate authorities of forges that have their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorities: Vec<Authority>,
    /// The proxy through which hosts are contacted, if there is one: it resolves their names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
    /// Whether the URL may be a local path: only if a user typed it on the command line.
    #[serde(default)]
    pub local_paths: bool,
}

/// The certificate authorities of one forge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Authority {
    pub origin: Origin,
    /// A PEM bundle, by its absolute path.
    pub ca_file: PathBuf,
}

/// The kind of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressKind {
    Public,
    /// Loopback, private, link-local or reserved: no public name should resolve to it.
    NonPublic,
    /// The metadata service of a cloud.
    Metadata,
}

impl NetworkPolicy {
    /// Whether `allow_hosts` allows this host name.
    pub fn allows_host(&self, host: &str) -> bool {
        self.allow_hosts.iter().any(|allowed| matches_host(allowed, host))
    }

    /// The proxy through which this origin is contacted; `None` if it is contacted directly.
    pub fn proxy_for(&self, origin: &Origin) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|proxy| proxy.serves(origin))
    }

    /// The PEM bundle for this origin, if it has its own.
    pub fn ca_file(&self, origin: &Origin) -> Option<&Path> {
        let authority = self.authorities.iter().find(|authority| authority.origin == *origin)?;
        Some(&authority.ca_file)
    }

    /// Whether this address may be contacted under an untrusted name.
    pub fn allows_address(&self, address: IpAddr) -> bool {
        self.in_allowed_net(address) || kind_of(address) == AddressKind::Public
    }

    /// Whether `allow_nets` allows this address, also in its IPv4-mapped form.
    pub fn in_allowed_net(&self, address: IpAddr) -> bool {
        let plain = address.to_canonical();
        self.allow_nets.iter().any(|net| net.contains(&address) || net.contains(&plain))
    }
}

/// Whether a host is the one that a setting names: by its name, or as a name below `*.example.com`.
pub fn matches_host(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(parent) => {
            host.strip_suffix(parent).is_some_and(|below| below.len() > 1 && below.ends_with('.'))
        }
        None => pattern == host,
    }
}

/// Classifies an address by the IANA special-purpose registries (RFC 6890 and its updates). An IPv6
/// address that contains an IPv4 address is classified by that, too.
pub fn kind_of(address: IpAddr) -> AddressKind {
    match address {
        IpAddr::V4(v4) => kind_of_v4(v4),
        IpAddr::V6(v6) => kind_of_v6(v6),
    }
}

fn kind_of_v4(address: Ipv4Addr) -> AddressKind {
    const METADATA: [Ipv4Addr; 5] = [
        Ipv4Addr::new(169, 254, 169, 254), // AWS, Azure, Google, OpenStack, DigitalOcean
        Ipv4Addr::new(169, 254, 170, 2),   // AWS ECS task credentials
        Ipv4Addr::new(100, 100, 100, 200), // Alibaba
        Ipv4Addr::new(192, 0, 0, 192),     // Oracle
        Ipv4Addr::new(168, 63, 129, 16),   // Azure's wire server, at a public-looking address
    ];
    if METADATA.contains(&address) {
        return AddressKind::Metadata;
    }
    let inside = match address.octets() {
        [100, second, ..] => (64..128).contains(&second),
        [172, second, ..] => (16..32).contains(&second),
        // This host, private, loopback, link-local; multicast, reserved, broadcast.
        [0 | 10 | 127 | 224..=255, ..] | [169, 254, ..] | [192, 168, ..]
        // IETF protocol assignments, TEST-NET-1, and the 6to4 relay anycast.
        | [192, 0, 0 | 2, _] | [192, 88, 99, _]
        // Benchmarking, TEST-NET-2, TEST-NET-3.
        | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => true,
        _ => false,
    };
    if inside { AddressKind::NonPublic } else { AddressKind::Public }
}

fn kind_of_v6(address: Ipv6Addr) -> AddressKind {
    if address == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254) {
        return AddressKind::Metadata;
    }
    if let Some(v4) = address.to_ipv4_mapped() {
        return kind_of_v4(v4);
    }
    // Global unicast is 2000::/3 (RFC 4291), except for these parts.
    let inside = match address.segments() {
        [first, ..] if first & 0xe000 != 0x2000 => true,
        // 2001::/23: Teredo, benchmarking, ORCHID; and documentation.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => true,
        // 6to4, and documentation (RFC 9637).
        [0x2002, ..] => true,
        [0x3fff, second, ..] if second < 0x1000 => true,
        _ => false,
    };
    if inside { AddressKind::NonPublic } else { AddressKind::Public }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn special_addresses_are_not_public() {
        for inside in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.254",
            "127.0.0.1",
            "127.255.0.9",
            "169.254.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "5f00::1",
        ] {
            assert_eq!(kind_of(inside.parse().unwrap()), AddressKind::NonPublic, "{inside}");
        }
        for metadata in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "100.100.100.200",
            "168.63.129.16",
            "fd00:ec2::254",
        ] {
            assert_eq!(kind_of(metadata.parse().unwrap()), AddressKind::Metadata, "{metadata}");
        }
        for public in [
            "1.1.1.1",
            "140.82.121.4",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert_eq!(kind_of(public.parse().unwrap()), AddressKind::Public, "{public}");
        }
    }

    #[test]
    fn names_match_exactly_or_below_a_wildcard() {
        let policy = NetworkPolicy {
            allow_hosts: vec!["github.com".into(), "*.corp.example".into()],
            ..NetworkPolicy::default()
        };
        for good in ["github.com", "a.corp.example", "a.b.corp.example"] {
            assert!(policy.allows_host(good), "{good}");
        }
        for bad in [
            "xgithub.com",
            "a.github.com",
            "github.com.evil.example",
            "corp.example",
            ".corp.example",
            "evilcorp.example",
        ] {
            assert!(!policy.allows_host(bad), "{bad}");
        }
    }

    #[test]
    fn an_allowed_network_allows_only_that_network() {
        let policy = NetworkPolicy {
            allow_nets: vec!["10.1.0.0/16".parse().unwrap()],
            ..NetworkPolicy::default()
        };
        for (address, allowed) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("127.0.0.1", false),
            ("1.1.1.1", true),
        ] {
            assert_eq!(policy.allows_address(address.parse().unwrap()), allowed, "{address}");
        }
    }

    proptest! {
        #[test]
        fn a_mapped_address_is_classified_as_its_ipv4_address(bits: u32) {
            let plain = Ipv4Addr::from(bits);
            prop_assert_eq!(kind_of(plain.to_ipv6_mapped().into()), kind_of(plain.into()));
        }
    }
}
