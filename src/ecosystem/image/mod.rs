//! References to container images, as Dockerfiles, pipelines and manifests write them.
//!
//! Input: a reference, possibly with variables. Output: the image as a package of the file that names it.
//! Invariants: an image is added once for each file; an incomplete name is not a package.

mod reference;
mod variables;

pub(super) use reference::{Images, name_and_tag};
pub(super) use variables::expand;
