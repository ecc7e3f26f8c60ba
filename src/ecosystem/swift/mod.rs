//! Swift: `Package.swift` and `Package.resolved` of the Swift package manager and of Xcode.
//!
//! Input: files that the Swift package manager reads and writes. Output: packages with their address as purl.
//! Invariants: an address gives one purl, however it is written.

mod address;
mod manifest;
mod resolved;

pub(super) use address::name_of as repository_name;
pub(super) use manifest::PackageSwift;
pub(super) use resolved::PackageResolved;
