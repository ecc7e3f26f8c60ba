//! Licenses as SPDX expressions.
//!
//! Input: the license that a manifest or lock file states. Output: an expression by the SPDX specification 2.3,
//! annex D, in its canonical form, if the text is one. Invariants: nothing is guessed: a text that names no license of
//! the SPDX list stays as it is written.

use spdx::{Expression, LicenseItem, ParseMode};

/// The longest text in bytes that is read as an expression. The longest real ones have a few hundred bytes.
const MOST: usize = 2000;

/// What package managers accepted before they asked for expressions: `MIT/Apache-2.0`, and ids that the list
/// has replaced, such as `GPL-2.0+`. No other names for licenses: "BSD" is one of several.
const MODE: ParseMode = ParseMode {
    allow_slash_as_or_operator: true,
    allow_imprecise_license_names: false,
    allow_postfix_plus_on_gpl: true,
    allow_deprecated: true,
    allow_unknown: false,
};

/// The canonical form of an expression; none if the text is not an expression whose licenses are all in the
/// SPDX list. (`LicenseRef-…` names a text that only the stating document has.)
pub fn expression(text: &str) -> Option<String> {
    let text = text.trim();
    if text.len() > MOST {
        return None;
    }
    let parsed = Expression::parse_mode(text, MODE).ok()?;
    let listed = |license: &LicenseItem| matches!(license, LicenseItem::Spdx { .. });
    let is_listed = parsed.requirements().all(|one| {
        listed(&one.req.license) && one.req.addition.as_ref().is_none_or(|with| with.id().is_some())
    });
    if !is_listed {
        return None;
    }
    Some(Expression::canonicalize(text).ok()?.unwrap_or_else(|| text.to_owned()))
}

/// One expression for a choice between several licenses, as composer.json's array is; none if one of them is
/// not an expression.
pub fn any_of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let all: Option<Vec<String>> = texts.into_iter().map(expression).collect();
    let mut all = all.filter(|all| !all.is_empty())?;
    if all.len() == 1 {
        return all.pop();
    }
    let grouped = |one: String| if one.contains(" AND ") { format!("({one})") } else { one };
    Some(all.into_iter().map(grouped).collect::<Vec<_>>().join(" OR "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_licenses_of_the_list_are_expressions() {
        for (text, expected) in [
            ("MIT", Some("MIT")),
            (" (MIT OR Apache-2.0) ", Some("(MIT OR Apache-2.0)")),
            ("MIT/Apache-2.0", Some("MIT OR Apache-2.0")),
            (
                "MIT or Apache-2.0 with LLVM-exception",
                Some("MIT OR Apache-2.0 WITH LLVM-exception"),
            ),
            ("GPL-2.0+", Some("GPL-2.0-or-later")),
            ("LGPL-2.1", Some("LGPL-2.1-only")),
            ("", None),
            ("BSD", None),
            ("apache2", None),
            ("SEE LICENSE IN LICENSE.txt", None),
            ("UNLICENSED", None),
            ("LicenseRef-Proprietary", None),
            ("MIT AND LicenseRef-Proprietary", None),
            ("MIT OR", None),
            ("(MIT", None),
        ] {
            assert_eq!(expression(text).as_deref(), expected, "{text}");
        }
        assert_eq!(expression(&format!("MIT{}", " OR MIT".repeat(MOST))), None);
    }

    #[test]
    fn a_choice_is_one_expression() {
        assert_eq!(any_of(["MIT", "GPL-2.0-only"]).as_deref(), Some("MIT OR GPL-2.0-only"));
        assert_eq!(any_of(["MIT AND ISC", "0BSD"]).as_deref(), Some("(MIT AND ISC) OR 0BSD"));
        assert_eq!(any_of(["MIT"]).as_deref(), Some("MIT"));
        assert_eq!(any_of(["MIT", "proprietary"]), None);
        assert_eq!(any_of([]), None);
    }
}
