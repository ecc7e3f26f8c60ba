//! Terraform and `OpenTofu`: `.terraform.lock.hcl` and `*.tf`.
//!
//! Input: files in HCL, by "HCL Native Syntax Specification". Output: providers and modules from a registry or
//! a repository. Invariants: no expression is evaluated; a module of the same repository is not a package.

mod blocks;
mod files;
mod lock;

pub(super) use files::TerraformFile;
pub(super) use lock::TerraformLock;
