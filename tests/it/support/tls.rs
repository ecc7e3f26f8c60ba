//! A TLS client's end: a connection that is kept, and the first bytes of one that is not.

use super::certificates::Pair;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, ClientConnection, RootCertStore,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

/// A connection with TLS.
#[derive(Debug)]
pub(crate) struct TlsConnection(pub(crate) TlsStream<TcpStream>);

impl TlsConnection {
    /// Does the handshake with a server whose authority is known, offering these protocols.
    pub(crate) async fn open(
        address: SocketAddr,
        authority: &str,
        protocols: &[&str],
    ) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        let connector = TlsConnector::from(config(authority, protocols));
        Ok(Self(connector.connect(name(), stream).await?))
    }

    /// Whether the server has shown this certificate.
    pub(crate) fn was_shown(&self, pair: &Pair) -> bool {
        let shown = self.0.get_ref().1.peer_certificates().expect("the handshake is over");
        let expected = CertificateDer::from_pem_slice(pair.certificate.as_bytes());
        shown.first() == Some(&expected.expect("a certificate"))
    }

    /// Requests a path by HTTP/1.1, and reads until this text has arrived.
    pub(crate) async fn ask(&mut self, path: &str, words: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        self.0.write_all(request.as_bytes()).await.expect("the connection stands");
        let mut received = Vec::new();
        let read = async {
            while !String::from_utf8_lossy(&received).contains(words) {
                let read = self.0.read_buf(&mut received).await.expect("the connection stands");
                assert!(read > 0, "it ended: {}", String::from_utf8_lossy(&received));
            }
        };
        timeout(super::wait::PATIENCE, read).await.expect("an answer comes");
        String::from_utf8_lossy(&received).into_owned()
    }
}

/// An address at which a client without TLS reaches a server with TLS.
#[derive(Debug)]
pub(crate) struct PlainEnd {
    pub(crate) address: SocketAddr,
    /// Ends with this value.
    _connection: JoinSet<()>,
}

impl PlainEnd {
    /// Passes one connection on to this server, by HTTP/1.1.
    pub(crate) async fn open(server: SocketAddr, authority: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let mut behind = TlsConnection::open(server, authority, &["http/1.1"])
            .await
            .expect("the server has a certificate of this authority");
        let mut connection = JoinSet::new();
        connection.spawn(async move {
            let (mut plain, _) = listener.accept().await.expect("the test connects");
            // The test sees on its side how it ended.
            let _ = copy_bidirectional(&mut plain, &mut behind.0).await;
        });
        Self { address, _connection: connection }
    }
}

/// What a client sends first.
pub(crate) fn client_hello(authority: &str) -> Vec<u8> {
    let mut connection =
        ClientConnection::new(config(authority, &["h2"]), name()).expect("a client");
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).expect("there is room");
    hello
}

/// Sends this, and returns how long it took the server to close the connection; `None` if it was
/// still open after `patience`. What it sends in the meantime is ignored.
pub(crate) async fn silent_after(
    address: SocketAddr,
    sent: &[u8],
    patience: Duration,
) -> Option<Duration> {
    let began = tokio::time::Instant::now();
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(sent).await.ok()?;
    let mut heard = Vec::new();
    timeout(patience, stream.read_to_end(&mut heard)).await.ok().map(|_| began.elapsed())
}

fn config(authority: &str, protocols: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(authority.as_bytes()).expect("a certificate");
    roots.add(authority).expect("an authority");
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions that are safe")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Arc::new(config)
}

fn name() -> ServerName<'static> {
    ServerName::try_from("127.0.0.1").expect("an address")
}
