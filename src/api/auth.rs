//! Who asks: an `Authorization` header comes in, a user's name or a 401 goes out.
//!
//! Basic authentication (RFC 7617) against the one user of the settings; without one the server
//! is open. What must stay true: no time that a client can measure depends on where a wrong name
//! or password differs, or on how long the right ones are; name and password are both compared,
//! always; credentials are judged before a body is read.

use super::{connection::ConnectionContext, error::ApiError};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use std::sync::{Arc, PoisonError};
use subtle::{Choice, ConstantTimeEq};
use warp::{Filter, Rejection, http::HeaderValue, reject};

/// RFC 7617 has padding, some clients leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Secrets are compared in blocks of this many bytes, so that only their number could be measured.
const BLOCK: usize = 256;

/// Who may use the server.
#[derive(Debug)]
pub struct Auth {
    account: Option<Account>,
}

/// What a request may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Everything: the server asks nobody.
    Open,
    /// What this user may.
    User(String),
}

/// The user of a request, as handlers get it; `None` on an open server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User(pub Option<String>);

/// Credentials that were right, kept with their connection: the bytes of the header, and whose.
#[derive(Debug)]
pub struct VerifiedCredentials {
    header: Padded,
    user: String,
}

/// A name that cannot be sent in Basic authentication.
#[derive(Debug, thiserror::Error)]
#[error("the user's name must not be empty, and have neither a colon nor control characters")]
pub struct UnusableName;

#[derive(Debug)]
struct Account {
    name: String,
    padded_name: Padded,
    padded_password: Padded,
}

/// A filter that rejects who may not use the server. To stand before every filter that reads the
/// body.
pub fn authenticated(auth: Arc<Auth>) -> impl Filter<Extract = (User,), Error = Rejection> + Clone {
    super::header("authorization").and(warp::ext::optional::<ConnectionContext>()).and_then(
        move |header: Option<HeaderValue>, connection: Option<ConnectionContext>| {
            let access = auth.grant(header.as_ref(), connection.as_ref());
            std::future::ready(match access {
                Ok(Access::Open) => Ok(User(None)),
                Ok(Access::User(name)) => Ok(User(Some(name))),
                Err(error) => Err(reject::custom(error)),
            })
        },
    )
}

impl Auth {
    /// Asks nobody.
    pub fn open() -> Self {
        Self { account: None }
    }

    /// Knows one user.
    pub fn single(name: &str, password: &SecretString) -> Result<Self, UnusableName> {
        if name.is_empty() || name.contains(|c: char| c == ':' || c.is_control()) {
            return Err(UnusableName);
        }
        let account = Account {
            name: name.to_owned(),
            padded_name: Padded::new(name.as_bytes()),
            padded_password: Padded::new(password.expose_secret().as_bytes()),
        };
        Ok(Self { account: Some(account) })
    }

    /// Whether everybody may do everything.
    pub fn is_open(&self) -> bool {
        self.account.is_none()
    }

    /// What a request with this `Authorization` header may do. On a connection the last right
    /// header is remembered, so that the next request with the very same is settled at once.
    pub fn grant(
        &self,
        authorization: Option<&HeaderValue>,
        connection: Option<&ConnectionContext>,
    ) -> Result<Access, ApiError> {
        let Some(account) = &self.account else {
            return Ok(Access::Open);
        };
        let header = authorization.ok_or(ApiError::NotAuthenticated)?.as_bytes();
        if let Some(user) = connection.and_then(|it| remembered(it, header)) {
            return Ok(Access::User(user));
        }
        let decoded = credentials(header).ok_or(ApiError::NotAuthenticated)?;
        let decoded = decoded.expose_secret();
        let colon = decoded.iter().position(|it| *it == b':').ok_or(ApiError::NotAuthenticated)?;
        // No `&&` here: both are compared whatever the first says.
        let right = account.padded_name.equals(&decoded[..colon])
            & account.padded_password.equals(&decoded[colon + 1..]);
        if !bool::from(right) {
            return Err(ApiError::InvalidCredentials);
        }
        if let Some(connection) = connection {
            let verified =
                VerifiedCredentials { header: Padded::new(header), user: account.name.clone() };
            *connection.verified.lock().unwrap_or_else(PoisonError::into_inner) = Some(verified);
        }
        Ok(Access::User(account.name.clone()))
    }
}

/// Whose credentials these are, if the connection has seen them.
fn remembered(connection: &ConnectionContext, header: &[u8]) -> Option<String> {
    let verified = connection.verified.lock().unwrap_or_else(PoisonError::into_inner);
    let verified = verified.as_ref()?;
    bool::from(verified.header.equals(header)).then(|| verified.user.clone())
}

/// The decoded part of `Basic <base64>`.
fn credentials(header: &[u8]) -> Option<SecretSlice<u8>> {
    let space = header.iter().position(|it| *it == b' ')?;
    let (scheme, rest) = header.split_at(space);
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    BASE64.decode(rest.trim_ascii()).ok().map(SecretSlice::from)
}

/// A secret, filled up to whole blocks.
#[derive(Debug)]
struct Padded {
    bytes: SecretSlice<u8>,
    length: u64,
}

impl Padded {
    fn new(secret: &[u8]) -> Self {
        let width = secret.len().next_multiple_of(BLOCK).max(BLOCK);
        Self { bytes: fill(secret, width), length: secret.len() as u64 }
    }

    /// Takes as long for each `given` of one length, and does not depend on our own length but by
    /// whole blocks.
    fn equals(&self, given: &[u8]) -> Choice {
        let ours = self.bytes.expose_secret();
        let theirs = fill(given, ours.len());
        ours.ct_eq(theirs.expose_secret()) & self.length.ct_eq(&(given.len() as u64))
    }
}

/// The first `width` bytes of `text`, filled up with zeros.
fn fill(text: &[u8], width: usize) -> SecretSlice<u8> {
    let mut bytes = vec![0; width];
    let kept = text.len().min(width);
    bytes[..kept].copy_from_slice(&text[..kept]);
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD as PADDED;

    fn auth() -> Auth {
        Auth::single("scän", &SecretString::from("s3cret:with colon")).unwrap()
    }

    fn basic(credentials: &str) -> HeaderValue {
        HeaderValue::try_from(format!("Basic {}", PADDED.encode(credentials))).unwrap()
    }

    #[track_caller]
    fn check(header: Option<&HeaderValue>, expected: &str) {
        let outcome = match auth().grant(header, None) {
            Ok(access) => format!("{access:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(outcome, expected, "{header:?}");
    }

    #[test]
    fn right_wrong_and_unusable_credentials_are_told_apart() {
        let right = "User(\"scän\")";
        check(Some(&basic("scän:s3cret:with colon")), right);
        let encoded = PADDED.encode("scän:s3cret:with colon");
        let unpadded = encoded.trim_end_matches('=');
        check(Some(&format!("bAsIc   {unpadded}").try_into().unwrap()), right);

        for wrong in ["scän:s3cret", "scän:", ":", "scan:s3cret:with colon", ":s3cret:with colon"]
        {
            check(Some(&basic(wrong)), "Invalid credentials");
        }
        // What the padding would hide, were lengths not compared.
        check(Some(&basic("scän:s3cret:with colon\0")), "Invalid credentials");
        check(Some(&basic(&format!("scän:{}", "x".repeat(5000)))), "Invalid credentials");

        check(None, "Not authenticated");
        for unusable in ["", "Basic", "Basic ", "Basic !!!", "Bearer abc", "Basicabc", "Basic YQ=="]
        {
            check(Some(&HeaderValue::from_static(unusable)), "Not authenticated");
        }
        check(Some(&HeaderValue::from_bytes(b"Basic \xff\xfe").unwrap()), "Not authenticated");
    }

    #[test]
    fn an_open_server_asks_nobody() {
        assert_eq!(Auth::open().grant(None, None).unwrap(), Access::Open);
        assert_eq!(Auth::open().grant(Some(&basic("a:b")), None).unwrap(), Access::Open);
    }

    #[test]
    fn a_name_that_cannot_be_sent_is_refused_at_the_start() {
        for name in ["", "a:b", "a\n"] {
            assert!(Auth::single(name, &SecretString::from("x")).is_err(), "{name:?}");
        }
    }

    #[test]
    fn long_secrets_are_compared_to_their_end() {
        let password = "p".repeat(700);
        let auth = Auth::single("u", &SecretString::from(password.as_str())).unwrap();
        assert!(auth.grant(Some(&basic(&format!("u:{password}"))), None).is_ok());
        assert!(auth.grant(Some(&basic(&format!("u:{}q", &password[1..]))), None).is_err());
    }

    #[test]
    fn a_connection_remembers_what_was_right_and_nothing_else() {
        let auth = auth();
        let connection = ConnectionContext::new("127.0.0.1:9".parse().unwrap());
        let remembers = |header: &HeaderValue| remembered(&connection, header.as_bytes()).is_some();
        let (right, wrong) = (basic("scän:s3cret:with colon"), basic("scän:wrong"));

        assert!(auth.grant(Some(&wrong), Some(&connection)).is_err());
        assert!(!remembers(&wrong));
        assert!(auth.grant(Some(&right), Some(&connection)).is_ok());
        assert!(remembers(&right) && !remembers(&wrong));
        assert!(auth.grant(Some(&wrong), Some(&connection)).is_err());
        assert!(auth.grant(None, Some(&connection)).is_err());
        assert!(auth.grant(Some(&right), Some(&connection)).is_ok());
    }

    #[tokio::test]
    async fn the_filter_hands_out_the_user() {
        let filter = authenticated(Arc::new(auth()));
        let request =
            warp::test::request().header("authorization", basic("scän:s3cret:with colon"));
        assert_eq!(request.filter(&filter).await.unwrap(), User(Some("scän".to_owned())));
        let rejection = warp::test::request().filter(&filter).await.unwrap_err();
        assert!(matches!(rejection.find(), Some(ApiError::NotAuthenticated)));
        let open = authenticated(Arc::new(Auth::open()));
        assert_eq!(warp::test::request().filter(&open).await.unwrap(), User(None));
    }
}
