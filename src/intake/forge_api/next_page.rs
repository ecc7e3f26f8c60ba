//! Finds the next page of a forge's list: the `Link` header of RFC 8288, or `X-Next-Page`; a URL in the
//! answer; or a parameter of the URL.
//!
//! Input: the URL of a page, and the end of its answer. Output: the URL of the next page. Invariants: the
//! next page has the same origin as the current one, because requests contain the token.

use crate::model::address::Origin;
use reqwest::header::{HeaderMap, LINK};
use url::Url;

/// The link leads to another origin, which is named here.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::intake) struct OtherOrigin(pub(in crate::intake) String);

/// The next page after `current` by its headers, if there is one.
pub(in crate::intake) fn by_header(
    headers: &HeaderMap,
    current: &Url,
) -> Result<Option<Url>, OtherOrigin> {
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    if let Some(target) = links.flat_map(links_of).find_map(Link::next) {
        return same_origin(target, current).map(Some);
    }
    let number = headers.get("x-next-page").and_then(|value| value.to_str().ok()).map(str::trim);
    let is_number =
        |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    Ok(number.filter(is_number).map(|page| with_parameter(current, "page", page)))
}

/// Whether there is any link.
pub(super) fn has_link(headers: &HeaderMap) -> bool {
    headers.contains_key(LINK)
}

/// The URL that an answer names as its next page, relative to the current page or not.
pub(super) fn same_origin(target: &str, current: &Url) -> Result<Url, OtherOrigin> {
    let url = current.join(target).map_err(|_| OtherOrigin("nowhere".to_owned()))?;
    let is_same = Origin::of(&url).is_some_and(|origin| Some(origin) == Origin::of(current));
    if !is_same || !url.username().is_empty() || url.password().is_some() {
        return Err(OtherOrigin(url.origin().ascii_serialization()));
    }
    Ok(url)
}

/// A number in the query of a URL.
pub(super) fn parameter(url: &Url, name: &str) -> Option<usize> {
    url.query_pairs().find(|pair| pair.0 == name)?.1.parse().ok()
}

/// The URL with a number in its query increased.
pub(super) fn advanced(current: &Url, name: &str, step: usize) -> Option<Url> {
    let number = parameter(current, name)?.checked_add(step)?;
    Some(with_parameter(current, name, &number.to_string()))
}

/// The URL with another value of a parameter.
pub(super) fn with_parameter(current: &Url, name: &str, value: &str) -> Url {
    let mut url = current.clone();
    let others: Vec<(String, String)> =
        current.query_pairs().filter(|pair| pair.0 != name).map(into_owned).collect();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair(name, value);
    url
}

fn into_owned((key, value): (impl Into<String>, impl Into<String>)) -> (String, String) {
    (key.into(), value.into())
}

/// One link of a header.
struct Link<'a> {
    target: &'a str,
    relations: Option<&'a str>,
}

impl<'a> Link<'a> {
    fn next(self) -> Option<&'a str> {
        let mut relations = self.relations?.split_ascii_whitespace();
        relations.any(|relation| relation.eq_ignore_ascii_case("next")).then_some(self.target)
    }
}

/// The links of one header. Parsing ends at the first invalid link.
fn links_of(text: &str) -> impl Iterator<Item = Link<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (target, after) =
            rest.trim_start_matches([' ', '\t', ',']).strip_prefix('<')?.split_once('>')?;
        let mut link = Link { target: target.trim(), relations: None };
        rest = after.trim_start();
        while let Some(parameter) = rest.strip_prefix(';') {
            let parameter = parameter.trim_start();
            let end = parameter.find(['=', ';', ',']).unwrap_or(parameter.len());
            let name = parameter[..end].trim();
            let (value, after) = match parameter[end..].strip_prefix('=') {
                Some(value) => value_of(value.trim_start()),
                None => ("", &parameter[end..]),
            };
            // Only the first `rel` counts (RFC 8288, section 3.3).
            if name.eq_ignore_ascii_case("rel") {
                link.relations = link.relations.or(Some(value));
            }
            rest = after.trim_start();
        }
        Some(link)
    })
}

/// Splits a quoted or unquoted value off the beginning of a text.
fn value_of(text: &str) -> (&str, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        return (text[..end].trim(), &text[end..]);
    };
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            '"' if !escaped => return (&quoted[..at], &quoted[at + 1..]),
            _ => escaped = c == '\\' && !escaped,
        }
    }
    (quoted, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HERE: &str = "https://forge.example/api/v4/groups/a/projects?per_page=2&page=1";

    fn next(headers: &[(&'static str, &str)]) -> Result<Option<String>, OtherOrigin> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        by_header(&map, &Url::parse(HERE).unwrap()).map(|url| url.map(String::from))
    }

    #[test]
    fn the_next_page_is_found_in_each_syntax() {
        let page = "https://forge.example/api/v4/x?page=2";
        for header in [
            format!("<{page}>; rel=\"next\""),
            format!("<https://forge.example/1>; rel=\"first\", <{page}>; rel=\"next\""),
            format!(
                "<https://forge.example/1>; title=\"a, \\\" <b>; rel=next\"; rel=prev,<{page}>;rel=next"
            ),
            format!("<{page}> ; title=x ; REL = \"last Next\""),
            "</api/v4/x?page=2>; rel=next".to_owned(),
            format!("<https://forge.example/1>; rel=last; rel=next, <{page}>; rel=next"),
        ] {
            assert_eq!(next(&[("link", &header)]), Ok(Some(page.to_owned())), "{header}");
        }
        let two = [("link", "<https://forge.example/1>; rel=first"), ("link", "</2>; rel=next")];
        assert_eq!(next(&two), Ok(Some("https://forge.example/2".to_owned())));
    }

    #[test]
    fn without_a_valid_link_there_is_no_next_page() {
        for header in
            ["", "<https://forge.example/1>; rel=first", "rel=next", "</2; rel=next", "</2>"]
        {
            assert_eq!(next(&[("link", header)]), Ok(None), "{header}");
        }
        for header in ["", "2&x=y", "-1"] {
            assert_eq!(next(&[("x-next-page", header)]), Ok(None), "{header}");
        }
    }

    #[test]
    fn a_page_number_is_used_without_a_link() {
        let page = "https://forge.example/api/v4/groups/a/projects?per_page=2&page=7";
        assert_eq!(next(&[("x-next-page", "7")]), Ok(Some(page.to_owned())));
    }

    #[test]
    fn the_page_after_a_broken_one_is_found_by_its_number() {
        let after = |query: &str| {
            let url = Url::parse(&format!("https://h.example/p{query}")).unwrap();
            advanced(&url, "page", 1).map(String::from)
        };
        let next = "https://h.example/p?per_page=100&sort=asc&page=5";
        assert_eq!(after("?per_page=100&page=4&sort=asc").as_deref(), Some(next));
        let largest = format!("?page={}", usize::MAX);
        for query in ["", "?per_page=100", "?page=x", &largest, "?cursor=page"] {
            assert_eq!(after(query), None, "{query}");
        }
    }

    #[test]
    fn a_link_to_another_origin_is_refused() {
        for (target, origin) in [
            ("https://evil.example/x", "https://evil.example"),
            ("http://forge.example/x", "http://forge.example"),
            ("https://forge.example:8443/x", "https://forge.example:8443"),
            ("//evil.example/x", "https://evil.example"),
            ("https://u:p@forge.example/x", "https://forge.example"),
            ("file:///etc/passwd", "null"),
            ("https://[", "nowhere"),
        ] {
            let header = format!("<{target}>; rel=next");
            assert_eq!(next(&[("link", &header)]), Err(OtherOrigin(origin.to_owned())), "{target}");
        }
    }

    proptest! {
        #[test]
        fn no_header_breaks_the_parser(text in "[<>;,=\" \\\\a-z/ä]{0,60}") {
            prop_assert!(links_of(&text).count() <= text.len());
        }
    }
}
