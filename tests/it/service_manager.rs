//! Notifications to a service manager (`NOTIFY_SOCKET`, `sd_notify(3)`).

use crate::support::{server::Setup, wait::PATIENCE, wait::until};
use std::{
    io::ErrorKind,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
};

async fn next(socket: &UnixDatagram) -> String {
    until(PATIENCE, "the service manager is notified", async || {
        let mut bytes = [0; 64];
        match socket.recv(&mut bytes) {
            Ok(length) => Some(String::from_utf8_lossy(&bytes[..length]).into_owned()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                None
            }
        }
    })
    .await
}

/// Breaks if a manager that waits for the service waits for ever, or considers it ready before it
/// can be used; by a socket of either kind.
#[tokio::test]
async fn a_service_manager_is_notified_of_start_and_stop() {
    for kind in ["path", "abstract"] {
        let setup = Setup::new().shell("say completed\n");
        let path = setup.folder().join("notify").display().to_string();
        let (socket, name) = if kind == "path" {
            (UnixDatagram::bind(&path).unwrap(), path)
        } else {
            let address = SocketAddr::from_abstract_name(&path).unwrap();
            (UnixDatagram::bind_addr(&address).unwrap(), format!("@{path}"))
        };
        socket.set_nonblocking(true).unwrap();
        let waiting = setup.write_group(1);
        let mut server = setup.variable("NOTIFY_SOCKET", name).start().await;
        assert_eq!(next(&socket).await, "READY=1");
        server.finished(&waiting).await;
        assert_eq!(server.terminate().await, Some(0));
        assert_eq!(next(&socket).await, "STOPPING=1");
    }
}

/// Breaks if the service needs its manager.
#[tokio::test]
async fn a_missing_service_manager_does_not_prevent_serving() {
    let server = Setup::new().variable("NOTIFY_SOCKET", "/nonexistent/socket").start().await;
    server.get("/health").await.expect(200);
    assert!(server.setup().log().contains("cannot notify the service manager"));
}
