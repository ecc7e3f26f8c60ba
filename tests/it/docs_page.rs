//! The page that shows the API: it loads nothing from other servers, keeps to its policy, and shows
//! every route.

use crate::support::{
    files,
    forge::program,
    python::succeed,
    server::{Setup, TestServer},
};
use reqwest::Method;
use serde_json::Value;

/// As much of a browser as the page's script needs. It prints what the script created: each
/// element's id and all text below it, and what the script reports about its state.
const BROWSER: &str = r#"
const { readFileSync } = require("node:fs");
const [document_path, script_path] = process.argv.slice(2);
class Element {
  constructor(name) { this.name = name; this.attributes = {}; this.children = []; this.listeners = {}; }
  setAttribute(key, value) { this.attributes[key] = String(value); }
  append(...children) { for (const child of children) this.children.push(child instanceof Element ? child : String(child)); }
  replaceWith() {}
  remove() { this.gone = true; }
  scrollIntoView() {}
  addEventListener(name, listener) { this.listeners[name] = listener; }
  set textContent(text) { this.children = [String(text)]; }
  get textContent() { return this.children.map((child) => child instanceof Element ? child.textContent : child).join(""); }
  set innerHTML(markup) { throw new Error("markup: " + markup); }
}
const known = {};
for (const id of ["operations", "contents", "version", "about", "filter", "state"]) known[id] = new Element("div");
known.filter.value = "";
globalThis.document = {
  createElement: (name) => new Element(name),
  getElementById: (id) => known[id] ?? null,
};
globalThis.location = { origin: "http://server", pathname: "/prefix/docs", hash: "" };
Object.defineProperty(globalThis, "navigator", { value: {} });
globalThis.fetch = async (url) => ({ ok: url === "http://server/prefix/openapi.json", json: async () => JSON.parse(readFileSync(document_path, "utf8")) });
(0, eval)(readFileSync(script_path, "utf8"));
setImmediate(() => setImmediate(() => {
  const sections = known.operations.children.filter((child) => child instanceof Element && child.attributes.id);
  const links = (node) => !(node instanceof Element) ? []
    : [...(node.attributes.href ? [node.attributes.href.slice(1)] : []), ...node.children.flatMap(links)];
  known.filter.value = "CANCEL";
  known.filter.listeners.input();
  console.log(JSON.stringify({
    state: known.state.gone ? "" : known.state.textContent,
    sections: Object.fromEntries(sections.map((section) => [section.attributes.id, section.textContent])),
    links: [...links(known.operations), ...links(known.contents)],
    visible: sections.filter((section) => section.hidden === false).map((section) => section.attributes.id),
  }));
}));
"#;

async fn server() -> TestServer {
    Setup::new().user("operator", "s3cret").start().await
}

/// Breaks if a route or a schema is not on the page, a link of it leads nowhere, or its content
/// cannot be found again.
#[tokio::test]
async fn every_route_and_schema_is_shown() {
    let server = server().await;
    let document = server.get("/openapi.json").await.expect(200);
    let paths = ["document.json", "script.js", "browser.js"].map(|name| server.file(name));
    let script = server.get("/docs/script.js").await.expect(200).text;
    for (path, text) in paths.iter().zip([&document.text, &script, BROWSER]) {
        files::write(path, text);
    }
    let [document_path, script_path, browser] = paths;
    let made = succeed(program("node").arg(browser).arg(document_path).arg(script_path));
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made["state"], "");

    let (document, sections) = (document.json(), made["sections"].as_object().unwrap());
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            let text = sections[id].as_str().unwrap();
            assert!(text.starts_with(&format!("{} {path}", method.to_ascii_uppercase())), "{text}");
            assert!(text.contains("curl"), "{text}");
            for status in operation["responses"].as_object().unwrap().keys() {
                assert!(text.contains(status.as_str()), "{id} shows no {status}: {text}");
            }
        }
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(sections.contains_key(&format!("schema-{name}")), "{name} is not shown");
    }
    for link in made["links"].as_array().unwrap() {
        assert!(sections.contains_key(link.as_str().unwrap()), "{link} leads nowhere");
    }
    let submit = sections["submitScan"].as_str().unwrap();
    assert!(
        submit.contains(r#"-X POST "http://server/prefix/scan" --json '{"git_url""#),
        "{submit}"
    );
    assert_eq!(made["visible"], serde_json::json!(["cancelScan"]), "what the filter leaves");
}

/// Breaks if strangers can read the page, or it contains what its policy forbids, or needs another
/// server.
#[tokio::test]
async fn the_page_keeps_to_its_policy_and_needs_no_other_server() {
    let server = server().await;
    for (path, media_type) in [
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/style.css", "text/css; charset=utf-8"),
        ("/docs/script.js", "text/javascript; charset=utf-8"),
    ] {
        server.send(server.without_credentials(Method::GET, path)).await.expect(401);
        let answer = server.get(path).await.expect(200);
        assert_eq!(answer.headers["content-type"], media_type);
        for foreign in ["http:", "https:", "\"//", " url(", "@import"] {
            assert!(!answer.text.contains(foreign), "{path} names another server: {foreign}");
        }
        let tag = answer.headers["etag"].clone();
        let again = server.request(Method::GET, path).header("if-none-match", tag);
        assert_eq!(server.send(again).await.expect(304).text, "");
    }
    let page = server.get("/docs").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    for inline in ["<style", " style=", "<script>", " onclick=", " onload=", "javascript:"] {
        assert!(!page.text.contains(inline), "{inline} is not allowed");
    }
}

/// Breaks if a browser that is sent to the server's address sees an error, or if the page needs the
/// root of its host: a proxy may serve it below a prefix.
#[tokio::test]
async fn a_browser_finds_the_page_from_the_root_and_below_a_prefix() {
    let server = server().await;
    let root = server.send(server.without_credentials(Method::GET, "/")).await.expect(200);
    assert!(root.text.contains("href=\"docs\""), "relative to any prefix");
    server.send(server.without_credentials(Method::GET, "/favicon.ico")).await.expect(204);
    let slash = server.get("/docs/").await.expect(308);
    assert_eq!(slash.header("location"), Some("../docs"), "references of the page are relative");
    let page = server.get("/docs").await.expect(200).text;
    for attribute in ["href=\"", "src=\""] {
        for rest in page.split(attribute).skip(1) {
            assert!(!rest.starts_with('/'), "{attribute}{}", rest.lines().next().unwrap());
        }
    }
}
