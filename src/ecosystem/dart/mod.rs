//! Dart and Flutter: `pubspec.lock` and `pubspec.yaml`.
//!
//! What flows in: what pub writes and reads. What flows out: packages of pub. What must stay true: a
//! package with a path is part of the repository; the SDKs themselves are no packages, those that
//! come with one (`flutter`) are.

mod lock;
mod pubspec;

pub(super) use lock::PubspecLock;
pub(super) use pubspec::Pubspec;
