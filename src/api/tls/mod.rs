//! TLS of the service.
//!
//! Input: the files of a certificate and its key. Output: acceptors for handshakes; problems for
//! `/health`.
//!
//! | file | concern |
//! |---|---|
//! | `pair` | a certificate and its key, from their files |
//! | `validity` | the validity period of a certificate |
//!
//! Invariants: at startup the files have to be valid; later an invalid pair changes nothing, is
//! reported until it is valid again, and is logged once; because the two files are replaced one
//! after the other, a pair is checked several times before it is considered invalid; a connection
//! keeps the certificate of its handshake.

mod pair;
mod validity;

use super::reloaded_files::{FileError, Reload, ReloadedFiles};
use crate::{config::TlsFiles, model::time::Timestamp, store::read::Signature};
use chrono::Utc;
use pair::Pair;
use rustls::{
    ServerConfig,
    crypto::ring,
    sign::SingleCertAndKey,
    version::{TLS12, TLS13},
};
use std::{
    fs,
    sync::{Arc, Mutex, PoisonError, RwLock},
};
use tokio_rustls::TlsAcceptor;
use validity::Validity;

/// The protocols offered by ALPN, in order of preference.
const HTTP_2_AND_1: &[&[u8]] = &[b"h2", b"http/1.1"];
const HTTP_1: &[&[u8]] = &[b"http/1.1"];

/// After how many consecutive checks an invalid pair is reported.
const BAD_CHECKS: u32 = 10;

/// The current certificate, and its files.
#[derive(Debug)]
pub struct Tls {
    files: Mutex<Files>,
    shown: RwLock<Shown>,
}

/// A certificate as connections use it.
#[derive(Debug, Clone)]
struct Shown {
    serving: Arc<ServerConfig>,
    /// For refused connections: only HTTP/1.1, in which the refusal is written.
    refusing: Arc<ServerConfig>,
    validity: Option<Validity>,
}

#[derive(Debug)]
struct Files {
    named: TlsFiles,
    /// The signatures of the last valid contents; `None` while the contents are invalid.
    seen: Option<(Signature, Signature)>,
    /// How many checks in a row found invalid contents.
    bad_checks: u32,
    problem: Option<FileError>,
    /// An operator has asked for the files to be read, and waits for a report.
    asked: bool,
    /// Whether other users may read the key file.
    exposed: bool,
}

impl Tls {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// The file that cannot be used, and the reason.
    pub fn open(named: &TlsFiles) -> Result<Self, FileError> {
        let pair = Pair::read(named)?;
        let files = Files {
            named: named.clone(),
            seen: Some(pair.signatures),
            bad_checks: 0,
            problem: None,
            asked: false,
            exposed: pair.exposed,
        };
        let shown = RwLock::new(Shown::new(named, pair)?);
        Ok(Self { files: Mutex::new(files), shown })
    }

    /// Warnings for the operator at startup.
    pub fn warnings(&self) -> Vec<String> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let exposed = files.exposed.then(|| exposed(&files.named));
        drop(files);
        exposed.into_iter().chain(self.expiry_problem()).collect()
    }

    /// The acceptor of served connections.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.shown().serving.into()
    }

    /// The acceptor of refused connections.
    pub(super) fn refusing_acceptor(&self) -> TlsAcceptor {
        self.shown().refusing.into()
    }

    /// When the certificate expires, if that can be determined.
    pub(super) fn not_after(&self) -> Option<Timestamp> {
        self.shown().validity.map(|validity| validity.to)
    }

    /// The problems of the certificate, for `/health`.
    pub(super) fn problems(&self) -> Vec<String> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let problem = files.problem.as_ref().map(FileError::without_path);
        drop(files);
        problem.into_iter().chain(self.expiry_problem()).collect()
    }

    fn expiry_problem(&self) -> Option<String> {
        self.shown().validity.and_then(|validity| validity.problem(Utc::now()))
    }

    fn shown(&self) -> Shown {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ReloadedFiles for Tls {
    fn refresh(&self, anyway: bool) -> Reload {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.asked |= anyway;
        if !anyway && files.seen.is_some() && files.seen == files.on_disk() {
            return Reload::Settled;
        }
        let read = Pair::read(&files.named).and_then(|pair| {
            let (signatures, exposed) = (pair.signatures, pair.exposed);
            Ok((signatures, exposed, Shown::new(&files.named, pair)?))
        });
        match read {
            Ok((signatures, exposed, shown)) => {
                files.settle(signatures, exposed);
                let not_after = shown.validity.as_ref().map(|validity| validity.to.to_rfc3339());
                tracing::info!(not_after, "certificate re-read");
                *self.shown.write().unwrap_or_else(PoisonError::into_inner) = shown;
                Reload::Settled
            }
            Err(problem) => files.doubt(problem),
        }
    }
}

impl Files {
    fn on_disk(&self) -> Option<(Signature, Signature)> {
        let of = |path| fs::metadata(path).ok().map(|metadata| Signature::of(&metadata));
        of(&self.named.certificate_file).zip(of(&self.named.key_file))
    }

    fn settle(&mut self, signatures: (Signature, Signature), is_exposed: bool) {
        (self.seen, self.bad_checks, self.problem) = (Some(signatures), 0, None);
        self.asked = false;
        if is_exposed && !self.exposed {
            tracing::warn!("{}", exposed(&self.named));
        }
        self.exposed = is_exposed;
    }

    /// Treats an invalid pair as one that is being replaced, a few times; then reports it.
    fn doubt(&mut self, problem: FileError) -> Reload {
        self.seen = None;
        self.bad_checks = self.bad_checks.saturating_add(1);
        if self.bad_checks < BAD_CHECKS {
            tracing::debug!(
                "certificate files invalid, maybe in the middle of a change; checking again: {problem}"
            );
            return Reload::Unsettled;
        }
        if std::mem::take(&mut self.asked) || self.problem.as_ref() != Some(&problem) {
            tracing::error!("{problem}; the previous certificate stays in use; correct the file");
            self.problem = Some(problem);
        }
        Reload::Settled
    }
}

impl Shown {
    fn new(named: &TlsFiles, pair: Pair) -> Result<Self, FileError> {
        let resolver = Arc::new(SingleCertAndKey::from(pair.key));
        let config = |protocols: &[&[u8]]| {
            let mut config = ServerConfig::builder_with_provider(ring::default_provider().into())
                .with_protocol_versions(&[&TLS13, &TLS12])
                .map_err(|error| {
                    pair::of_certificate(named, format!("the certificate cannot be used: {error}"))
                })?
                .with_no_client_auth()
                .with_cert_resolver(resolver.clone());
            config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
            Ok(Arc::new(config))
        };
        Ok(Self {
            serving: config(HTTP_2_AND_1)?,
            refusing: config(HTTP_1)?,
            validity: pair.validity,
        })
    }
}

fn exposed(named: &TlsFiles) -> String {
    format!(
        "`server.tls_key_file`: {}, every user of this machine can read the key; \
         remove this permission by `chmod o=`",
        named.key_file.display()
    )
}
