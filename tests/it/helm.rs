//! The Helm chart: its templates, rendered by the template engine of Go with the values of the chart and
//! with all of its options, are objects that Kubernetes accepts, and name commands and settings that exist.

use crate::{
    packaging::{is_a_command_line, scanwatch},
    support::python::{chart_checker, succeed},
};
use serde_json::Value;
use std::path::Path;

/// Prints the objects for the values of the chart, then those for all options, as JSON, one line each.
const RENDER: &str = r#"
import glob, json, subprocess, sys, tempfile
import kubernetes_validate, yaml

chart = sys.argv[1]
parts = open(chart + "/templates/_parts.tpl").read()
about = yaml.safe_load(open(chart + "/Chart.yaml"))
CODE = "import sys, go_template; go_template.render_template(*sys.argv[1:])"

def render(values):
    context = {
        "Values": values,
        "Release": {"Name": "sw", "Namespace": "default"},
        "Chart": {"Name": about["name"], "AppVersion": about["appVersion"]},
    }
    objects = []
    for path in sorted(glob.glob(chart + "/templates/*.yaml")):
        with tempfile.TemporaryDirectory() as folder:
            template, data, output = (folder + "/" + name for name in ("template", "values", "output"))
            open(template, "w").write(parts + open(path).read())
            yaml.safe_dump(context, open(data, "w"))
            subprocess.run([sys.executable, "-c", CODE, template, data, output], check=True)
            objects += [found for found in yaml.safe_load_all(open(output).read()) if found]
    for found in objects:
        # Objects of KEDA have no schema among those of Kubernetes.
        if not found["apiVersion"].startswith("keda.sh/"):
            for version in ("1.27", "1.33"):
                kubernetes_validate.validate(found, version, strict=True)
    print(json.dumps(objects))

values = yaml.safe_load(open(chart + "/values.yaml"))
render(values)
values["imagePullSecrets"] = ["registry"]
values["server"].update(secrets=["gitlab"], settings='[network]\nallow_hosts = ["a \\"b\\""]\n')
values["server"]["storage"]["className"] = "fast"
values["ingress"].update(enabled=True, className="nginx", tlsSecret="tls")
values["nats"].update(servers=["nats://a:4222", "nats://b:4222"], credentialsSecret="server-nats")
values["agents"].update(credentialsSecret="agent-nats", secrets=["proxy"], label="dmz")
values["keda"]["enabled"] = True
render(values)
"#;

fn rendered() -> (Vec<Value>, Vec<Value>) {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/helm/scanwatch");
    let done = succeed(chart_checker().arg("-c").arg(RENDER).arg(&chart));
    let printed = String::from_utf8(done.stdout).unwrap();
    let mut lines = printed.lines().map(|line| serde_json::from_str(line).unwrap());
    (lines.next().unwrap(), lines.next().unwrap())
}

fn kinds(objects: &[Value]) -> Vec<&str> {
    objects.iter().map(|object| object["kind"].as_str().unwrap()).collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap()
}

/// The variables of a container that have a value of their own.
fn variables(container: &Value) -> Vec<(String, String)> {
    let set = container["env"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    set.filter_map(|one| Some((text(&one["name"])?, text(&one["value"])?))).collect()
}

/// Fails unless a container starts an existing command with settings that are valid.
fn is_started_with_existing_things(container: &Value) {
    let words: Vec<_> =
        container["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    is_a_command_line(&words);
    let mut environment: Vec<_> = variables(container)
        .into_iter()
        .filter(|(name, _)| name.starts_with("SCANWATCH_") && !name.ends_with("_FILE"))
        .collect();
    let shown = scanwatch(&["config", "show"], &environment);
    let errors = String::from_utf8_lossy(&shown.stderr).into_owned();
    assert!(shown.status.success(), "{environment:?}: {errors}");
    let shown = String::from_utf8(shown.stdout).unwrap();
    for (name, _) in environment.drain(..) {
        assert!(shown.contains(&format!("environment variable {name}")), "{name}: {shown}");
    }
}

/// Breaks if Kubernetes refuses an object, or one that nobody wanted is there.
#[test]
fn the_values_of_the_chart_give_one_server() {
    let (plain, full) = rendered();
    assert_eq!(kinds(&plain), ["Service", "StatefulSet", "ConfigMap"]);
    assert_eq!(
        kinds(&full),
        ["Deployment", "Ingress", "ScaledObject", "Service", "StatefulSet", "ConfigMap"]
    );
    let server = of_kind(&plain, "StatefulSet");
    assert_eq!(server["spec"]["replicas"], 1);
    let pod = &server["spec"]["template"]["spec"];
    is_started_with_existing_things(&pod["containers"][0]);
    assert_eq!(pod["securityContext"]["runAsUser"], 10001, "the user of the image");
    // Settings survive quotes and line feeds.
    let settings = &of_kind(&full, "ConfigMap")["data"]["scanwatch.toml"];
    assert_eq!(settings, "[network]\nallow_hosts = [\"a \\\"b\\\"\"]\n");
}

/// Breaks if agents are started without what they need, or with what does not exist.
#[cfg(feature = "nats")]
#[test]
fn agents_enrol_and_scan_for_the_server() {
    let (_, full) = rendered();
    let server = &of_kind(&full, "StatefulSet")["spec"]["template"]["spec"]["containers"][0];
    is_started_with_existing_things(server);
    let agents = of_kind(&full, "Deployment");
    assert!(agents["spec"].get("replicas").is_none(), "KEDA sets the number");
    let pod = &agents["spec"]["template"]["spec"];
    is_started_with_existing_things(&pod["initContainers"][0]);
    is_started_with_existing_things(&pod["containers"][0]);
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    let set = variables(&pod["containers"][0]);
    let value = |name: &str| set.iter().find(|(known, _)| known == name).unwrap().1.clone();
    let drain: u64 = value("SCANWATCH_AGENT__DRAIN_TIMEOUT_SECS").parse().unwrap();
    assert!(grace > drain, "a stop is not cut short");
    // The scaler reads the backlog of the consumer from which these agents take their work.
    let scaled = of_kind(&full, "ScaledObject");
    let trigger = &scaled["spec"]["triggers"][0]["metadata"];
    assert_eq!(trigger["consumer"], format!("agents_{}", value("SCANWATCH_AGENT__LABELS")));
    let namespace = value("SCANWATCH_ENGINE__NAMESPACE").to_uppercase();
    assert_eq!(trigger["stream"], format!("{namespace}_ATTEMPTS"));
    assert_eq!(scaled["spec"]["scaleTargetRef"]["name"], agents["metadata"]["name"]);
}
