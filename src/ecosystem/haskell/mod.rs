//! Haskell: `*.cabal`, `cabal.project.freeze`, `stack.yaml` and `stack.yaml.lock`.
//!
//! Input: files that Cabal and Stack read and write. Output: packages of Hackage. Invariants: a package of
//! the project itself and a library in it are not packages.

mod cabal;
mod constraint;
mod freeze;
mod stack;

pub(super) use cabal::CabalFile;
pub(super) use freeze::CabalFreeze;
pub(super) use stack::{StackLock, StackYaml};
