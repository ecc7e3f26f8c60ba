//! Dart and Flutter: `pubspec.lock` and `pubspec.yaml`.
//!
//! Input: files that pub writes and reads. Output: packages of pub. Invariants: a package with a path is
//! part of the repository; an SDK is not a package, but the packages that it provides (`flutter`) are.

mod lock;
mod pubspec;

pub(super) use lock::PubspecLock;
pub(super) use pubspec::Pubspec;
