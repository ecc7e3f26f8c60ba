//! Python: `requirements*.txt`, `pyproject.toml`, `hatch.toml`, `pixi.toml`, `setup.cfg`, `setup.py` and the inline
//! metadata of scripts; lock files are in [`locks`].
//!
//! Input: files that pip, pip-tools, Poetry, PDM, uv, Hatch and setuptools read, mostly written manually.
//! Output: each requirement, with a version if it allows exactly one. Invariants: a requirement that
//! today's standards reject is still listed if its name is valid; the project itself is never a package.

mod archive;
mod expressions;
mod hatch;
mod lists;
mod locks;
mod pip_compile;
mod pixi;
mod poetry;
mod pyproject;
mod requirement;
mod requirements;
mod script;
mod setup_cfg;
mod setup_py;

pub(super) use archive::{is_archive, name_and_version};
pub(super) use hatch::HatchToml;
pub(super) use locks::{PdmLock, Pipfile, PipfileLock, PoetryLock, PyLock, UvLock};
pub(super) use pixi::PixiToml;
pub(super) use pyproject::PyProject;
pub(super) use requirement::name as required_name;
pub(super) use requirements::{Requirements, add as add_requirement};
pub(super) use script::{ScriptMetadata, pairing as script_pairing, read as script_metadata};
pub(super) use setup_cfg::SetupCfg;
pub(super) use setup_py::SetupPy;

use super::purl::python_name;
use crate::model::scan_result::Scope;

/// The tools whose manifest is `pyproject.toml`, for [`Pairing`](super::Pairing).
pub(super) const PYPROJECT: &str = "pyproject";

/// The scope of a dependency group by its name. The standards define no names; only common ones are
/// recognized as tests.
pub(super) fn group_scope(name: &str) -> Scope {
    match name.to_ascii_lowercase().as_str() {
        "main" => Scope::Runtime,
        "test" | "tests" | "testing" => Scope::Test,
        _ => Scope::Dev,
    }
}
