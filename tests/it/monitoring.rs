//! What operators import into Prometheus and Grafana: alert rules, a dashboard, and the scrape
//! configuration of docs/operations.md, used by a real Prometheus that scrapes a running server.

use crate::support::{
    debian::Packages,
    files,
    python::succeed,
    server::{Setup, TestServer},
    wait::until,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Child,
};

/// A scanner of every outcome that the panels show.
const SCANNER: &str = r#"
case "$SCANWATCH_REPO_NAME" in bad) exit 3 ;; esac
say completed
"#;

fn packaging(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(path)
}

fn prometheus() -> Option<Packages> {
    Packages::unpacked(&["prometheus"])
}

/// Ends with the value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Breaks if a rule is invalid, does not fire when it should, or fires on a server that works.
#[test]
fn the_alert_rules_fire_when_they_should() {
    let Some(packages) = prometheus() else { return };
    for arguments in [["check", "rules"], ["test", "rules"]] {
        let file = match arguments[0] {
            "check" => "prometheus/scanwatch-alerts.yaml",
            _ => "prometheus/scanwatch-alerts-test.yaml",
        };
        let mut promtool = packages.command("usr/bin/promtool");
        succeed(promtool.args(arguments).arg(packaging(file)));
    }
    let rules = files::text(&packaging("prometheus/scanwatch-alerts.yaml"));
    let tests = files::text(&packaging("prometheus/scanwatch-alerts-test.yaml"));
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname=\"{alert}\"")), "nothing fires {alert}");
    }
}

/// A query to Prometheus; the rows of its result.
async fn query(port: u16, path: &str, expression: &str) -> Vec<Value> {
    let url = format!("http://127.0.0.1:{port}/api/v1/{path}");
    let client = scanwatch::http::client().build().unwrap();
    let url = reqwest::Url::parse_with_params(&url, [("query", expression)]).unwrap();
    let Ok(answer) = client.get(url).send().await else { return Vec::new() };
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default();
    if answer.is_null() {
        // It is not ready yet.
        return Vec::new();
    }
    assert_eq!(answer["status"], "success", "{expression}: {answer:#}");
    answer["data"]["result"].as_array().cloned().unwrap_or_else(|| vec![answer["data"].clone()])
}

/// The names of metrics in an expression.
fn names(expression: &str) -> BTreeSet<&str> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let metrics =
        words.filter(|word| word.starts_with("scanwatch_") || word.starts_with("process_"));
    metrics.collect()
}

/// Starts Prometheus with the configuration of the document; returns its port.
fn start(packages: &Packages, server: &TestServer, token: &str) -> (Running, u16) {
    let document = files::text(&packaging("../docs/operations.md"));
    let (_, rest) = document.split_once("```yaml\n").unwrap();
    let mut text = rest.split("```").next().unwrap().to_owned();
    let secret = server.file("prometheus.token");
    files::write(&secret, token);
    for (placeholder, by) in [
        (
            "/etc/prometheus/scanwatch-alerts.yaml",
            packaging("prometheus/scanwatch-alerts.yaml").display().to_string(),
        ),
        ("/etc/prometheus/scanwatch.token", secret.display().to_string()),
        ("127.0.0.1:8000", server.address().to_string()),
        ("scrape_interval: 30s", "scrape_interval: 500ms".to_owned()),
    ] {
        assert!(text.contains(placeholder), "{placeholder}");
        text = text.replace(placeholder, &by);
    }
    files::write(
        &server.file("prometheus.yaml"),
        format!("global:\n  evaluation_interval: 500ms\n{text}"),
    );
    let first = 20_000 + std::process::id() % 10_000;
    let port = (first..32_000)
        .filter_map(|port| u16::try_from(port).ok())
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .unwrap();
    let log = std::fs::File::create(server.file("prometheus.log")).unwrap();
    let process = packages
        .command("usr/bin/prometheus")
        .arg(format!("--config.file={}", server.file("prometheus.yaml").display()))
        .arg(format!("--storage.tsdb.path={}", server.file("prometheus").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .current_dir(server.folder())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    (Running(process), port)
}

/// Breaks if a query of the dashboard or of a rule is refused by Prometheus, or names a metric that
/// the server does not have.
#[tokio::test]
async fn prometheus_answers_every_query_of_the_dashboard() {
    let Some(packages) = prometheus() else { return };
    let setup = Setup::new().shell(SCANNER);
    let tokens = setup.folder().join("tokens");
    // As in the document: the line goes to the file, and the token to the terminal.
    let mut new = crate::support::forge::program(env!("CARGO_BIN_EXE_scanwatch"));
    let new = succeed(new.args(["token", "new", "prometheus", "--scope", "read"]));
    files::write(&tokens, &new.stdout);
    let said = String::from_utf8(new.stderr).unwrap();
    let token = said.split_whitespace().find(|word| word.starts_with("scanwatch_")).unwrap();
    let setup = setup.set("auth.tokens_file", json!(tokens)).user("operator", "s3cret");
    let server = setup.start().await;
    for name in ["good", "bad"] {
        let job = server.submit(name).await;
        server.finished(&job).await;
    }
    let (_prometheus, port) = start(&packages, &server, token);
    let patience = crate::support::wait::PATIENCE;
    until(patience, "some scrapes", async || {
        let scrapes =
            "count_over_time(scanwatch_build_info[1m]) >= 4 and on (instance) up{job=\"scanwatch\"} == 1";
        (!query(port, "query", scrapes).await.is_empty()).then_some(())
    })
    .await;

    let dashboard = files::json(&packaging("grafana/scanwatch.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut expressions = Vec::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels {}", panel["id"]);
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let expression =
                expression.replace("$__rate_interval", "1m").replace("$instance", ".*");
            assert!(!expression.contains('$'), "{expression}");
            expressions.push(expression);
        }
    }
    assert!(expressions.len() >= 15, "{expressions:#?}");
    for expression in &expressions {
        let rows = query(port, "query", expression).await;
        assert!(!rows.is_empty(), "no data: {expression}");
    }

    let groups = until(patience, "the rules are evaluated", async || {
        let groups = query(port, "rules", "").await;
        let rules = groups.first()?["groups"][0]["rules"].as_array()?.clone();
        rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
    })
    .await;
    assert!(groups.len() >= 12, "{groups:#?}");
    for rule in &groups {
        assert_eq!(
            (&rule["health"], &rule["state"]),
            (&json!("ok"), &json!("inactive")),
            "{rule:#}"
        );
        expressions.push(rule["query"].as_str().unwrap().to_owned());
    }
    // Only a server with TLS has a certificate, and only the built-in scanner a sandbox.
    let absent = ["scanwatch_tls_certificate_not_after_seconds", "scanwatch_sandbox_attempts"];
    for name in expressions.iter().flat_map(|expression| names(expression)) {
        if !absent.contains(&name) {
            assert!(!query(port, "query", name).await.is_empty(), "there is no metric {name}");
        }
    }
}
