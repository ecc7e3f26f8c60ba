//! Ruby: `Gemfile.lock` and its relatives, `Gemfile`, `gems.rb` and `*.gemspec`.
//!
//! What flows in: what Bundler locks, and the programs that ask for gems. What flows out: gems.
//! What must stay true: no program is run; gems from a path are part of the repository.

mod gemfile;
mod gemspec;
mod lock;
mod words;

pub(super) use gemfile::Gemfile;
pub(super) use gemspec::Gemspec;
pub(super) use lock::GemfileLock;
pub(super) use words::{Word, statements, words};

/// The version where constraints allow but one: `1.2.3` or `= 1.2.3`, and no other beside it.
fn exact<'a>(constraints: &[&'a str]) -> Option<&'a str> {
    let [constraint] = constraints else { return None };
    let version = constraint.trim();
    let version = version.strip_prefix('=').unwrap_or(version).trim();
    let is_version = version.starts_with(|it: char| it.is_ascii_digit())
        && version.bytes().all(|it| it.is_ascii_alphanumeric() || b".-".contains(&it));
    is_version.then_some(version)
}
