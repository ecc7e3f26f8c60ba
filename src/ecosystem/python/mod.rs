//! Python: `requirements*.txt`, `pyproject.toml`, `setup.cfg` and `setup.py`; what is locked in
//! [`locks`].
//!
//! What flows in: what pip, pip-tools, Poetry, PDM, uv, Hatch and setuptools read, mostly written by hand.
//! What flows out: each requirement, with a version where it allows but one. What must stay
//! true: a requirement that the standards of today refuse is still listed, as long as its name
//! is clear; the project itself is never a package.

mod archive;
mod compiled;
mod expressions;
mod locks;
mod poetry;
mod pyproject;
mod requirement;
mod requirements;
mod setup_cfg;
mod setup_py;

pub(super) use locks::{PdmLock, Pipfile, PipfileLock, PoetryLock, PyLock, UvLock};
pub(super) use pyproject::PyProject;
pub(super) use requirements::{Requirements, add as add_requirement};
pub(super) use setup_cfg::SetupCfg;
pub(super) use setup_py::SetupPy;

use super::purl::python_name;
use crate::model::scan_result::Scope;

/// What a group of dependencies is for, by its name. The standards leave names to the project;
/// only the ones that everybody understands tell tests from the rest of development.
fn group_scope(name: &str) -> Scope {
    match name.to_ascii_lowercase().as_str() {
        "main" => Scope::Runtime,
        "test" | "tests" | "testing" => Scope::Test,
        _ => Scope::Dev,
    }
}
