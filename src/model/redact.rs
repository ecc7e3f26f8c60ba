//! Hides secrets in text that leaves a scanner: its log, its errors, its status.
//!
//! A secret is looked for as it is and in the forms into which tools put it on the way: URL
//! encoding, JSON escapes, and base64 at each of the three places where it can begin within a
//! longer text (`user:password` of Basic authentication). Work on whole lines: a secret that is
//! cut in two is not found.

use base64::{Engine, engine::general_purpose::STANDARD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::{borrow::Cow, fmt};

/// What stands in the place of a secret.
pub const MASK: &str = "***";

/// Shorter secrets are not looked for: they would mask half of every log.
const SHORTEST: usize = 4;

/// Finds the forms of a set of secrets.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that a form that contains another is masked whole.
    forms: Vec<String>,
}

impl Redactor {
    /// A redactor of these secrets.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms = Vec::new();
        for secret in secrets.into_iter().filter(|it| it.len() >= SHORTEST) {
            forms.push(secret.to_owned());
            let encoded = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
            forms.push(encoded.replace("%2E", ".").replace("%2D", "-").replace("%5F", "_"));
            forms.push(encoded);
            let quoted = serde_json::Value::from(secret).to_string();
            forms.push(quoted[1..quoted.len() - 1].to_owned());
            forms.extend((0..3).map(|shift| base64_core(secret.as_bytes(), shift)));
        }
        forms.retain(|it| it.len() >= SHORTEST);
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        Self { forms }
    }

    /// The length of the longest form, in bytes: what may be hidden in a cut-off end.
    pub fn longest(&self) -> usize {
        self.forms.first().map_or(0, String::len)
    }

    /// The text with every form of every secret masked.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for form in &self.forms {
            if text.contains(form.as_str()) {
                text = Cow::Owned(text.replace(form.as_str(), MASK));
            }
        }
        text
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} forms)", self.forms.len())
    }
}

/// The characters of base64 that depend on the secret alone when it begins `shift` bytes into a
/// group of three: those that neighbours share are cut off.
fn base64_core(secret: &[u8], shift: usize) -> String {
    let mut padded = vec![0; shift];
    padded.extend_from_slice(secret);
    let whole = STANDARD.encode(&padded);
    let first = (shift * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    whole[first..last].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_in_each_form() {
        let secret = "s3cr/t\"+tök en";
        let redactor = Redactor::new([secret]);
        let json = serde_json::Value::from(secret).to_string();
        let mut texts = vec![
            format!("fatal: {secret}!"),
            format!("https://u:{}@h/", utf8_percent_encode(secret, NON_ALPHANUMERIC)),
            format!("{{\"password\":{json}}}"),
        ];
        for user in ["u:", "us:", "use:", "user:"] {
            texts.push(format!(
                "Authorization: Basic {}",
                STANDARD.encode(format!("{user}{secret}"))
            ));
        }
        for text in texts {
            let shown = redactor.redact(&text);
            assert!(shown.contains(MASK), "{shown}");
            assert!(!shown.contains("s3cr"), "{shown}");
        }
    }

    #[test]
    fn other_text_stays_as_it_is() {
        let redactor = Redactor::new(["hunter22", "abc"]);
        assert!(matches!(redactor.redact("abc of hunting"), Cow::Borrowed("abc of hunting")));
    }
}
