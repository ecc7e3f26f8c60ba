//! Headers that never end.

use super::under_attack;
use crate::support::{
    certificates::Authority,
    forge::program,
    h2::{self, frame},
    server::Setup,
};
use std::time::Duration;
use tokio::net::TcpStream;

const LONG: Duration = Duration::from_secs(20);

/// Breaks if a header list may be of any length: in endless frames, in text that decompresses to a
/// multiple of its size, or in one field that does not end.
#[tokio::test]
async fn too_long_a_header_list_ends_its_connection() {
    let server = Setup::new().start().await;
    let begin = || frame(h2::HEADERS, h2::END_STREAM, 1, &h2::block("GET", "/livez", &[]));
    let more = |block: &[u8]| frame(h2::CONTINUATION, 0, 1, block);
    let field = h2::literal(0, "x", "y").repeat(1000);
    // The first bytes of a field of a megabyte, and its continuation.
    let endless = h2::literal(0, "x", &"y".repeat(1 << 20));
    let (first, rest) = endless.split_at(16_000);
    // A field of 3,000 bytes in the table, and ten thousand times its number of one byte.
    let large = h2::literal(0x40, "x", &"y".repeat(3000));
    let bomb = [h2::block("GET", "/livez", &[]), large, vec![0xbe; 10_000]].concat();
    let bomb = frame(h2::HEADERS, h2::END_STREAM | h2::END_HEADERS, 1, &bomb);
    for (name, opening, then) in [
        ("fields", begin(), more(&field)),
        ("frames of nothing", begin(), more(&[])),
        ("one field", [begin(), more(first)].concat(), more(&rest[..16_000])),
        ("one field of nothing", [begin(), more(first)].concat(), more(&[])),
        ("what is unpacked", bomb, frame(h2::PING, 0, 0, &[0; 8])),
    ] {
        let line = TcpStream::connect(server.address()).await.unwrap();
        let opening = [h2::opening(&[]), opening].concat();
        // A thousand frames, and then silence: an end by timeout would prove nothing.
        let attack = h2::send_on(line, opening, Duration::from_secs(3), |sent| {
            if sent < 1000 { then.clone() } else { Vec::new() }
        });
        let course = under_attack(&server, attack).await;
        assert!(course.ended.is_some(), "{name}: {course:?}");
    }
}

/// Breaks if a client whose header is too long does not learn the reason.
#[tokio::test]
async fn too_long_a_header_is_answered_431() {
    let authority = Authority::new();
    let plain = Setup::new().start().await;
    let tls = Setup::new().with_tls(&authority).start().await;
    let ca = tls.setup().authority_file();
    let large = format!("X-Large: {}", "y".repeat(20_000));
    let huge = format!("@{}", plain.file("huge").display());
    crate::support::files::write(&plain.file("huge"), format!("X-Huge: {}\n", "y".repeat(1 << 20)));
    for (server, version) in [
        (&plain, "--http1.1"),
        (&plain, "--http2-prior-knowledge"),
        (&tls, "--http1.1"),
        (&tls, "--http2"),
    ] {
        for (header, too_long) in [("X-Small: y", false), (large.as_str(), true), (&huge, true)] {
            let mut command = program("curl");
            command.args(["-s", version, "-o", "/dev/null", "-w", "%{http_code}", "-H", header]);
            command.arg("--cacert").arg(&ca).arg(server.url("/livez"));
            let ask = async {
                tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
            };
            let answer =
                tokio::time::timeout(LONG, under_attack(server, ask)).await.expect("an end");
            let code = String::from_utf8(answer.stdout).unwrap();
            // A megabyte may also be answered by closing the connection.
            let fine = match (too_long, header == huge) {
                (false, _) => code == "200",
                (true, false) => code == "431",
                (true, true) => code == "431" || (code == "000" && !answer.status.success()),
            };
            assert!(fine, "{version}, {:.20}: {code} {:?}", header, answer.status);
        }
    }
}
