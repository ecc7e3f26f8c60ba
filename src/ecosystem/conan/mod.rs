//! Conan: `conan.lock`, `conanfile.txt`, `conanfile.py` and `conaninfo.txt`.
//!
//! Input: files that Conan 1 and 2 read and write. Output: the referenced packages. Invariants: a recipe is
//! a program, and it is never run.

mod file;
mod lock;
mod recipe;
mod reference;

pub(super) use file::{ConanFile, ConanInfo};
pub(super) use lock::ConanLock;
pub(super) use recipe::ConanRecipe;
