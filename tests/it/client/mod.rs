//! The client commands, as a user or a CI job runs them: the real program against a real server,
//! which is killed, stopped and restarted.

mod fake;
mod names;
mod refusals;
mod requests;
mod skipped;
mod trust;
mod waiting;

use crate::support::{
    forge::program,
    server::{Setup, TestServer},
};
use serde_json::Value;
use std::process::{Command, Output};

/// A scanner whose behaviour depends on the repository's name: `bad` fails, `held` and `part-1`
/// wait for the file `go`; all except `bad` find two packages.
const SCANNER: &str = r#"
say scanning '"total_files": 4, "current_file": 2'
case $SCANWATCH_REPO_NAME in
    bad|part-2) exit 3 ;;
    held|part-1) while [ ! -e "$dir/go" ]; do sleep 0.05; done ;;
esac
package() {
    printf '{"name": "%s", "version": "1.0", "ecosystem": "npm", "purl": "pkg:npm/x@1.0",
        "file": "a,b.json", "line": 3, "direct": true, "scope": "dev", "source": "lockfile"}' "$1"
}
printf '{"schema": 1, "packages": [%s, %s]}' "$(package =1+1)" "$(package left-pad)" > part
mv part "$SCANWATCH_RESULT_FILE"
say completed
"#;

/// The output and the exit code of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Standard output as one JSON document.
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Standard output as one JSON document per line.
    #[track_caller]
    fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// A server with the scanner above.
fn setup() -> Setup {
    Setup::new().shell(SCANNER)
}

/// The program, with the server's address in the environment.
fn scanwatch(server: &TestServer, arguments: &[&str]) -> Command {
    let mut command = program(env!("CARGO_BIN_EXE_scanwatch"));
    command.args(arguments).env("SCANNER_SERVER_URL", server.url(""));
    command
}

pub(crate) fn run(server: &TestServer, arguments: &[&str]) -> Ran {
    scanwatch(server, arguments).output().unwrap().into()
}

fn url(name: &str) -> String {
    format!("https://github.com/acme/{name}.git")
}
