//! Haskell: `*.cabal`, `cabal.project`, `cabal.project.freeze`, `stack.yaml` and `stack.yaml.lock`.
//!
//! Input: files that Cabal and Stack read and write. Output: packages of Hackage. Invariants: a package of
//! the project itself or of its workspace, and a library in it, are not packages.

mod cabal;
mod constraint;
mod freeze;
mod project;
mod stack;

pub(super) use cabal::CabalFile;
pub(super) use freeze::CabalFreeze;
pub(super) use project::CabalProject;
pub(super) use stack::{StackLock, StackYaml};
