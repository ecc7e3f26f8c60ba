//! A fake server: not a scanwatch server, or one of another version.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread,
};

/// Gives every request the same answer, and records the heads of the requests.
#[derive(Debug)]
pub(super) struct Fake {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// Answers with these bytes.
    pub(super) fn saying(answer: impl Into<String>) -> Self {
        Self::saying_after(answer, || ())
    }

    /// The same, after a request was read and `before` has returned.
    pub(super) fn saying_after(
        answer: impl Into<String>,
        before: impl Fn() + Send + 'static,
    ) -> Self {
        let (listener, answer) = (TcpListener::bind("127.0.0.1:0").unwrap(), answer.into());
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        // The thread ends with the test process.
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
                seen.lock().unwrap().push(head.join("\n"));
                before();
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { address, heads }
    }

    /// Answers with this status and JSON.
    pub(super) fn answering(status: &str, body: &str) -> Self {
        Self::saying(format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            body.len()
        ))
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of the requests so far, in lower case except values.
    pub(super) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}
