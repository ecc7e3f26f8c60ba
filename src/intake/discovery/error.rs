//! Errors of queries to a forge. No variant contains a secret: requests are shown only with address
//! and path.

use crate::model::{git_url::Refusal, pattern::PatternError};

/// Why a target could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    #[error("{refusal}: {}", .refusal.hint())]
    Refused { refusal: Refusal },
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error(
        "{url} names a group, but the API of its forge is not known: add the forge with its kind under \
         [[forges]] in the server's settings, or submit the URLs of its repositories"
    )]
    UnknownApi { url: String },
    #[error(
        "{url} does not exist, or {token}: check the URL, or add a token with read access under \
         [[forges]] (token_file or token_env) in the server's settings"
    )]
    NotFound { url: String, token: &'static str },
    #[error(
        "{request} requires a token ({code}): add one with read access under [[forges]] (token_file or \
         token_env) in the server's settings"
    )]
    TokenNeeded { request: String, code: u16 },
    #[error(
        "{request} refuses the token ({code}): check the token under [[forges]] in the server's \
         settings: whether it is valid, has expired, and may list and read repositories"
    )]
    TokenRefused { request: String, code: u16 },
    #[error(
        "the token of {host} cannot be sent: it has characters that are not allowed in an HTTP header"
    )]
    Token { host: String },
    #[error("rate limit of {request} reached ({code}){pause}: try again later{token}")]
    RateLimit { request: String, code: u16, pause: String, token: &'static str },
    #[error(
        "{request} redirects to another URL, and redirects are not followed: submit the new URL"
    )]
    Redirected { request: String },
    #[error("{request} answers {code} after {attempts} attempt(s)")]
    Status { request: String, code: u16, attempts: u32 },
    #[error("{request} cannot be reached after {attempts} attempt(s): {reason}")]
    Unreachable { request: String, attempts: u32, reason: String },
    #[error("{0}")]
    Address(String),
    #[error(
        "no trusted connection for {request}: {reason}; if the forge has its own certificate \
         authority, set ca_file under [[forges]] in the server's settings"
    )]
    Tls { request: String, reason: String },
    #[error(
        "no complete answer from {request} within {seconds} s ([discovery] answer_timeout_secs)"
    )]
    AnswerTimeout { request: String, seconds: u64 },
    #[error(
        "no page from {request} within {seconds} s, with all attempts ([discovery] timeout_secs)"
    )]
    TooSlow { request: String, seconds: u64 },
    #[error("{request} answers with more than {max} bytes ([discovery] max_answer_bytes)")]
    TooLarge { request: String, max: u64 },
    #[error("{request} has more than {max} pages ([discovery] max_pages)")]
    TooManyPages { request: String, max: u32 },
    #[error("{request} has more than {max} repositories ([discovery] max_repositories)")]
    TooManyRepositories { request: String, max: usize },
    #[error("the list of {request} is larger than {max} bytes")]
    TooLargeList { request: String, max: usize },
    #[error("{request} links to a page that was already read")]
    PageLoop { request: String },
    #[error("{request} links to a next page of another origin ({origin}), which is not requested")]
    OtherOrigin { request: String, origin: String },
    #[error("the answer of {request} is invalid: {reason}")]
    InvalidAnswer { request: String, reason: String },
    #[error("cannot create an HTTP client: {0}")]
    Client(String),
    /// Any other variant whose message contained the forge's token, with the token masked.
    #[error("{0}")]
    Masked(String),
    #[error("the server is stopping")]
    Stopped,
}
