//! Where a forge says that its list goes on: the `Link` header of RFC 8288, or `X-Next-Page`.
//!
//! What must stay true: the next page is of the origin that was asked, or there is none: the
//! token goes with the question.

use crate::model::address::Origin;
use reqwest::header::{HeaderMap, LINK};
use url::Url;

/// A link that leads to another origin, which is named.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Foreign(pub(super) String);

/// The next page after `current`, if there is one.
pub(super) fn next_page(headers: &HeaderMap, current: &Url) -> Result<Option<Url>, Foreign> {
    let links = headers.get_all(LINK).iter().filter_map(|it| it.to_str().ok());
    if let Some(target) = links.flat_map(links_of).find_map(Link::next) {
        let url = current.join(target).map_err(|_| Foreign("nowhere".to_owned()))?;
        let own = Origin::of(&url).is_some_and(|it| Some(it) == Origin::of(current));
        if !own || !url.username().is_empty() || url.password().is_some() {
            return Err(Foreign(url.origin().ascii_serialization()));
        }
        return Ok(Some(url));
    }
    let number = headers.get("x-next-page").and_then(|it| it.to_str().ok()).map(str::trim);
    Ok(number.filter(|it| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit())).map(|page| {
        let mut url = current.clone();
        let others: Vec<(String, String)> =
            current.query_pairs().filter(|it| it.0 != "page").map(into_owned).collect();
        url.query_pairs_mut().clear().extend_pairs(others).append_pair("page", page);
        url
    }))
}

fn into_owned((key, value): (impl Into<String>, impl Into<String>)) -> (String, String) {
    (key.into(), value.into())
}

/// One link of a header, as it is written.
struct Link<'a> {
    target: &'a str,
    relations: Option<&'a str>,
}

impl<'a> Link<'a> {
    fn next(self) -> Option<&'a str> {
        let mut relations = self.relations?.split_ascii_whitespace();
        relations.any(|it| it.eq_ignore_ascii_case("next")).then_some(self.target)
    }
}

/// The links of one header. Reading ends where the text makes no sense.
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
            // The first one counts (RFC 8288, section 3.3).
            if name.eq_ignore_ascii_case("rel") {
                link.relations = link.relations.or(Some(value));
            }
            rest = after.trim_start();
        }
        Some(link)
    })
}

/// The value at the beginning of a text, quoted or not, and what comes after it.
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

    fn next(headers: &[(&'static str, &str)]) -> Result<Option<String>, Foreign> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        next_page(&map, &Url::parse(HERE).unwrap()).map(|it| it.map(String::from))
    }

    #[test]
    fn the_next_page_is_found_in_each_spelling() {
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
    fn there_is_no_next_page_where_none_is_named() {
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
    fn a_number_alone_takes_the_place_of_a_link() {
        let page = "https://forge.example/api/v4/groups/a/projects?per_page=2&page=7";
        assert_eq!(next(&[("x-next-page", "7")]), Ok(Some(page.to_owned())));
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
            assert_eq!(next(&[("link", &header)]), Err(Foreign(origin.to_owned())), "{target}");
        }
    }

    proptest! {
        #[test]
        fn no_header_breaks_the_reader(text in "[<>;,=\" \\\\a-z/ä]{0,60}") {
            prop_assert!(links_of(&text).count() <= text.len());
        }
    }
}
