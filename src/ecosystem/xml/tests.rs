//! Well-formed and broken XML.

use super::{Element, decode, parse, reader::MAX_ERRORS};
use crate::ecosystem::budget::Budget;

/// The tree as `name=text(children)`, then the lines of the errors.
fn show(text: &str) -> String {
    fn write(element: Element<'_, '_>, out: &mut String) {
        out.push_str(element.name());
        if !element.text().is_empty() {
            out.extend(["=", element.text()]);
        }
        let children: Vec<_> = element.children().collect();
        if !children.is_empty() {
            out.push('(');
            for child in children {
                write(child, out);
                out.push(' ');
            }
            out.push(')');
        }
    }
    let tree = parse(text, Budget::alone(1 << 24));
    let mut out = String::new();
    if let Some(root) = tree.root() {
        write(root, &mut out);
    }
    let lines: Vec<_> = tree.errors.iter().map(|(line, _)| line.to_string()).collect();
    format!("{out} [{}]", lines.join(" "))
}

#[test]
fn well_formed_text_is_read() {
    for (text, expected) in [
        (
            "<?xml version='1.0'?>\n<a x='>' y=\"'/\"><m:b>1</m:b><c/><!-- <d> --> </a>",
            "a(b=1 c ) []",
        ),
        ("<a>&lt;&#65;&#x42;&unknown;<![CDATA[<&]]></a>", "a=<AB&unknown;<& []"),
        ("<a >1<b/>2</a >", "a=12(b ) []"),
        ("", " []"),
    ] {
        assert_eq!(show(text), expected, "{text}");
    }
}

#[test]
fn malformed_markup_loses_only_itself() {
    for (text, expected) in [
        ("<a>\n<<<<<<< HEAD\n<b/>\n=======\n<c/><d/></a>", "a========(b c d ) [2]"),
        ("<a><b>1</c></b>\n<d>2</a>", "a(b=1 d=2 ) [1 2]"),
        ("<a><b><c>1</b><d>2</d></a>", "a(b(c=1 ) d=2 ) [1]"),
        ("<a><b>1 < 2</b><c d='<e>1</e></a>", "a(b=1  2 c(e=1 ) ) [1]"),
        ("<a><b>1", "a(b=1 ) [1]"),
        ("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", "a=&x; [1]"),
        ("<a><!-- b", "a [1]"),
    ] {
        assert_eq!(show(text), expected, "{text}");
    }
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let n = 100_000;
    for text in [
        "<a>".repeat(n),
        "</a>".repeat(n),
        format!("{}{}", "<a>".repeat(n), "</b>".repeat(n)),
        format!("{}{}", "<a>".repeat(n), "</a>".repeat(n)),
        "<a><![CDATA[".repeat(n),
        "<a b='".repeat(n),
        "<".repeat(n),
        "<!".repeat(n),
        "&".repeat(n),
        "<a/>".repeat(n),
    ] {
        let tree = parse(&text, Budget::alone(1 << 24));
        assert!(tree.errors.len() <= MAX_ERRORS);
        assert!(tree.root().is_none_or(|root| root.children().count() <= n));
    }
}

#[test]
fn declared_encodings_are_read() {
    let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe4</a>";
    assert!(decode(latin).ends_with("<a>ä</a>"));
    let wide: Vec<u8> = "<a>ä</a>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(decode(&wide), "<a>ä</a>");
    let wide: Vec<u8> = "<a>ä</a>".encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(decode(&wide), "<a>ä</a>");
    assert_eq!(decode("<a>ä</a>".as_bytes()), "<a>ä</a>");
}

#[test]
fn attributes_are_parsed_on_demand() {
    let tree = parse("<a B='1' c = \" &lt;2\nd='3'\" e f='/'/>", Budget::alone(1 << 24));
    let root = tree.root().unwrap();
    let shown = ["b", "c", "d", "e f", "g"].map(|name| root.attribute(name).unwrap_or_default());
    assert_eq!(shown, ["1", "<2\nd='3'", "", "/", ""]);
    assert_eq!(parse("<a b", Budget::alone(1 << 24)).root().unwrap().attribute("b"), None);
}
