//! Certificate authorities that somebody trusts beside or instead of the system's: a PEM bundle, of a
//! forge in the settings, or of a server on the command line.
//!
//! What flows in: the file's path. What flows out: its certificates, and its absolute path for
//! the scanners, which have working directories of their own. What must stay true: a bundle in
//! which anything cannot be used is refused at the start, not at the first scan.

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::path::{Path, PathBuf};

/// Reads a bundle.
///
/// # Errors
/// What is wrong with it, for people.
pub fn read(path: &Path) -> Result<(PathBuf, Vec<CertificateDer<'static>>), String> {
    let shown = path.display();
    let absolute = std::path::absolute(path)
        .ok()
        .filter(|it| it.to_str().is_some())
        .ok_or_else(|| format!("the path of `{shown}` is not text"))?;
    let bytes =
        std::fs::read(&absolute).map_err(|error| format!("cannot read `{shown}`: {error}"))?;
    let certificates = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("`{shown}` is no PEM bundle: {error}"))?;
    if certificates.is_empty() {
        return Err(format!("`{shown}` has no certificate in it"));
    }
    for (number, certificate) in (1..).zip(&certificates) {
        RootCertStore::empty().add(certificate.clone()).map_err(|error| {
            format!("certificate {number} of `{shown}` cannot be used: {error}")
        })?;
    }
    Ok((absolute, certificates))
}
