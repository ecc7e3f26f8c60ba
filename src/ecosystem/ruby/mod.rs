//! Ruby: `Gemfile.lock` and similar lock files, `Gemfile`, `gems.rb` and `*.gemspec`.
//!
//! Input: lock files of Bundler, and programs that require gems. Output: gems. Invariants: no program is run;
//! gems from a path, and those of the repository's gemspecs, are part of the repository.

mod call;
mod gemfile;
mod gemspec;
mod lock;
mod own;
mod program;
mod words;

pub(super) use gemfile::Gemfile;
pub(super) use gemspec::Gemspec;
pub(super) use lock::GemfileLock;
pub(super) use own::drop_own_gems;
pub(super) use words::{Word, statements, words};

/// The version, if the constraints allow exactly one: a single `1.2.3` or `= 1.2.3`.
fn exact<'a>(constraints: &[&'a str]) -> Option<&'a str> {
    let [constraint] = constraints else { return None };
    let version = constraint.trim();
    let version = version.strip_prefix('=').unwrap_or(version).trim();
    let is_version = version.starts_with(|character: char| character.is_ascii_digit())
        && version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    is_version.then_some(version)
}
