//! TLS in front of a forge, with a certificate authority known only to the test.

use crate::support::certificates::{Authority, Pair};
use rcgen::{CertificateParams, date_time_ymd};
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::{Builder, Runtime},
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It has expired.
    Expired,
    /// It is not valid yet.
    OfTheFuture,
    /// It is for another host.
    OfAnother,
    /// It is self-signed.
    SelfSigned,
}

/// Terminates TLS, and forwards what it reads. It ends on drop.
#[derive(Debug)]
pub(crate) struct TlsFront {
    address: SocketAddr,
    authority: String,
    runtime: Option<Runtime>,
}

impl TlsFront {
    /// In front of the listener at `behind`, at <https://127.0.0.1> on a free port.
    pub(crate) fn start(behind: SocketAddr) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), &["127.0.0.1"], behind)
    }

    /// The same at another address in the current network namespace, with these names.
    pub(crate) fn at(address: SocketAddr, names: &[&str], behind: SocketAddr) -> Self {
        let authority = Authority::new();
        let pair = authority.issue_for(names);
        Self::showing(address, &pair, authority.pem(), behind)
    }

    /// At 127.0.0.1, with a certificate that must not be trusted.
    pub(crate) fn with(behind: SocketAddr, flaw: Flaw) -> Self {
        let authority = Authority::new();
        let name = if flaw == Flaw::OfAnother { "192.0.2.1" } else { "127.0.0.1" };
        let (first, last) = match flaw {
            Flaw::Expired => (2020, 2021),
            Flaw::OfTheFuture => (2990, 2999),
            _ => (2020, 2999),
        };
        let lasts = |params: &mut CertificateParams| {
            (params.not_before, params.not_after) =
                (date_time_ymd(first, 1, 1), date_time_ymd(last, 1, 1));
        };
        let pair = match flaw {
            Flaw::SelfSigned => Pair::self_signed(&[name], lasts),
            _ => authority.made_for(&[name], lasts),
        };
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::showing(address, &pair, authority.pem(), behind)
    }

    fn showing(address: SocketAddr, pair: &Pair, authority: String, behind: SocketAddr) -> Self {
        let certificate = CertificateDer::from_pem_slice(pair.certificate.as_bytes());
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions that are safe")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.expect("a certificate")], key)
            .expect("a certificate with its key");

        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime for the front");
        let listener = std::net::TcpListener::bind(address).expect("binding a free port");
        listener.set_nonblocking(true).expect("a socket that can wait");
        let address = listener.local_addr().expect("a bound socket has an address");
        let serving = serve(listener, TlsAcceptor::from(Arc::new(config)), behind);
        // It ends with the runtime.
        drop(runtime.spawn(serving));
        Self { address, authority, runtime: Some(runtime) }
    }

    /// The authority, as a settings file names it.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Scheme and authority of its URLs.
    pub(crate) fn base(&self) -> String {
        format!("https://{}", self.address)
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        // A test may be asynchronous itself, where blocking is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(listener: std::net::TcpListener, acceptor: TlsAcceptor, behind: SocketAddr) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        connections.spawn(async move {
            // A client that does not trust it disconnects: not a failure of the test.
            let Ok(mut outside) = acceptor.accept(stream).await else { return };
            if let Ok(mut inside) = TcpStream::connect(behind).await {
                let _ = copy_bidirectional(&mut outside, &mut inside).await;
            }
        });
    }
}
