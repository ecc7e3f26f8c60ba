//! Conan: `conan.lock`, `conanfile.txt`, `conanfile.py` and `conaninfo.txt`.
//!
//! What flows in: what Conan 1 and 2 read and write. What flows out: the packages of its references.
//! What must stay true: a recipe is a program, and it is never run.

mod file;
mod lock;
mod recipe;
mod reference;

pub(super) use file::{ConanFile, ConanInfo};
pub(super) use lock::ConanLock;
pub(super) use recipe::ConanRecipe;
