//! TLS of the service: two files come in, what connections need for their handshakes goes out.
//!
//! | file | concern |
//! |---|---|
//! | `pair` | a certificate and its key, from their files |
//! | `validity` | from when and until when a certificate is good |
//!
//! What must stay true: at the start the files have to be right; afterwards a pair that does not
//! make sense changes nothing, is reported until it is good again, and is said once in the log;
//! the two files are replaced at two instants, so that a pair is looked at some more times before it
//! is called bad; a connection keeps what its handshake began with.

mod pair;
mod validity;

use super::named_file::{FileError, Look, NamedFiles};
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

/// What is spoken above TLS, in the order in which the server likes it.
const HTTP_2_AND_1: &[&[u8]] = &[b"h2", b"http/1.1"];
const HTTP_1: &[&[u8]] = &[b"http/1.1"];

/// How many looks in a row have to find a pair bad until it is called so.
const BAD_LOOKS: u32 = 10;

/// The certificate that is shown, and the files it comes from.
#[derive(Debug)]
pub struct Tls {
    files: Mutex<Files>,
    shown: RwLock<Shown>,
}

/// A certificate as connections use it.
#[derive(Debug, Clone)]
struct Shown {
    serving: Arc<ServerConfig>,
    /// For connections that are only told that there is no place: in the version of HTTP that
    /// such an answer is written in.
    refusing: Arc<ServerConfig>,
    validity: Option<Validity>,
}

#[derive(Debug)]
struct Files {
    named: TlsFiles,
    /// Of the contents that made sense last; none while they do not.
    seen: Option<(Signature, Signature)>,
    /// How often in a row they made none.
    bad_looks: u32,
    problem: Option<FileError>,
    /// The key's file lets strangers read it.
    exposed: bool,
}

impl Tls {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// Which of the files cannot be used, and why.
    pub fn open(named: &TlsFiles) -> Result<Self, FileError> {
        let pair = Pair::read(named)?;
        let files = Files {
            named: named.clone(),
            seen: Some(pair.signatures),
            bad_looks: 0,
            problem: None,
            exposed: pair.exposed,
        };
        let shown = RwLock::new(Shown::new(named, pair)?);
        Ok(Self { files: Mutex::new(files), shown })
    }

    /// What the operator should know when the server starts, though it can do its work.
    pub fn warnings(&self) -> Vec<String> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let exposed = files.exposed.then(|| exposed(&files.named));
        drop(files);
        exposed.into_iter().chain(self.ending()).collect()
    }

    /// For the handshake of a connection that is served.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.shown().serving.into()
    }

    /// For the handshake of a connection for which there is no place.
    pub(super) fn refusing_acceptor(&self) -> TlsAcceptor {
        self.shown().refusing.into()
    }

    /// When the certificate ends, if it says so in a way that is understood.
    pub(super) fn not_after(&self) -> Option<Timestamp> {
        self.shown().validity.map(|validity| validity.to)
    }

    /// What is wrong, for `/health`.
    pub(super) fn problems(&self) -> Vec<String> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let problem = files.problem.as_ref().map(FileError::without_path);
        drop(files);
        problem.into_iter().chain(self.ending()).collect()
    }

    fn ending(&self) -> Option<String> {
        self.shown().validity.and_then(|validity| validity.problem(Utc::now()))
    }

    fn shown(&self) -> Shown {
        self.shown.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl NamedFiles for Tls {
    fn refresh(&self, anyway: bool) -> Look {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if !anyway && files.seen.is_some() && files.seen == files.on_disk() {
            return Look::Settled;
        }
        let read = Pair::read(&files.named).and_then(|pair| {
            let (signatures, exposed) = (pair.signatures, pair.exposed);
            Ok((signatures, exposed, Shown::new(&files.named, pair)?))
        });
        match read {
            Ok((signatures, exposed, shown)) => {
                files.settle(signatures, exposed);
                let not_after = shown.validity.as_ref().map(|validity| validity.to.to_rfc3339());
                tracing::info!(not_after, "the certificate was read again");
                *self.shown.write().unwrap_or_else(PoisonError::into_inner) = shown;
                Look::Settled
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
        (self.seen, self.bad_looks, self.problem) = (Some(signatures), 0, None);
        if is_exposed && !self.exposed {
            tracing::warn!("{}", exposed(&self.named));
        }
        self.exposed = is_exposed;
    }

    /// Takes a bad pair for one that is being replaced, a few times; then believes it.
    fn doubt(&mut self, problem: FileError) -> Look {
        self.seen = None;
        self.bad_looks = self.bad_looks.saturating_add(1);
        if self.bad_looks < BAD_LOOKS {
            tracing::debug!("the certificate's files may be in the midst of a change: {problem}");
            return Look::Unsettled;
        }
        if self.problem.as_ref() != Some(&problem) {
            tracing::error!("{problem}; the certificate from before stays in use");
            self.problem = Some(problem);
        }
        Look::Settled
    }
}

impl Shown {
    fn new(named: &TlsFiles, pair: Pair) -> Result<Self, FileError> {
        let resolver = Arc::new(SingleCertAndKey::from(pair.key));
        let config = |protocols: &[&[u8]]| {
            let mut config = ServerConfig::builder_with_provider(ring::default_provider().into())
                .with_protocol_versions(&[&TLS13, &TLS12])
                .map_err(|error| {
                    pair::of_certificate(named, format!("it cannot be used: {error}"))
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
        "`server.tls_key_file`: {}, every user of this machine can read the key; take that right away by `chmod o=`",
        named.key_file.display()
    )
}
