//! The encodings in which a secret can leak, written without the code under test.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::fmt::Write as _;

/// A secret in all its forms.
#[derive(Debug)]
pub(crate) struct Forms(Vec<(&'static str, String)>);

impl Forms {
    /// Of a secret of ASCII characters.
    pub(crate) fn of(secret: &str) -> Self {
        assert!(secret.is_ascii() && secret.len() > 8, "{secret:?}");
        let percent = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let json = |text: &str| {
            let quoted = serde_json::Value::from(text).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        };
        let each = |write: fn(u8) -> String| secret.bytes().map(write).collect::<String>();
        let mut forms = vec![
            ("as it is", secret.to_owned()),
            ("percent", percent(secret)),
            ("percent, lower case", percent(secret).to_lowercase()),
            ("percent, twice", percent(&percent(secret))),
            ("form", url::form_urlencoded::byte_serialize(secret.as_bytes()).collect()),
            ("JSON", json(secret)),
            ("JSON within JSON", json(&json(secret))),
            ("JSON with \\/", json(secret).replace('/', "\\/")),
            ("JSON, all escaped", each(|unit| format!("\\u{unit:04x}"))),
            ("hexadecimal", each(|unit| format!("{unit:02x}"))),
            ("hexadecimal, upper case", each(|unit| format!("{unit:02X}"))),
            ("HTML", html(secret)),
            ("HTML, all escaped", each(|unit| format!("&#x{unit:02X};"))),
            ("octal", each(|unit| format!("\\{unit:03o}"))),
            ("C", each(|unit| format!("\\x{unit:02x}"))),
            ("shell", secret.replace('\'', r"'\''")),
        ];
        for (shift, name) in
            ["base64", "base64, second place", "base64, third place"].into_iter().enumerate()
        {
            let core = base64_core(secret, shift);
            forms.push(("base64url", core.replace('+', "-").replace('/', "_")));
            forms.push(("base64, percent", percent(&core)));
            forms.push((name, core));
        }
        forms.sort_by(|a, b| a.1.cmp(&b.1));
        forms.dedup_by(|a, b| a.1 == b.1);
        assert!(forms.len() >= 15, "a secret in which every escape has something to do");
        Self(forms)
    }

    /// All forms.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|form| form.1.as_str())
    }

    /// Lines of at most `most` bytes that contain all forms, a few in each.
    pub(crate) fn lines(&self, most: usize) -> Vec<String> {
        let mut lines = vec![String::new()];
        for form in self.all() {
            let last = lines.last_mut().expect("there is one");
            if !last.is_empty() && last.len() + form.len() >= most {
                lines.push(form.to_owned());
            } else {
                write!(last, " {form}").expect("text grows");
            }
        }
        lines
    }

    /// Which forms are in these bytes, with the text around each.
    pub(crate) fn found_in(&self, bytes: &[u8]) -> Vec<String> {
        let text = String::from_utf8_lossy(bytes);
        let found = |(name, form): &(&str, String)| {
            let at = text.find(form.as_str())?;
            let begin = text.floor_char_boundary(at.saturating_sub(60));
            let end = text.ceil_char_boundary((at + form.len() + 60).min(text.len()));
            Some(format!("{name}: …{}…", &text[begin..end]))
        };
        self.0.iter().filter_map(found).collect()
    }
}

/// The characters that depend only on the secret, `shift` bytes into a group of three.
fn base64_core(secret: &str, shift: usize) -> String {
    let whole = STANDARD_NO_PAD.encode("xyz"[..shift].to_owned() + secret);
    whole[(shift * 8).div_ceil(6)..(shift + secret.len()) * 8 / 6].to_owned()
}

fn html(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', "&#39;")
}
