//! Reads a PEM bundle of certificate authorities: of a forge in the settings, or of the server on
//! the command line.
//!
//! Input: the path of the file. Output: its certificates, and its absolute path for the scanners,
//! which have other working directories. Invariants: an unusable certificate in a bundle is an
//! error at the start, not at the first scan.

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::path::{Path, PathBuf};

/// Reads a bundle.
///
/// # Errors
/// A message that names the file and the cause.
pub fn read(path: &Path) -> Result<(PathBuf, Vec<CertificateDer<'static>>), String> {
    let shown = path.display();
    let absolute = std::path::absolute(path)
        .ok()
        .filter(|path| path.to_str().is_some())
        .ok_or_else(|| format!("the path of `{shown}` is not valid UTF-8"))?;
    let bytes =
        std::fs::read(&absolute).map_err(|error| format!("cannot read `{shown}`: {error}"))?;
    let certificates = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("`{shown}` is not a PEM bundle: {error}"))?;
    if certificates.is_empty() {
        return Err(format!("`{shown}` contains no certificate"));
    }
    for (number, certificate) in (1..).zip(&certificates) {
        RootCertStore::empty().add(certificate.clone()).map_err(|error| {
            format!("certificate {number} of `{shown}` cannot be used: {error}")
        })?;
    }
    Ok((absolute, certificates))
}
