//! `scan --resolve cache`: versions from the module caches of this machine.

use crate::support::{files, forge::program, python::succeed};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

const PROJECT: &str = "<project>
  <parent><groupId>org.example.build</groupId><artifactId>parent</artifactId><version>3</version><relativePath/></parent>
  <artifactId>app</artifactId>
  <dependencies>
    <dependency><groupId>org.example</groupId><artifactId>managed</artifactId></dependency>
    <dependency><groupId>org.example</groupId><artifactId>unmanaged</artifactId></dependency>
  </dependencies>
</project>";

/// The parent imports the BOM, which manages one of the two.
const PARENT: &str = "<project>
  <groupId>org.example.build</groupId><artifactId>parent</artifactId><version>3</version>
  <properties><bom.version>1.5</bom.version></properties>
  <dependencyManagement><dependencies>
    <dependency><groupId>org.example</groupId><artifactId>bom</artifactId><version>${bom.version}</version><type>pom</type><scope>import</scope></dependency>
  </dependencies></dependencyManagement>
</project>";

const BOM: &str = "<project>
  <groupId>org.example</groupId><artifactId>bom</artifactId><version>1.5</version>
  <dependencyManagement><dependencies>
    <dependency><groupId>org.example</groupId><artifactId>managed</artifactId><version>2.7.1</version></dependency>
  </dependencies></dependencyManagement>
</project>";

fn put(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    files::write(path, text);
}

fn scan(home: &Path, arguments: &[&str]) -> Value {
    let mut scan = program(env!("CARGO_BIN_EXE_scanwatch"));
    scan.args(["scan", "project"]).args(arguments);
    scan.env("TMPDIR", home).env("HOME", home).current_dir(home);
    serde_json::from_slice(&succeed(&mut scan).stdout).unwrap()
}

fn named<'a>(result: &'a Value, name: &str) -> &'a Value {
    let packages = result["packages"].as_array().unwrap();
    packages.iter().find(|package| package["name"] == name).unwrap()
}

/// Breaks if versions are not found in Maven's and Gradle's caches, or are looked up although nobody asked.
#[test]
fn versions_come_from_the_cache_only_if_it_is_asked_for() {
    let root = TempDir::new().unwrap();
    let home = root.path().canonicalize().unwrap();
    put(&home.join("project/pom.xml"), PROJECT);
    let parent = "org/example/build/parent/3/parent-3.pom";
    put(&home.join(".m2/repository").join(parent), PARENT);
    let bom = "org.example/bom/1.5/0123456789abcdef/bom-1.5.pom";
    put(&home.join(".gradle/caches/modules-2/files-2.1").join(bom), BOM);

    let by_parent = json!(["pkg:maven/org.example.build/parent@3"]);
    let alone = scan(&home, &["--format", "json"]);
    let package = named(&alone, "org.example:managed");
    assert_eq!((&package["version"], &package["managed_by"]), (&Value::Null, &by_parent));
    let bill = scan(&home, &["--format", "cyclonedx"]);
    let property = json!({ "name": "scanwatch:managed_by", "value": by_parent[0] });
    assert!(bill.to_string().contains(&property.to_string()), "{bill:#}");

    let resolved = scan(&home, &["--format", "json", "--resolve", "cache"]);
    let package = named(&resolved, "org.example:managed");
    assert_eq!((&package["version"], &package["resolved_from"]), (&json!("2.7.1"), &json!(bom)));
    assert!(package["managed_by"].is_null());
    assert_eq!(named(&resolved, "org.example:unmanaged")["version"], Value::Null);
    let bill = scan(&home, &["--format", "spdx", "--resolve", "cache"]);
    let comment = format!("scope: runtime; the version is from the local cache: {bom}");
    assert!(bill.to_string().contains(&comment), "{bill:#}");

    let cache = format!("cache={}", home.join(".m2/repository").display());
    let of_maven = scan(&home, &["--format", "json", "--resolve", &cache]);
    let by_bom = json!(["pkg:maven/org.example/bom@1.5"]);
    assert_eq!(named(&of_maven, "org.example:managed")["managed_by"], by_bom);
}

/// Breaks if the versions that a platform of Gradle manages are not those of the caches, if the lower one of two
/// counts, or if one counts although another platform may manage a higher one.
#[test]
fn platforms_of_gradle_are_read_from_the_cache() {
    let root = TempDir::new().unwrap();
    let home = root.path().canonicalize().unwrap();
    let script = "dependencies {\n  implementation(platform('org.example:bom:1.5'))\n  \
                  implementation(platform('org.example:higher:1'))\n  implementation 'org.example:managed'\n  \
                  implementation 'org.example:unmanaged'\n}\n";
    put(&home.join("project/build.gradle"), script);
    let cache = home.join(".gradle/caches/modules-2/files-2.1/org.example");
    put(&cache.join("bom/1.5/0123456789abcdef/bom-1.5.pom"), BOM);
    let one = scan(&home, &["--format", "json", "--resolve", "cache"]);
    let package = named(&one, "org.example:managed");
    let higher = json!(["pkg:maven/org.example/higher@1"]);
    assert_eq!(
        (&package["version"], &package["managed_by"]),
        (&Value::Null, &higher),
        "{package:#}"
    );

    let path = "higher/1/0123456789abcdef/higher-1.pom";
    let text = BOM.replace(">bom<", ">higher<").replace(">1.5<", ">1<").replace("2.7.1", "2.10.0");
    put(&cache.join(path), &text);
    let both = scan(&home, &["--format", "json", "--resolve", "cache"]);
    let package = named(&both, "org.example:managed");
    let source = json!(format!("org.example/{path}"));
    assert_eq!((&package["version"], &package["resolved_from"]), (&json!("2.10.0"), &source));
    assert_eq!(named(&both, "org.example:unmanaged")["version"], Value::Null);
}
