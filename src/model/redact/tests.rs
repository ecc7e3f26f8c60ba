//! Tests of every form of a secret, as tools write them, and of text that must stay unchanged.

use super::*;
use crate::fuzzing::{cases, time_of};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode, utf8_percent_encode};
use proptest::{prelude::*, sample::Index};
use std::fmt::Write;

type Form = (&'static str, fn(&str) -> String);

/// The forms, produced by independent tools where possible.
const FORMS: [Form; 37] = [
    ("as it is", str::to_owned),
    ("upper case", str::to_ascii_uppercase),
    ("lower case", str::to_ascii_lowercase),
    ("percent, upper case", |secret| utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string()),
    ("percent, lower case", |secret| lower_escapes(&percent(secret))),
    ("percent, each character", |secret| each_byte(secret, |byte| format!("%{byte:02X}"))),
    ("percent, a path", |secret| {
        url::Url::parse("https://h/")
            .unwrap()
            .join(&format!("./{}", percent(secret)))
            .unwrap()
            .path()[1..]
            .to_owned()
    }),
    ("form", |secret| url::form_urlencoded::byte_serialize(secret.as_bytes()).collect()),
    ("percent, twice", |secret| percent(&percent(secret))),
    ("percent, three times", |secret| percent(&percent(&percent(secret)))),
    ("base64", |secret| STANDARD.encode(secret)),
    ("base64, unpadded", |secret| STANDARD_NO_PAD.encode(secret)),
    ("base64, second place", |secret| STANDARD.encode(format!("x{secret}"))),
    ("base64, third place", |secret| STANDARD.encode(format!("xy{secret}z"))),
    ("base64 of a pair", |secret| STANDARD.encode(format!("oauth2:{secret}"))),
    ("base64url", |secret| URL_SAFE.encode(secret)),
    ("base64url, second place", |secret| URL_SAFE_NO_PAD.encode(format!("x{secret}yz"))),
    ("base64url, third place", |secret| URL_SAFE_NO_PAD.encode(format!("xy{secret}"))),
    ("base64, percent", |secret| percent(&STANDARD.encode(secret))),
    ("base64, wrapped", |secret| wrapped(&STANDARD.encode(secret), "\n", 7)),
    ("hexadecimal", |secret| each_byte(secret, |byte| format!("{byte:02x}"))),
    ("hexadecimal, upper case", |secret| each_byte(secret, |byte| format!("{byte:02X}"))),
    ("JSON", json),
    ("JSON, all escaped", |secret| utf16(secret, |unit| format!("\\u{unit:04X}"))),
    ("JSON within JSON, with \\/", |secret| json(&json(secret).replace('/', "\\/"))),
    ("XML", xml),
    ("XML, all escaped", |secret| {
        secret.chars().fold(String::new(), |text, c| format!("{text}&#x{:x};", u32::from(c)))
    }),
    ("HTML, twice", |secret| xml(&xml(secret))),
    ("git and C", git_quoted),
    ("percent of XML", |secret| percent(&xml(secret))),
    ("percent of XML, all escaped", |secret| {
        percent(&secret.chars().fold(String::new(), |text, c| format!("{text}&#{};", u32::from(c))))
    }),
    ("percent of JSON, twice", |secret| percent(&percent(&json(secret)))),
    ("percent of C", |secret| percent(&git_quoted(secret))),
    ("percent of shell", |secret| percent(&secret.replace('\'', r"'\''"))),
    ("XML of JSON", |secret| xml(&json(secret))),
    ("a package's name", package_name),
    ("shell", |secret| format!("'{}'", secret.replace('\'', r"'\''"))),
];

fn percent(text: &str) -> String {
    percent_encode(text.as_bytes(), NON_ALPHANUMERIC).to_string()
}

/// Lower-case digits of percent-encoding, as many tools write them.
fn lower_escapes(text: &str) -> String {
    let mut left = 0;
    let lower = |c: char| {
        left = if c == '%' { 3 } else { left - i32::from(left > 0) };
        if left > 0 { c.to_ascii_lowercase() } else { c }
    };
    text.chars().map(lower).collect()
}

fn each_byte(text: &str, write: impl Fn(u8) -> String) -> String {
    text.bytes().map(write).collect()
}

fn utf16(text: &str, write: impl Fn(u16) -> String) -> String {
    text.encode_utf16().map(write).collect()
}

fn wrapped(text: &str, end: &str, width: usize) -> String {
    let lines: Vec<&[u8]> = text.as_bytes().chunks(width).collect();
    let lines: Vec<_> = lines.into_iter().map(String::from_utf8_lossy).collect();
    lines.join(end)
}

fn json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn xml(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&#39;"),
            '/' => shown.push_str("&#x2F;"),
            other => shown.push(other),
        }
    }
    shown
}

/// Quotes a path as git does (core.quotePath).
fn git_quoted(text: &str) -> String {
    let mut shown = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => shown.extend(['\\', char::from(byte)]),
            b'\n' => shown.push_str("\\n"),
            b'\t' => shown.push_str("\\t"),
            b'\r' => shown.push_str("\\r"),
            0x20..0x7f => shown.push(char::from(byte)),
            other => write!(shown, "\\{other:03o}").unwrap(),
        }
    }
    shown + "\""
}

/// Normalizes as PEP 503 does; what it removes at the ends reveals nothing.
fn package_name(text: &str) -> String {
    let mut name = String::new();
    for c in text.to_ascii_lowercase().chars() {
        match c {
            '-' | '_' | '.' if name.ends_with('-') => {}
            '-' | '_' | '.' => name.push('-'),
            other => name.push(other),
        }
    }
    name.trim_matches('-').to_owned()
}

/// Secrets that exercise every escape.
const SECRETS: [&str; 7] = [
    "__an._odd-_-one..",
    "canary-s3cr3t-0451",
    "glpat-Zx9_8Yw-7Vu.6Ts~5",
    "p/a+s=s w&o<r>d;\"q\"'s'\\e%25",
    "schlüssel-für-größe-€-🗝",
    "++++////====",
    "***a***b***",
];

#[track_caller]
fn is_gone(redactor: &Redactor, name: &str, form: &str, text: &str) {
    // Package names of some secrets are too short to be masked.
    if form.len() < SHORTEST {
        return;
    }
    let shown = redactor.redact(text);
    assert!(shown.contains(MASK), "{name}: {text:?} is shown as {shown:?}");
    assert!(!shown.contains(form), "{name}: {text:?} is shown as {shown:?}");
    assert!(redactor.look(&shown).secrets.is_empty(), "{name}: in {shown:?} something is left");
}

/// Breaks if a tool can encode a secret in a form that is not masked.
#[test]
fn a_secret_is_masked_in_each_form() {
    for secret in SECRETS {
        let redactor = Redactor::new([secret]);
        for (name, write) in FORMS {
            let form = write(secret);
            for (before, after) in [("fatal: '", "' failed"), ("", ""), ("%", "%"), ("\\", "&")] {
                is_gone(&redactor, name, &form, &format!("{before}{form}{after}"));
            }
        }
    }
}

/// Breaks if the header of Basic authentication is shown, which contains the user name and the ends
/// of the secret.
#[test]
fn the_header_of_a_login_is_masked_completely() {
    let login = Credentials {
        username: "oauth2".into(),
        password: "canary-s3cr3t".into(),
        on_request: false,
    };
    let redactor = Redactor::of_logins(Some(&login));
    let header = STANDARD.encode("oauth2:canary-s3cr3t");
    let text = format!("> Authorization: Basic {header}\n{}", percent(&header));
    let shown = redactor.redact(&text);
    // Padding reveals nothing.
    let expected = "> Authorization: Basic ***\n***";
    assert_eq!(shown.replace("%3D", "").replace('=', ""), expected);
    assert!(!shown.contains(&header[..6]), "{shown}");
}

/// Breaks if a secret that spans two lines is not masked once the lines are joined.
#[test]
fn a_secret_that_spans_joined_lines_is_masked() {
    let redactor = Redactor::new(["canary-s3cr3t-0451"]);
    for end in ["\n", "\r\n", "\r\n ", "\\n", "\\r\\n", "; ", "; remote: ", "\nremote:   ", " "] {
        for at in 1..17 {
            let (head, tail) = "canary-s3cr3t-0451".split_at(at);
            let shown = redactor.redact(&format!("git said: {head}{end}{tail}!")).into_owned();
            assert_eq!(shown, "git said: ***!", "{end:?} at {at}");
        }
        let form = wrapped(&STANDARD.encode("u:canary-s3cr3t-0451"), end, 5);
        assert!(redactor.look(&redactor.redact(&form)).secrets.is_empty());
        assert!(redactor.redact(&form).contains(MASK), "{form:?}");
    }
}

/// Breaks if half of a secret is shown because the text was truncated before.
#[test]
fn the_start_of_a_truncated_secret_is_masked() {
    let redactor = Redactor::new(["canary-s3cr3t-0451"]);
    for at in SHORTEST..18 {
        let text = format!("`{}…` is odd", &"canary-s3cr3t-0451"[..at]);
        assert_eq!(redactor.redact(&text), "`***…` is odd");
    }
    assert_eq!(redactor.redact("`can…` is odd"), "`can…` is odd");
    // Truncated within a character.
    assert_eq!(redactor.redact("canary\u{fffd}"), "***\u{fffd}");
    // Truncated within an escape: at most the start of a fifth character is left.
    let secret = "p/a+s=s é\"'&\\%";
    let redactor = Redactor::new([secret]);
    for (name, write) in FORMS.iter().filter(|(name, _)| !name.contains(" p")) {
        let form = write(secret);
        let mut is_masked = false;
        for (at, _) in form.char_indices().skip(1) {
            let shown = redactor.redact(&format!("{}…", &form[..at])).into_owned();
            is_masked |= shown.ends_with("***…");
            assert_eq!(
                is_masked,
                shown.contains(MASK),
                "{name}: {:?} is shown as {shown:?}",
                &form[..at]
            );
            assert!(is_masked || at < 80, "{name}: {shown:?}");
        }
    }
    let redactor = Redactor::new(["canary-s3cr3t-0451"]);
    let form = &STANDARD.encode("canary-s3cr3t-0451")[..10];
    assert_eq!(redactor.redact(&format!("{form}…")), "***…");
}

/// Breaks if overlapping secrets leave their ends unmasked.
#[test]
fn overlapping_secrets_are_masked_together() {
    let redactor = Redactor::new(["abcdef", "defghi", "cdef"]);
    assert_eq!(redactor.redact("xabcdefghix"), "x***x");
    assert_eq!(redactor.redact("abcdefabcdef"), "***");
    // A mask and its neighbours must not form a secret again.
    let starred = Redactor::new(["a***b"]);
    assert_eq!(starred.redact("aa***bb"), "***");
}

/// Breaks if harmless text is changed.
#[test]
fn other_text_is_unchanged() {
    let redactor = Redactor::new(["hunter22", "abc"]);
    for text in ["abc of hunting", "hunter2", "", "100 % of \\ and & and … é", "hunt\\u0065r"] {
        assert!(matches!(redactor.redact(text), Cow::Borrowed(shown) if shown == text));
        assert!(matches!(Redactor::default().redact(text), Cow::Borrowed(shown) if shown == text));
    }
}

/// Breaks if a text is cut within a secret, or is never cut at all.
#[test]
fn possible_secrets_at_the_end_are_reported() {
    let secret = "p/a+s=s é\"";
    let redactor = Redactor::new([secret]);
    for (name, write) in FORMS {
        let form = write(secret);
        // A start that is too short to be recognized is settled by the character before.
        for (at, _) in form.char_indices().skip(1) {
            let text = format!("line one\n--{}", &form[..at]);
            let settled = redactor.settled(&text, 0);
            let masked = redactor.redact(&text[..settled]);
            let rest = format!("{}{}", &text[settled..], &form[at..]);
            let shown = format!("{masked}{}", redactor.redact(&rest));
            assert!(!shown.contains(&form), "{name}, cut at {at}: {shown:?}");
            assert!(settled >= "line one\n".len(), "{name}, cut at {at}: {settled}");
        }
    }
    assert_eq!(redactor.settled("nothing of it", 0), "nothing of it".len());
    assert_eq!(redactor.settled("p/a+ ends in p/a+", 4), "p/a+ ends in ".len());
    assert_eq!(redactor.settled("ends in p/a", 4), "ends in p/a".len());
}

/// Breaks if somebody who can choose a text can make the redactor slow.
#[test]
fn work_is_linear_in_the_text() {
    let redactor =
        Redactor::new(["aaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "%25%25%25%25%25", "\\\\\\\\\\\\"]);
    for piece in ["a", "%25", "\\", "&amp;", "\\u0061", "a\n", "'\"", "%", "YWFh", "61", " ", "…"]
    {
        let time = |count: usize| {
            let text = piece.repeat(count / piece.len());
            time_of(|| (redactor.redact(&text).len(), redactor.settled(&text, 0)))
        };
        let (short, long) = (time(250), time(1_000));
        assert!(
            long < short * 10 + std::time::Duration::from_millis(100),
            "{piece:?}: {short:?}, {long:?}"
        );
    }
}

fn secrets() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9_-]{4,40}",
        "[ -~]{4,24}",
        "[ab*%\\\\&;'\"/+=. ]{4,12}",
        "[a-zäß€🗝]{4,12}",
    ]
    // A text with blanks at its ends is not a token.
    .prop_map(|text| text.trim().to_owned())
    .prop_filter("long enough", |text| text.len() >= SHORTEST)
}

proptest! {
    #![proptest_config(cases(1_500))]

    /// Breaks if some secret has a form that is not masked within some text.
    #[test]
    fn no_form_of_any_secret_is_left(
        secret in secrets(),
        form in any::<Index>(),
        before in "\\PC{0,20}",
        after in "\\PC{0,20}",
    ) {
        let redactor = Redactor::new([secret.as_str()]);
        let (name, write) = form.get(&FORMS);
        let form = write(&secret);
        is_gone(&redactor, name, &form, &format!("{before}{form}{after}"));
    }

    /// Breaks if text without a secret is changed, or some text causes a panic.
    #[test]
    fn text_without_a_secret_is_not_changed(secret in "[A-M]{4,20}", text in "[n-z0-9\\PC]{0,80}") {
        let redactor = Redactor::new([secret.as_str()]);
        let upper = secret.to_uppercase();
        let shown = redactor.redact(&text);
        let innocent = !text.to_uppercase().contains(|c: char| upper.contains(c))
            && !text.contains(|c: char| c.is_ascii_digit() || "%\\&".contains(c));
        if innocent {
            prop_assert!(matches!(shown, Cow::Borrowed(_)), "{:?}", shown);
        }
        prop_assert!(redactor.look(&shown).secrets.is_empty());
        prop_assert!(redactor.settled(&text, 0) <= text.len());
    }

    /// Breaks if a secret in two pieces, as a pipe delivers them, is not masked.
    #[test]
    fn no_secret_in_two_pieces_is_left(
        secret in secrets(),
        form in any::<Index>(),
        cut in any::<Index>(),
        before in "\\PC{0,20}",
        after in "\\PC{0,20}",
    ) {
        let redactor = Redactor::new([secret.as_str()]);
        let (name, write) = form.get(&FORMS);
        let form = write(&secret);
        let text = format!("{before}{form}{after}");
        let places: Vec<usize> = text.char_indices().map(|(offset, _)| offset).collect();
        let cut = *cut.get(&places);
        let settled = redactor.settled(&text[..cut], 0);
        let first = redactor.redact(&text[..settled]).into_owned();
        let second = redactor.redact(&text[settled..]).into_owned();
        let gone = form.len() < SHORTEST || !format!("{first}{second}").contains(&form);
        prop_assert!(gone, "{}: {:?} {:?}", name, first, second);
    }
}
