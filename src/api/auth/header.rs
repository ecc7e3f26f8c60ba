//! Parses the `Authorization` header.
//!
//! Input: the bytes of the header. Output: a name and a password (RFC 7617), or a token (RFC
//! 6750), not checked yet. Invariants: a header of another scheme or of another form yields no
//! credentials.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use secrecy::{ExposeSecret, SecretSlice};

/// RFC 7617 requires padding, but some clients omit it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Credentials as the client sent them.
#[derive(Debug)]
pub(in crate::api) enum Presented {
    /// By Basic authentication.
    Password { name: Vec<u8>, password: SecretSlice<u8> },
    /// By Bearer authentication.
    Token(SecretSlice<u8>),
}

impl Presented {
    /// A name and a password, as somebody typed them.
    pub(in crate::api) fn password(name: &str, password: &str) -> Self {
        let password = password.as_bytes().to_vec().into();
        Self::Password { name: name.as_bytes().to_vec(), password }
    }

    /// A token, as somebody typed it.
    pub(in crate::api) fn token(token: &str) -> Self {
        Self::Token(token.trim().as_bytes().to_vec().into())
    }

    /// Parses a header; `None` if the scheme is another one or the header is malformed.
    pub(super) fn parse(header: &[u8]) -> Option<Self> {
        let space = header.iter().position(|byte| *byte == b' ')?;
        let (scheme, rest) = header.split_at(space);
        let rest = rest.trim_ascii();
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return (!rest.is_empty()).then(|| Self::Token(rest.to_vec().into()));
        }
        if !scheme.eq_ignore_ascii_case(b"basic") {
            return None;
        }
        let decoded: SecretSlice<u8> = BASE64.decode(rest).ok()?.into();
        let decoded = decoded.expose_secret();
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        let (name, password) = (decoded[..colon].to_vec(), decoded[colon + 1..].to_vec());
        Some(Self::Password { name, password: password.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &[u8], expected: Option<(&str, &str)>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let parsed = Presented::parse(header).map(|presented| match presented {
            Presented::Password { name, password } => (text(&name), text(password.expose_secret())),
            Presented::Token(token) => ("(token)".to_owned(), text(token.expose_secret())),
        });
        let expected = expected.map(|(name, secret)| (name.to_owned(), secret.to_owned()));
        assert_eq!(parsed, expected, "{}", text(header));
    }

    #[test]
    fn both_schemes_are_parsed_and_nothing_else() {
        check(b"Basic dTpwOnE=", Some(("u", "p:q")));
        check(b"bAsIc    dTpwOnE", Some(("u", "p:q")));
        check(b"Basic Og==", Some(("", "")));
        check(b"Bearer abc", Some(("(token)", "abc")));
        check(b"bearer  abc ", Some(("(token)", "abc")));
        for unusable in [
            &b""[..],
            b"Basic",
            b"Basic ",
            b"Basic !!!",
            b"Basicabc",
            b"Basic YQ==",
            b"Basic \xff\xfe",
            b"Bearer",
            b"Bearer ",
            b"Digest abc",
        ] {
            check(unusable, None);
        }
    }
}
