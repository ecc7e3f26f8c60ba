//! Why an operation on the object storage failed.
//!
//! Input: an error of the storage's client, or of the local disk. Output: its kind, which decides what follows, and a text.
//! Invariants: a text names the object and the cause; no text contains credentials, which the client keeps out of its
//! errors.

use object_store::Error as StoreError;
use std::{fmt, io};

/// What an error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The credentials are missing or wrong, or they do not suffice.
    Denied,
    /// The bucket does not exist, or its address is wrong.
    NoBucket,
    /// The object does not exist.
    NoObject,
    /// The storage cannot be reached, or does not work: another attempt may succeed.
    Unavailable,
    /// What the storage returned is not what was uploaded.
    Damaged,
    /// The local file has changed meanwhile.
    Changed,
    /// The local disk refused.
    Local,
}

impl Kind {
    /// Whether all operations fail like this, whatever their object is.
    pub(crate) fn is_of_storage(self) -> bool {
        matches!(self, Self::Denied | Self::NoBucket | Self::Unavailable)
    }

    /// Whether only a change of the settings, of the permissions or of the bucket helps.
    pub(crate) fn is_lasting(self) -> bool {
        matches!(self, Self::Denied | Self::NoBucket)
    }

    /// The kind in a few words, without a path.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "access denied",
            Self::NoBucket => "the bucket does not exist",
            Self::NoObject => "the object does not exist",
            Self::Unavailable => "it cannot be reached or does not work",
            Self::Damaged => "wrong checksum",
            Self::Changed => "a file has changed meanwhile",
            Self::Local => "the local disk refused",
        }
    }
}

/// A failed operation.
#[derive(Debug)]
pub struct StorageError {
    pub(crate) kind: Kind,
    action: &'static str,
    object: String,
    cause: String,
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, action, object, cause } = self;
        write!(f, "cannot {action} `{object}`: {}", kind.as_str())?;
        if cause.is_empty() { Ok(()) } else { write!(f, ": {cause}") }
    }
}

impl std::error::Error for StorageError {}

impl StorageError {
    pub(super) fn new(
        kind: Kind,
        action: &'static str,
        object: &(impl fmt::Display + ?Sized),
        cause: impl Into<String>,
    ) -> Self {
        Self { kind, action, object: object.to_string(), cause: cause.into() }
    }

    /// The same error with another meaning.
    pub(super) fn with_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// For `map_err`: an error of the storage's client.
    pub(super) fn of_store(
        action: &'static str,
        object: &(impl fmt::Display + ?Sized),
    ) -> impl FnOnce(StoreError) -> Self {
        move |error| Self::new(kind_of(&error), action, object, in_one_line(&error))
    }

    /// For `map_err`: an error of the local disk.
    pub(super) fn of_disk(
        action: &'static str,
        object: &(impl fmt::Display + ?Sized),
    ) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::new(Kind::Local, action, object, error.to_string())
    }

    /// For `map_err`: an error of the store.
    #[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
    pub fn of_local(error: crate::store::StoreError) -> Self {
        let path = error.path.display().to_string();
        Self::new(Kind::Local, error.action, &path, error.source.to_string())
    }

    /// Whether the storage cannot be reached, or does not work.
    pub fn is_unavailability(&self) -> bool {
        self.kind == Kind::Unavailable
    }

    /// Whether what the storage has is not what was uploaded.
    pub fn is_damage(&self) -> bool {
        self.kind == Kind::Damaged
    }

    /// Whether the object, and nothing else, is missing.
    pub fn is_absence(&self) -> bool {
        self.kind == Kind::NoObject
    }
}

/// The longest cause: an answer of the storage may be a whole page.
const LONGEST_CAUSE: usize = 600;

fn in_one_line(error: &StoreError) -> String {
    let text = error.to_string();
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.len() > LONGEST_CAUSE {
        line.truncate(line.floor_char_boundary(LONGEST_CAUSE));
        line.push('…');
    }
    line
}

fn kind_of(error: &StoreError) -> Kind {
    let text = error.to_string();
    // The client has no variant for what a bucket answers to a list.
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match error {
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => Kind::Denied,
        StoreError::NotFound { .. } if has(&["NoSuchBucket", "ContainerNotFound"]) => {
            Kind::NoBucket
        }
        StoreError::NotFound { .. } => Kind::NoObject,
        _ if has(&[
            "NoSuchBucket",
            "ContainerNotFound",
            "status code: 404",
            "redirect without LOCATION",
        ]) =>
        {
            Kind::NoBucket
        }
        _ if has(&["status code: 403", "status code: 401", "AccessDenied", "status code: 400"]) => {
            Kind::Denied
        }
        _ => Kind::Unavailable,
    }
}
