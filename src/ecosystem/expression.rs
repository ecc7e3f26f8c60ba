//! Expands `${…}` expressions, by Maven's "Model Interpolation". Expressions of build scripts are
//! converted to the same form; there, `${name?:default}` is the default if the name is unknown.
//!
//! Input: a text, and a lookup of names. Output: the text with every expression replaced, or the first
//! expression that is unknown. Invariants: values may contain expressions; however they refer to each
//! other, the work is bounded.

/// Expressions that one text may expand, and the length of the result in bytes.
const MAX_STEPS: u32 = 32;
const MAX_LENGTH: usize = 300;

/// A longer text or value is not expanded: the result would exceed [`MAX_LENGTH`], and a file may
/// name the value any number of times.
const MAX_TEXT: usize = 4 * MAX_LENGTH;

/// Expands the expressions of a text. The error is the first unknown expression, as written.
pub(crate) fn expand<'a>(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<&'a str>,
) -> Result<String, String> {
    expand_between(["${", "}"], text, lookup)
}

/// As [`expand`], for expressions between other delimiters.
pub(crate) fn expand_between<'a>(
    marks: [&str; 2],
    text: &str,
    lookup: &dyn Fn(&str) -> Option<&'a str>,
) -> Result<String, String> {
    let mut out = String::new();
    let mut steps = MAX_STEPS;
    match append(marks, text, lookup, &mut steps, &mut out) {
        Ok(()) => Ok(out.trim().to_owned()),
        Err(Unknown(name)) => Err([marks[0], &name, marks[1]].concat()),
    }
}

/// The name of an expression that could not be expanded.
struct Unknown(String);

/// Appends the expansion of a text. The recursion is bounded, because each level takes at least one step.
fn append<'a>(
    marks: [&str; 2],
    text: &str,
    lookup: &dyn Fn(&str) -> Option<&'a str>,
    steps: &mut u32,
    out: &mut String,
) -> Result<(), Unknown> {
    let too_long = || Unknown(text.chars().take(MAX_LENGTH).collect());
    let push = |out: &mut String, piece: &str| {
        // Checked before copying, because copying takes time too.
        (out.len() + piece.len() <= MAX_LENGTH).then(|| out.push_str(piece))
    };
    if text.len() > MAX_TEXT {
        return Err(too_long());
    }
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(marks[0]) {
        push(out, before).ok_or_else(too_long)?;
        let Some((name, tail)) = behind.split_once(marks[1]) else {
            return Err(Unknown(behind.to_owned()));
        };
        let unknown = || Unknown(name.to_owned());
        *steps = steps.checked_sub(1).ok_or_else(unknown)?;
        let (plain, default) = match name.split_once("?:") {
            Some((plain, default)) => (plain, Some(default)),
            None => (name, None),
        };
        match lookup(plain.trim()) {
            Some(value) => append(marks, value, lookup, steps, out).map_err(|_| unknown())?,
            None => push(out, default.ok_or_else(unknown)?).ok_or_else(too_long)?,
        }
        rest = tail;
    }
    push(out, rest).ok_or_else(too_long)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let lookup = |name: &str| match name {
            "a" => Some("1"),
            "b" => Some("${a}.2"),
            "loop" => Some("x${loop}"),
            "many" => Some("${most}${most}${most}${most}"),
            "most" => Some("${more}${more}${more}${more}"),
            "more" => Some("${a}${a}${a}${a}"),
            "partly" => Some("${missing}"),
            _ => None,
        };
        let shown = expand(text, &lookup);
        assert_eq!(shown.as_deref().map_err(String::as_str), expected, "{text}");
    }

    #[test]
    fn names_are_expanded() {
        check("plain", Ok("plain"));
        check("${b}-${ a }", Ok("1.2-1"));
        check("$a {b} $", Ok("$a {b} $"));
        check("${a?:7}-${missing?:8}", Ok("1-8"));
    }

    #[test]
    fn other_delimiters_are_accepted() {
        let lookup = |name: &str| (name == "a").then_some("1");
        assert_eq!(expand_between(["$(", ")"], "$(a).${a}", &lookup), Ok("1.${a}".to_owned()));
        assert_eq!(expand_between(["$(", ")"], "$(b)", &lookup), Err("$(b)".to_owned()));
    }

    #[test]
    fn unknown_and_endless_expressions_are_errors() {
        check("1.${missing}", Err("${missing}"));
        check("${partly}", Err("${partly}"));
        check("${loop}", Err("${loop}"));
        check("${many}", Err("${many}"));
        check("${open", Err("${open}"));
    }

    /// Fails if a long value is copied or scanned each time that it is named.
    #[test]
    fn long_texts_are_not_expanded() {
        let value = "${a}".repeat(1_000);
        let lookups = std::cell::Cell::new(0);
        let lookup = |name: &str| {
            lookups.set(lookups.get() + 1);
            (name == "long").then_some(value.as_str())
        };
        assert_eq!(expand("${long}${long}", &lookup), Err("${long}".to_owned()));
        assert_eq!(lookups.get(), 1);
        let text = format!("{}${{a}}", "x".repeat(301));
        let shown = format!("${{{}}}", "x".repeat(300));
        assert_eq!(expand(&text, &lookup), Err(shown));
        assert_eq!(lookups.get(), 1);
    }
}
