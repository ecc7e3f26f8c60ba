//! Fuzz invariants of the redactor, for any secret and any text.

use super::*;
use crate::fuzzing::choice;

/// The first byte selects the length of the secret, the second the offset of the cut.
pub(crate) fn redactor(bytes: &[u8]) {
    let (length, rest) = choice(bytes, 48);
    let (cut, rest) = choice(rest, 256);
    let (secret, text) = rest.split_at(length.min(rest.len()));
    let (secret, text) = (String::from_utf8_lossy(secret), String::from_utf8_lossy(text));
    let redactor = Redactor::new([&*secret]);
    let shown = redactor.redact(&text);
    assert!(redactor.look(&shown).secrets.is_empty(), "{secret:?} in {shown:?}");
    assert!(shown.len() <= text.len(), "{shown:?} is longer than {text:?}");
    if secret.len() >= SHORTEST {
        assert!(!shown.contains(&*secret), "{secret:?} in {shown:?}");
    } else {
        assert!(matches!(shown, Cow::Borrowed(_)), "{text:?} is shown as {shown:?}");
    }
    let cut = text.floor_char_boundary(cut * text.len() / 256);
    let settled = redactor.settled(&text[..cut], 0);
    let (head, tail) = (redactor.redact(&text[..settled]), redactor.redact(&text[settled..]));
    if secret.len() >= SHORTEST {
        assert!(
            !format!("{head}{tail}").contains(&*secret) || secret.contains('*'),
            "{secret:?}, {cut}"
        );
    }
}
