//! Generated URLs: every spelling of an address, and random combinations of URL parts.

use super::{super::*, fuzz::check_accepted, policy};
use crate::fuzzing::cases;
use proptest::{prelude::*, sample::select};
use std::net::{Ipv4Addr, Ipv6Addr};

fn verdict(host: &str) -> Result<GitUrl, Refusal> {
    GitUrl::parse(&format!("https://{host}/r.git"), &policy())
}

/// The notation of one number of an address.
#[derive(Debug, Clone, Copy)]
struct Number {
    base: u8,
    zeros: u8,
    upper: bool,
}

impl Number {
    fn any() -> impl Strategy<Value = Self> {
        (select(vec![8, 10, 16]), 0..4_u8, any::<bool>()).prop_map(|(base, zeros, upper)| Self {
            base,
            zeros,
            upper,
        })
    }

    fn write(self, value: u32) -> String {
        let zeros = "0".repeat(self.zeros.into());
        match (self.base, self.upper) {
            (8, _) => format!("0{zeros}{value:o}"),
            (16, false) => format!("0x{zeros}{value:x}"),
            (16, true) => format!("0X{zeros}{value:X}"),
            _ => value.to_string(),
        }
    }
}

/// A disguise of a host, which does not change its meaning.
#[derive(Debug, Clone, Copy)]
enum Disguise {
    None,
    /// A trailing dot.
    Dot,
    /// Every n-th character is percent-encoded.
    Percent(usize, bool),
    /// Digits and dots of other scripts.
    Wide,
    /// The short form of git-clone(1).
    Scp,
}

impl Disguise {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            Just(Self::None),
            Just(Self::Dot),
            (1..4_usize, any::<bool>()).prop_map(|(every, upper)| Self::Percent(every, upper)),
            Just(Self::Wide),
            Just(Self::Scp),
        ]
    }

    fn url(self, host: &str) -> String {
        let host = match self {
            Self::None | Self::Scp => host.to_owned(),
            Self::Dot => format!("{host}."),
            Self::Percent(every, upper) => host
                .bytes()
                .enumerate()
                .map(|(at, byte)| match (at % every, upper) {
                    (0, true) => format!("%{byte:02X}"),
                    (0, false) => format!("%{byte:02x}"),
                    _ => char::from(byte).to_string(),
                })
                .collect(),
            Self::Wide => host
                .chars()
                .map(|c| match c {
                    '.' => '\u{3002}',
                    '0'..='9' => char::from_u32(0xff10 + u32::from(c) - 0x30).unwrap_or(c),
                    _ => c,
                })
                .collect(),
        };
        match self {
            Self::Scp => format!("git@{host}:r.git"),
            _ => format!("https://{host}/r.git"),
        }
    }
}

/// An IPv4 address written as this many numbers.
fn written(address: u32, parts: usize, numbers: &[Number]) -> String {
    let [a, b, c, d] = address.to_be_bytes().map(u32::from);
    let values = match parts {
        1 => vec![address],
        2 => vec![a, address & 0xff_ffff],
        3 => vec![a, b, c << 8 | d],
        _ => vec![a, b, c, d],
    };
    let texts: Vec<_> =
        values.iter().zip(numbers).map(|(value, notation)| notation.write(*value)).collect();
    texts.join(".")
}

/// Addresses, most of them near a boundary between verdicts.
fn addresses() -> impl Strategy<Value = u32> {
    let edges = vec![
        0x0000_0000,
        0x0a00_0000,
        0x0a09_0000,
        0x6440_0000,
        0x6464_64c8,
        0x7f00_0001,
        0xa83f_8110,
        0xa9fe_a9fe,
        0xac10_0000,
        0xc000_0000,
        0xc0a8_0000,
        0xc612_0000,
        0xe000_0000,
        0xffff_ffff_u32,
    ];
    let near = (select(edges).prop_map(i64::from), -3..70_000_i64);
    prop_oneof![
        any::<u32>(),
        near.prop_map(|(edge, by)| u32::try_from(edge + by).unwrap_or(u32::MAX)),
    ]
}

/// An IPv6 address in one of its notations.
fn written_v6(address: Ipv6Addr, style: u8) -> String {
    let words = address.segments();
    let all = |write: fn(&u16) -> String| words.iter().map(write).collect::<Vec<_>>().join(":");
    match style {
        0 => address.to_string(),
        1 => all(|word| format!("{word:04x}")),
        2 => all(|word| format!("{word:X}")),
        _ => {
            let head: Vec<_> = words[..6].iter().map(|word| format!("{word:x}")).collect();
            let tail = u32::from(words[6]) << 16 | u32::from(words[7]);
            format!("{}:{}", head.join(":"), Ipv4Addr::from(tail))
        }
    }
}

proptest! {
    #![proptest_config(cases(5_000))]

    /// Breaks if some notation of an address gets another verdict than the address.
    #[test]
    fn every_notation_of_an_address_has_the_same_verdict(
        address in addresses(),
        parts in 1..=4_usize,
        numbers in prop::collection::vec(Number::any(), 4),
        disguise in Disguise::any(),
    ) {
        let url = disguise.url(&written(address, parts, &numbers));
        let dotted = verdict(&Ipv4Addr::from(address).to_string());
        prop_assert_eq!(GitUrl::parse(&url, &policy()), dotted, "{}", url);
    }

    /// Breaks if a refused IPv4 address is accepted when an IPv6 address contains it.
    #[test]
    fn an_ipv6_address_does_not_bypass_the_verdict_of_its_ipv4_address(
        address in addresses(),
        prefix in select(vec![
            0xffff_0000_0000_u128,
            0,
            0xffff_0000_0000_0000,
            0x64_ff9b << 96,
            0x64_ff9b_0001 << 80,
            0x2002 << 112,
            0x2001 << 112,
        ]),
        style in 0..4_u8,
    ) {
        let plain = verdict(&Ipv4Addr::from(address).to_string());
        let containing = match prefix >> 112 {
            0x2002 => prefix | u128::from(address) << 80,
            // Teredo inverts the bits.
            0x2001 => prefix | u128::from(!address),
            _ => prefix | u128::from(address),
        };
        let found = verdict(&format!("[{}]", written_v6(Ipv6Addr::from(containing), style)));
        prop_assert!(found.is_err() || plain.is_ok(), "{:?} {:?}", found, plain);
        if prefix == 0xffff_0000_0000 {
            // The mapped form is another text for the same host.
            let kind = |verdict: &Result<GitUrl, Refusal>| verdict.as_ref().err().map(std::mem::discriminant);
            prop_assert_eq!(kind(&found), kind(&plain));
        } else {
            prop_assert!(found.is_err(), "{:?}", found);
        }
    }

    /// Breaks if two notations of an IPv6 address get different verdicts.
    #[test]
    fn every_notation_of_an_ipv6_address_has_the_same_verdict(bits: u128, first: u16, style in 0..4_u8) {
        let address = Ipv6Addr::from(bits >> 16 | u128::from(first) << 112);
        let usual = verdict(&format!("[{address}]"));
        prop_assert_eq!(verdict(&format!("[{}]", written_v6(address, style))), usual);
    }
}

/// URLs that combine valid and invalid texts for each part.
fn combined() -> impl Strategy<Value = String> {
    let schemes = vec![
        "https",
        "https",
        "https",
        "https",
        "HTTPS",
        "http",
        "git",
        "ssh",
        "file",
        "ext:",
        "https:https",
        "",
    ];
    let separators = vec![
        "://", "://", "://", "://", "://", "://", "://", "://", ":", ":/", ":///", "::", "//",
        ":\\\\",
    ];
    let users = vec!["", "", "", "", "git@", "u:p@", "@", ":@", "github.com@", "%40@", "u%3ap@"];
    let hosts = vec![
        "github.com",
        "github.com",
        "github.com",
        "github.com",
        "GitHub.com.",
        "gitlab.com",
        "a.star.example",
        "-a.star.example",
        "+a.star.example",
        "*.star.example",
        "a..star.example",
        "ä.star.example",
        "a'b.star.example",
        "forge.corp",
        "forge.corp.",
        "10.9.1.2",
        "0xa090102",
        "[::ffff:10.9.1.2]",
        "127.0.0.1",
        "evil.example",
        "",
    ];
    let ports = vec!["", "", "", ":443", ":8080", ":22", ":", ":99999", ":0443"];
    let piece = prop_oneof![
        select(
            &[
                "/", "/", "/", ".git", "-", ".", "..", "%2e", "%2f", "%0a", "%00", "%25", "%5c",
                "?", "#", "@", ":", "~", "\\", "\n", "\u{1b}", "\u{202e}", "\u{200b}", "ä",
                "%c2%9b", "a", "b",
            ][..]
        )
        .prop_map(str::to_owned),
        "[a-zA-Z0-9._~!*'(),;&|$<>`\"{}^%+=-]{1,4}",
        any::<char>().prop_map(String::from),
    ];
    let path =
        prop::collection::vec(piece, 0..8).prop_map(|pieces| format!("/{}", pieces.concat()));
    let all = (
        select(schemes),
        select(separators),
        select(users),
        select(hosts),
        select(ports),
        prop_oneof![path, "/[a-z]{1,5}/[a-z]{1,5}"],
    );
    all.prop_map(|(scheme, separator, user, host, port, path)| {
        [scheme, separator, user, host, port, &path].concat()
    })
}

proptest! {
    #![proptest_config(cases(10_000))]

    /// Breaks if a URL is accepted that is not allowed, or that parses differently a second time.
    #[test]
    fn accepted_urls_are_allowed_and_stable(text in combined()) {
        if let Ok(url) = GitUrl::parse(&text, &policy()) {
            check_accepted(&text, &url);
        }
    }

    /// Breaks if some text makes the gate panic.
    #[test]
    fn no_text_panics(
        text in prop_oneof![any::<String>(), any::<String>().prop_map(|rest| format!("https://{rest}"))],
    ) {
        if let Ok(url) = GitUrl::parse(&text, &policy()) {
            check_accepted(&text, &url);
        }
    }
}
