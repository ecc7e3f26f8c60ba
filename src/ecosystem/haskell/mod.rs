//! Haskell: `*.cabal`, `cabal.project.freeze`, `stack.yaml` and `stack.yaml.lock`.
//!
//! What flows in: what Cabal and Stack read and write. What flows out: packages of Hackage. What must
//! stay true: a package of the project itself, and a library within it, are none.

mod cabal;
mod constraint;
mod freeze;
mod stack;

pub(super) use cabal::CabalFile;
pub(super) use freeze::CabalFreeze;
pub(super) use stack::{StackLock, StackYaml};
