//! A certificate and its private key.
//!
//! Input: the paths of two files. Output: a matching pair, or the problem of one of the files.
//!
//! Invariants: no message contains a part of the key; the content of the key file is wiped from
//! memory.

use super::{FileError, validity::Validity};
use crate::{
    config::TlsFiles,
    store::read::{self, Signature},
};
use rustls::{
    Error, InconsistentKeys, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    sign::CertifiedKey,
};
use secrecy::{ExposeSecret, SecretSlice};
use std::{os::unix::fs::MetadataExt, path::Path};

/// The maximum size of either file: a chain is a few KB long.
const CAP: u64 = 1 << 20;
/// The read permission of users who are neither the owner nor in the group.
const READ_BY_OTHERS: u32 = 0o004;

/// A certificate with its chain and its key.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) key: CertifiedKey,
    /// `None` if the validity cannot be determined.
    pub(super) validity: Option<Validity>,
    pub(super) signatures: (Signature, Signature),
    /// Whether other users may read the key file.
    pub(super) exposed: bool,
}

impl Pair {
    /// Reads both files.
    pub(super) fn read(named: &TlsFiles) -> Result<Self, FileError> {
        let unread = |error| format!("the file cannot be read: {error}");
        let (chain, facts_of_chain) = read::named(&named.certificate_file, CAP)
            .map_err(|error| of_certificate(named, unread(error)))?;
        let (key, facts_of_key) =
            read::named(&named.key_file, CAP).map_err(|error| of_key(named, unread(error)))?;
        let key = SecretSlice::from(key);

        let chain = certificates(&chain).map_err(|reason| of_certificate(named, reason))?;
        let key = private_key(key.expose_secret()).map_err(|reason| of_key(named, reason))?;
        let validity = chain.first().and_then(|certificate| Validity::of(certificate));
        let key =
            CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| {
                match error {
                    Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                        of_key(named, misfit(&named.certificate_file))
                    }
                    Error::InvalidCertificate(_) => of_certificate(
                        named,
                        format!("its first certificate cannot be used: {error}"),
                    ),
                    error => of_key(named, format!("its key cannot be used: {error}")),
                }
            })?;
        Ok(Self {
            key,
            validity,
            signatures: (Signature::of(&facts_of_chain), Signature::of(&facts_of_key)),
            exposed: facts_of_key.mode() & READ_BY_OTHERS != 0,
        })
    }
}

/// A problem of the certificate file.
pub(super) fn of_certificate(named: &TlsFiles, reason: String) -> FileError {
    FileError::new("server.tls_certificate_file", named.certificate_file.clone(), reason)
}

fn of_key(named: &TlsFiles, reason: String) -> FileError {
    FileError::new("server.tls_key_file", named.key_file.clone(), reason)
}

fn misfit(certificate_file: &Path) -> String {
    let name = certificate_file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    format!(
        "its key does not fit the first certificate of `server.tls_certificate_file` ({name}); \
         the certificate of the server has to come first, then those that sign it"
    )
}

fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("the file is not valid PEM: {error}"))?;
    if chain.is_empty() {
        return Err(
            "the file contains no certificate (PEM, `-----BEGIN CERTIFICATE-----`)".to_owned()
        );
    }
    // The first certificate is checked together with its key.
    for (number, certificate) in (1..).zip(&chain).skip(1) {
        RootCertStore::empty()
            .add(certificate.clone())
            .map_err(|error| format!("its certificate {number} cannot be used: {error}"))?;
    }
    Ok(chain)
}

fn private_key(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
        pem::Error::NoItemsFound if contains(bytes, b"ENCRYPTED PRIVATE KEY") => {
            "its key is encrypted, and the server cannot ask for the passphrase: store the key \
             unencrypted, in a file that only the server's user can read"
                .to_owned()
        }
        pem::Error::NoItemsFound => {
            "the file contains no private key (PEM, `-----BEGIN PRIVATE KEY-----`)".to_owned()
        }
        error => format!("the file is not valid PEM: {error}"),
    })
}

fn contains(bytes: &[u8], words: &[u8]) -> bool {
    bytes.windows(words.len()).any(|window| window == words)
}
