//! Versions of Linux distributions.
//!
//! Input: two versions. Output: their order. Invariants: no allocation. Sources: Debian Policy Manual 5.6.12
//! ("Version"), deb-version(7); rpm-version(7). opam orders as Debian does (opam manual, "Version ordering").

use super::numbers;
use std::cmp::Ordering;

/// `[epoch:]version[-revision]`, as dpkg compares them.
pub(super) fn debian(a: &str, b: &str) -> Ordering {
    by_parts(a, b, debian_part)
}

/// `[epoch:]version[-release]`, as rpm compares them.
pub(super) fn rpm(a: &str, b: &str) -> Ordering {
    by_parts(a, b, rpm_part)
}

fn by_parts(a: &str, b: &str, part: fn(&str, &str) -> Ordering) -> Ordering {
    let parts = |version: &str| -> (usize, usize) {
        let epoch = version.find(':').unwrap_or(0);
        (epoch, version.rfind('-').filter(|at| *at >= epoch).unwrap_or(version.len()))
    };
    let ((a_epoch, a_end), (b_epoch, b_end)) = (parts(a), parts(b));
    let name = |text: &str, from: usize| usize::from(text[from..].starts_with(':')) + from;
    numbers(&a[..a_epoch], &b[..b_epoch])
        .then_with(|| part(&a[name(a, a_epoch)..a_end], &b[name(b, b_epoch)..b_end]))
        .then_with(|| part(a[a_end..].trim_start_matches('-'), b[b_end..].trim_start_matches('-')))
}

/// Runs of anything but digits and runs of digits in turn. A tilde comes before the end, letters before the rest.
fn debian_part(mut a: &str, mut b: &str) -> Ordering {
    let order = |byte: Option<u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(byte),
        Some(byte) => i32::from(byte) + 256,
    };
    let split = |text: &str, is_digit: bool| {
        text.find(|c: char| c.is_ascii_digit() != is_digit).unwrap_or(text.len())
    };
    while !a.is_empty() || !b.is_empty() {
        let (x, y) = (split(a, false), split(b, false));
        for at in 0..x.max(y) {
            let of = |text: &str, end: usize| order(text.as_bytes()[..end].get(at).copied());
            let words = of(a, x).cmp(&of(b, y));
            if words.is_ne() {
                return words;
            }
        }
        (a, b) = (&a[x..], &b[y..]);
        let (x, y) = (split(a, true), split(b, true));
        let order = numbers(&a[..x], &b[..y]);
        if order.is_ne() {
            return order;
        }
        (a, b) = (&a[x..], &b[y..]);
    }
    Ordering::Equal
}

/// Runs of digits and runs of letters; everything else separates. A tilde comes before the end, a caret after it
/// and before everything else; a number is newer than letters.
fn rpm_part(mut a: &str, mut b: &str) -> Ordering {
    let is_separator = |c: char| !c.is_ascii_alphanumeric() && c != '~' && c != '^';
    loop {
        (a, b) = (a.trim_start_matches(is_separator), b.trim_start_matches(is_separator));
        for (sign, before) in [('~', Ordering::Less), ('^', Ordering::Greater)] {
            match (a.strip_prefix(sign), b.strip_prefix(sign)) {
                (Some(x), Some(y)) => (a, b) = (x, y),
                (Some(_), None) if sign == '~' || b.is_empty() => return before,
                (None, Some(_)) if sign == '~' || a.is_empty() => return before.reverse(),
                (Some(_), None) => return Ordering::Less,
                (None, Some(_)) => return Ordering::Greater,
                (None, None) => {}
            }
        }
        if a.is_empty() || b.is_empty() {
            return b.is_empty().cmp(&a.is_empty());
        }
        let is_digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let (x_is_digit, y_is_digit) = (is_digit(a), is_digit(b));
        let end = |text: &str, digits: bool| {
            let ends = |c: char| !c.is_ascii_alphanumeric() || c.is_ascii_digit() != digits;
            text.find(ends).unwrap_or(text.len())
        };
        let (x, y) = (end(a, x_is_digit), end(b, y_is_digit));
        let order = match (x_is_digit, y_is_digit) {
            (true, true) => numbers(&a[..x], &b[..y]),
            (false, false) => a[..x].cmp(&b[..y]),
            (x, y) => x.cmp(&y),
        };
        if order.is_ne() {
            return order;
        }
        (a, b) = (&a[x..], &b[y..]);
    }
}
