//! The files that users install: the Debian package and the files of a release, built by the same
//! scripts, from the binary under test instead of an optimized one.

use crate::{
    sbom,
    support::{
        files,
        forge::program,
        namespace::{LIMITS, can, entered},
        python::succeed,
    },
};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_scanwatch");
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A script of `packaging`, which writes into this folder.
fn script(name: &str, out: &Path) -> Command {
    let mut command = program("bash");
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    command.arg(packaging.join(name)).arg(BINARY).arg(out);
    // A debug binary is large, and compressing it proves nothing.
    command.env("DPKG_DEB_COMPRESSOR_TYPE", "none");
    command
}

/// The output of a command that must succeed.
fn output(command: &mut Command) -> String {
    String::from_utf8(succeed(command).stdout).unwrap()
}

/// A root folder for packages, as `dpkg --root` wants it.
struct Root(TempDir);

impl Root {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        for below in ["info", "updates"] {
            fs::create_dir_all(folder.path().join("var/lib/dpkg").join(below)).unwrap();
        }
        files::write(&folder.path().join("var/lib/dpkg/status"), "");
        Self(folder)
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    /// Runs dpkg. The scripts of the package run outside of the root, which holds no shell.
    fn dpkg(&self, arguments: &[&str]) {
        let path = std::env::var("PATH").unwrap();
        let mut dpkg = program("dpkg");
        dpkg.arg(format!("--root={}", self.0.path().display()))
            .args(["--force-script-chrootless", "--force-depends", "--log=/dev/null"])
            .args(arguments)
            // Without a terminal, a question about a settings file ends the command.
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("PATH", format!("{path}:/usr/sbin:/sbin"));
        succeed(&mut dpkg);
    }

    /// What the root holds besides the records of dpkg and of the users.
    fn holds(&self) -> BTreeSet<String> {
        let below = files::below(self.0.path());
        let names = below.iter().map(|path| path.strip_prefix(self.0.path()).unwrap());
        let names = names.map(|path| path.display().to_string());
        names.filter(|path| !path.starts_with("var/lib/dpkg/") && !is_of_users(path)).collect()
    }
}

fn is_of_users(path: &str) -> bool {
    let known = ["passwd", "group", "shadow", "gshadow", ".pwd.lock"];
    let file = path.strip_prefix("etc/").map(|file| file.trim_end_matches('-'));
    file.is_some_and(|file| known.contains(&file))
}

/// The commands in the help of the program.
fn commands() -> Vec<String> {
    let help = output(program(BINARY).arg("--help"));
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect()
}

/// Breaks if the package lacks a file, does not enable the service, loses an administrator's
/// settings, or leaves more or less behind than Debian's policy says.
#[test]
fn the_debian_package_installs_upgrades_and_removes() {
    if !can("dpkg-shlibdeps", &["--version"])
        || !entered("packages::the_debian_package_installs_upgrades_and_removes", LIMITS)
    {
        return;
    }
    let out = TempDir::new().unwrap();
    let package = output(&mut script("deb.sh", out.path()));
    let package = package.trim_end();
    let fields = output(program("dpkg-deb").args(["--field", package]));
    assert!(fields.contains(&format!("\nVersion: {VERSION}\n")), "{fields}");
    assert!(fields.contains("libc6 (>= 2.") && fields.contains("git (>= 1:2.39)"), "{fields}");

    let root = Root::new();
    root.dpkg(&["--install", package]);
    let installed = root.path("usr/bin/scanwatch");
    assert_eq!(output(program(&installed).arg("--version")), format!("scanwatch {VERSION}\n"));
    let commands = commands();
    assert!(commands.len() > 10, "{commands:?}");
    for command in &commands {
        let page = root.path(&format!("usr/share/man/man1/scanwatch-{command}.1.gz"));
        let page = output(program("gzip").args(["--decompress", "--stdout"]).arg(page));
        assert!(page.contains(".SH SYNOPSIS"), "{command}: {page}");
    }
    for completions in [
        "bash-completion/completions/scanwatch",
        "zsh/vendor-completions/_scanwatch",
        "fish/vendor_completions.d/scanwatch.fish",
    ] {
        let text = files::text(&root.path(&format!("usr/share/{completions}")));
        assert!(text.contains("submit"), "{completions}: {text}");
    }
    let unit = root.path("usr/lib/systemd/system/scanwatch.service");
    let start = files::text(&unit);
    let start = start.lines().find_map(|line| line.strip_prefix("ExecStart=/")).unwrap();
    let words: Vec<_> = start.split(' ').collect();
    assert!(root.path(words[0]).exists(), "{start}");
    let settings = root.path(words.last().unwrap().trim_start_matches('/'));
    succeed(program(&installed).args(["config", "check", "--config"]).arg(&settings));
    let wanted = "etc/systemd/system/multi-user.target.wants/scanwatch.service";
    assert_eq!(
        fs::read_link(root.path(wanted)).unwrap(),
        Path::new("/usr/lib/systemd/system/scanwatch.service")
    );
    let users = files::text(&root.path("etc/passwd"));
    assert!(users.contains("scanwatch:x:") && users.contains(":/var/lib/scanwatch:"), "{users}");
    let secrets = root.path("etc/scanwatch/scanwatch.env");
    assert_eq!(secrets.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    // What the administrator changed survives an upgrade and a removal, and so do the jobs.
    files::write(&settings, "[scanner]\nmax_concurrent_processes = 2\n");
    let job = root.path("var/lib/scanwatch/tmp/scan_jobs/job/master.json");
    fs::create_dir_all(job.parent().unwrap()).unwrap();
    files::write(&job, "{}");
    fs::remove_file(root.path(wanted)).unwrap();
    root.dpkg(&["--install", package]);
    assert!(files::text(&settings).contains("= 2"));
    let is_enabled = fs::symlink_metadata(root.path(wanted)).is_ok();
    assert!(!is_enabled, "the administrator has disabled the service");
    root.dpkg(&["--remove", "scanwatch"]);
    let kept = ["etc/scanwatch/scanwatch.env", "etc/scanwatch/scanwatch.toml"];
    let jobs = "var/lib/scanwatch/tmp/scan_jobs/job/master.json";
    let mut left = root.holds();
    left.retain(|path| !path.starts_with("var/lib/systemd/"));
    assert_eq!(left, BTreeSet::from([kept[0], kept[1], jobs].map(str::to_owned)));
    root.dpkg(&["--purge", "scanwatch"]);
    assert_eq!(root.holds(), BTreeSet::new());
    let users = files::text(&root.path("etc/passwd"));
    assert!(users.contains("scanwatch:x:"), "files elsewhere may belong to the user: {users}");
}

/// Breaks if the files of a release do not match their sums, do not run, or do not name what
/// scanwatch is built from.
#[test]
fn a_release_has_sums_and_bills_of_materials() {
    if !can("dpkg-shlibdeps", &["--version"]) {
        return;
    }
    let out = TempDir::new().unwrap();
    let list = output(&mut script("release.sh", out.path()));
    assert_eq!(list.lines().count(), 5, "{list}");
    succeed(
        program("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(out.path()),
    );
    let sums = files::text(&out.path().join("SHA256SUMS"));
    assert_eq!(sums.lines().count(), 4, "{sums}");

    let archive = list.lines().find(|name| name.ends_with(".tar.gz")).unwrap();
    succeed(program("tar").args(["-xf", archive]).current_dir(out.path()));
    let unpacked = out.path().join(archive.trim_end_matches(".tar.gz"));
    let said = output(program(unpacked.join("scanwatch")).arg("--version"));
    assert_eq!(said, format!("scanwatch {VERSION}\n"));
    for file in [
        "LICENSE-MIT",
        "man/scanwatch-serve.1",
        "packaging/scanwatch.service",
        "docs/operations.md",
    ] {
        assert!(unpacked.join(file).is_file(), "{file}");
    }

    let documents =
        ["cdx", "spdx"].map(|kind| out.path().join(format!("scanwatch-{VERSION}.{kind}.json")));
    for document in &documents {
        let text = files::text(document);
        for package in ["pkg:cargo/serde@", "pkg:cargo/tokio@"] {
            assert!(text.contains(package), "{}: no {package}", document.display());
        }
        assert!(!text.contains("pkg:npm/"), "{}: packages of the tests", document.display());
    }
    sbom::judge(["cyclonedx", "spdx"].into_iter().zip(documents));
}

/// Breaks if the documented static binary cannot be built, or needs a library. Only where the
/// target is installed, because the build takes minutes.
#[test]
fn the_static_binary_needs_no_library() {
    const TARGET: &str = "x86_64-unknown-linux-musl";
    let home = std::env::var("HOME").unwrap();
    let tool = |name: &str| {
        let mut command = program(name);
        command.env("HOME", &home).current_dir(env!("CARGO_MANIFEST_DIR"));
        command
    };
    let targets = tool("rustup").args(["target", "list", "--installed"]).output();
    let targets = targets.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    if !targets.is_ok_and(|list| list.contains(TARGET)) {
        #[expect(clippy::print_stderr, reason = "why a test has tested nothing")]
        {
            eprintln!("skipped: the target {TARGET} is not installed");
        }
        return;
    }
    let below = Path::new(env!("CARGO_TARGET_TMPDIR")).join("static");
    let mut build = tool("cargo");
    build.args(["build", "--locked", "--target", TARGET, "--target-dir"]).arg(&below);
    succeed(&mut build);
    let binary = below.join(TARGET).join("debug/scanwatch");
    let said = output(program(&binary).arg("--version"));
    assert_eq!(said, format!("scanwatch {VERSION}\n"));
    let headers = output(program("readelf").arg("--program-headers").arg(&binary));
    assert!(!headers.contains("INTERP"), "{headers}");
}
