//! Narrows an agent's own settings by what a message allows.
//!
//! Input: the agent's limits and network policy, and those of a message. Output: what both allow.
//!
//! Invariants: no message extends what the agent's settings allow.

use super::attempt::NetworkBounds;
use crate::model::{address::NetworkPolicy, task::Limits};
use serde_json::Value;
use std::collections::BTreeMap;

/// The smaller value of each limit.
pub fn limits(own: Limits, wanted: &BTreeMap<String, u64>) -> Limits {
    let Ok(Value::Object(mut members)) = serde_json::to_value(own) else { return own };
    for (name, value) in &mut members {
        if let (Some(most), Some(wanted)) = (value.as_u64(), wanted.get(name)) {
            *value = most.min(*wanted).into();
        }
    }
    serde_json::from_value(Value::Object(members)).unwrap_or(own)
}

/// The hosts, networks, ports and forges that both allow. Proxy and certificate authorities are the agent's own.
pub fn network(own: &NetworkPolicy, wanted: &NetworkBounds) -> NetworkPolicy {
    let nets = own.allow_nets.iter().flat_map(|net| {
        wanted.allow_nets.iter().filter_map(move |other| match (net, other) {
            (net, other) if net.contains(other) => Some(*other),
            (net, other) if other.contains(net) => Some(*net),
            _ => None,
        })
    });
    NetworkPolicy {
        allow_hosts: hosts(&own.allow_hosts, &wanted.allow_hosts),
        allow_nets: nets.collect(),
        allow_ports: both(&own.allow_ports, &wanted.allow_ports),
        trusted: both(&own.trusted, &wanted.trusted),
        authorities: own.authorities.clone(),
        proxy: own.proxy.clone(),
        local_paths: false,
    }
}

fn both<T: Clone + PartialEq>(own: &[T], wanted: &[T]) -> Vec<T> {
    own.iter().filter(|item| wanted.contains(item)).cloned().collect()
}

/// The patterns of hosts that are allowed by a pattern of each list.
fn hosts(own: &[String], wanted: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (pattern, others) in own.iter().map(|p| (p, wanted)).chain(wanted.iter().map(|p| (p, own)))
    {
        if others.iter().any(|other| covers(other, pattern)) && !found.contains(pattern) {
            found.push(pattern.clone());
        }
    }
    found
}

/// Whether a pattern of hosts allows everything that another one allows.
fn covers(pattern: &str, other: &str) -> bool {
    match pattern.strip_prefix("*.") {
        None => pattern == other,
        Some(parent) => {
            let other = other.strip_prefix("*.").map_or(other, |other| {
                // `*.a.b` is covered by `*.b` and by itself.
                if other == parent { pattern } else { other }
            });
            other == pattern
                || other
                    .strip_suffix(parent)
                    .is_some_and(|below| below.len() > 1 && below.ends_with('.'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::origin::Origin;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn only_hosts_that_both_allow_remain() {
        for (own, wanted, expected) in [
            (&["github.com"][..], &["github.com", "evil.example"][..], &["github.com"][..]),
            (&["github.com"], &["gitlab.com"], &[]),
            (&["*.example.com"], &["git.example.com", "example.com"], &["git.example.com"]),
            (&["git.example.com"], &["*.example.com"], &["git.example.com"]),
            (&["*.example.com"], &["*.a.example.com"], &["*.a.example.com"]),
            (&["*.a.example.com"], &["*.example.com"], &["*.a.example.com"]),
            (&["*.example.com"], &["*.example.com"], &["*.example.com"]),
            (&["*.example.com"], &["*.badexample.com", "badexample.com"], &[]),
            (&[], &["github.com"], &[]),
            (&["github.com"], &[], &[]),
        ] {
            let mut found = hosts(&texts(own), &texts(wanted));
            found.sort();
            assert_eq!(found, texts(expected), "{own:?} {wanted:?}");
        }
    }

    #[test]
    fn a_policy_is_only_narrowed() {
        let origin =
            |host: &str| Origin { scheme: "https".to_owned(), host: host.to_owned(), port: 443 };
        let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let own = NetworkPolicy {
            allow_nets: nets(&["10.0.0.0/8", "192.168.1.0/24"]),
            allow_ports: vec![443, 8443],
            trusted: vec![origin("own"), origin("both")],
            ..NetworkPolicy::default()
        };
        let wanted = NetworkBounds {
            allow_nets: nets(&["10.1.0.0/16", "192.168.0.0/16", "0.0.0.0/0", "::/0"]),
            allow_ports: vec![443, 22],
            trusted: vec![origin("both"), origin("other")],
            ..NetworkBounds::default()
        };
        let narrowed = network(&own, &wanted);
        assert!(
            narrowed
                .allow_nets
                .iter()
                .all(|net| { own.allow_nets.iter().any(|allowed| allowed.contains(net)) })
        );
        assert!(narrowed.allow_nets.contains(&"10.1.0.0/16".parse().unwrap()));
        assert!(narrowed.allow_nets.contains(&"192.168.1.0/24".parse().unwrap()));
        assert_eq!(narrowed.allow_ports, [443]);
        assert_eq!(narrowed.trusted, [origin("both")]);
        assert!(!narrowed.local_paths);
        assert_eq!(network(&own, &NetworkBounds::default()).allow_nets, Vec::new());
    }

    #[test]
    fn a_limit_is_never_raised() {
        let config = crate::config::Config::load(&crate::config::Sources::default()).unwrap();
        let own = config.limits;
        let wanted = [("max_packages", 7), ("max_file_bytes", u64::MAX), ("unknown", 1)];
        let wanted = wanted.map(|(name, value)| (name.to_owned(), value)).into();
        let narrowed = limits(own, &wanted);
        assert_eq!((narrowed.max_packages, narrowed.max_file_bytes), (7, own.max_file_bytes));
        assert_eq!(narrowed.max_tree_depth, own.max_tree_depth);
    }
}
