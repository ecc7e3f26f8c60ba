//! `${…}`: expressions in a text, by Maven's "Model Interpolation"; those of build scripts are
//! brought into the same form.
//!
//! What flows in: a text, and something that knows what names stand for. What flows out: the text
//! with every expression replaced; none where one of them is unknown. What must stay true: what
//! expressions stand for may hold expressions; however they refer to each other, the work is
//! bounded.

/// How many expressions one text may come to need, and how long it may become, in bytes.
const MAX_STEPS: u32 = 32;
const MAX_LENGTH: usize = 300;

/// A text or a value that is longer, in bytes, is not looked at: it is named as often as somebody
/// likes, and what it comes to would be too long in the end.
const MAX_TEXT: usize = 4 * MAX_LENGTH;

/// Replaces the expressions of a text. The error is the first expression that is unknown, as it
/// stands in the text.
pub(crate) fn expand<'a>(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<&'a str>,
) -> Result<String, String> {
    expand_between(["${", "}"], text, lookup)
}

/// As [`expand`], for expressions that are written between other marks.
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

/// The name of an expression that could not be replaced.
struct Unknown(String);

/// Recursion ends with the steps, each of which is one level at most.
fn append<'a>(
    marks: [&str; 2],
    text: &str,
    lookup: &dyn Fn(&str) -> Option<&'a str>,
    steps: &mut u32,
    out: &mut String,
) -> Result<(), Unknown> {
    let too_long = || Unknown(text.chars().take(MAX_LENGTH).collect());
    let push = |out: &mut String, piece: &str| {
        // Asked before it is copied, which takes time too.
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
        let value = lookup(name.trim()).ok_or_else(unknown)?;
        append(marks, value, lookup, steps, out).map_err(|_| unknown())?;
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
    fn names_are_replaced() {
        check("plain", Ok("plain"));
        check("${b}-${ a }", Ok("1.2-1"));
        check("$a {b} $", Ok("$a {b} $"));
    }

    #[test]
    fn other_marks_are_taken() {
        let lookup = |name: &str| (name == "a").then_some("1");
        assert_eq!(expand_between(["$(", ")"], "$(a).${a}", &lookup), Ok("1.${a}".to_owned()));
        assert_eq!(expand_between(["$(", ")"], "$(b)", &lookup), Err("$(b)".to_owned()));
    }

    #[test]
    fn what_is_unknown_or_endless_is_named() {
        check("1.${missing}", Err("${missing}"));
        check("${partly}", Err("${partly}"));
        check("${loop}", Err("${loop}"));
        check("${many}", Err("${many}"));
        check("${open", Err("${open}"));
    }

    /// Breaks if a long value is copied, or looked through, as often as it is named.
    #[test]
    fn what_is_too_long_is_not_looked_at() {
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
