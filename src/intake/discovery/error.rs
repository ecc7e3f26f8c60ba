//! Why a forge could not be asked, or what was wrong with its answer. No variant holds a secret:
//! questions are named by their address and path alone.

use crate::model::{git_url::Refusal, pattern::PatternError};

/// Why a target could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    #[error("{refusal}: {}", .refusal.way_out())]
    Refused { refusal: Refusal },
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error(
        "{url} names a group, and nobody knows how to ask its forge: name it under [[forges]] with \
         its kind in the server's settings, or submit the URLs of its repositories"
    )]
    NoInterface { url: String },
    #[error(
        "{url} does not exist, or {token}: check the URL, or give a token that may read it under \
         [[forges]] (token_file or token_env) in the server's settings"
    )]
    NotFound { url: String, token: &'static str },
    #[error(
        "{asked} wants a token ({code}): give one that may read it under [[forges]] (token_file or \
         token_env) in the server's settings"
    )]
    TokenNeeded { asked: String, code: u16 },
    #[error(
        "{asked} does not accept the token ({code}): check the token under [[forges]] in the \
         server's settings, and what it may read"
    )]
    TokenRefused { asked: String, code: u16 },
    #[error("the token of {host} cannot be sent: it has characters that no header may have")]
    Token { host: String },
    #[error("{asked} was asked too often ({code}){wait}: try again later{token}")]
    RateLimit { asked: String, code: u16, wait: String, token: &'static str },
    #[error("{asked} redirects to another place, which is not followed: submit the new URL")]
    Redirected { asked: String },
    #[error("{asked} answers {code}, tried {tries} time(s)")]
    Status { asked: String, code: u16, tries: u32 },
    #[error("{asked} cannot be reached, tried {tries} time(s): {reason}")]
    Unreachable { asked: String, tries: u32, reason: String },
    #[error("{0}")]
    Address(String),
    #[error(
        "no trusted connection for {asked}: {reason}; if the forge has a certificate authority of \
         its own, name it by ca_file under [[forges]] in the server's settings"
    )]
    Tls { asked: String, reason: String },
    #[error("no whole answer from {asked} within {seconds} seconds")]
    Silent { asked: String, seconds: u64 },
    #[error("the list was not complete after {seconds} seconds ([discovery] timeout_secs)")]
    TooSlow { seconds: u64 },
    #[error("{asked} answers with more than {most} bytes ([discovery] max_answer_bytes)")]
    TooLarge { asked: String, most: u64 },
    #[error("{asked} has more than {most} pages ([discovery] max_pages)")]
    TooManyPages { asked: String, most: u32 },
    #[error("{asked} goes on with a page that was there before")]
    Circle { asked: String },
    #[error("{asked} goes on at another place ({place}), which is not asked")]
    ForeignPage { asked: String, place: String },
    #[error("the answer of {asked} is not understood: {reason}")]
    Answer { asked: String, reason: String },
    #[error("no HTTP client can be made: {0}")]
    Client(String),
    /// Any of the others, with a forge's token in it, which is masked.
    #[error("{0}")]
    Masked(String),
    #[error("the server is stopping")]
    Stopped,
}
