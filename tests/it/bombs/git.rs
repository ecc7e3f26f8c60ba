//! Repositories that are small to transfer and large to unpack, list or read.

use super::Scale;
use crate::support::forge::{Behaviour, Entry, Forge, Kind, Leaf, Pack, Repository};
use std::{fmt::Write as _, fs, io::Read, sync::Arc};

/// What deltas expand to: below git's limit for large blobs, so it is held in memory.
const BASE: u64 = 16_000_000;

/// 10^10 files.
pub(super) fn files(forge: &Forge, name: &str, _: Scale) {
    forge.add_empty_repository(name).commit_bomb(10, Leaf::File);
}

/// 10^10 empty folders, which a listing does not show.
pub(super) fn folders(forge: &Forge, name: &str, _: Scale) {
    forge.add_empty_repository(name).commit_bomb(10, Leaf::EmptyFolder);
}

/// A manifest of up to a gigabyte, in a pack of a few megabytes.
pub(super) fn zeros(forge: &Forge, name: &str, scale: Scale) {
    let (size, id) = scale.zeros;
    let mut pack = Pack::default();
    pack.zeros(size);
    let commit = pack.commit_of_file("requirements.txt", id);
    send(forge, name, &commit, pack);
}

/// A pack that never ends.
pub(super) fn endless(forge: &Forge, name: &str, _: Scale) {
    forge.add_repository(name, &[("requirements.txt", b"a==1\n")]);
    forge.behave_at(name, Behaviour::EndlessPack);
}

/// A complete pack that is larger than the fetch limit.
pub(super) fn large(forge: &Forge, name: &str, scale: Scale) {
    let repository = forge.add_empty_repository(name);
    repository.git(&["config", "core.compression", "0"], b"");
    let mut noise = Vec::new();
    let source = fs::File::open("/dev/urandom").expect("there is noise");
    source.take(scale.fetch_bytes + (16 << 20)).read_to_end(&mut noise).expect("noise has no end");
    repository.commit("main", &[Entry::File(b"noise", &noise)]);
}

/// A pack that claims 2^28 objects.
pub(super) fn announced(forge: &Forge, name: &str, _: Scale) {
    let (mut pack, commit) = small();
    pack.announce(1 << 28);
    send(forge, name, &commit, pack);
}

/// Files of which each is stored as a delta to the one before, packed by git itself.
pub(super) fn chain(forge: &Forge, name: &str, _: Scale) {
    let repository = forge.add_empty_repository(name);
    // Each shares three quarters with the one before, and less with all others.
    let mut seed = 1_u64;
    let mut noise = || {
        (0..40).fold("# ".to_owned(), |mut line, _| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let _ = write!(line, "{seed:016x}");
            line
        })
    };
    let mut lines = vec![noise(), noise(), noise()];
    let mut files = Vec::new();
    for number in 0..CHAIN {
        lines.push(noise());
        let text = format!("{}\na{number:04}==1\n", lines.join("\n"));
        files.push((format!("{number:04}/requirements.txt"), text));
        lines.remove(0);
    }
    let entries: Vec<Entry<'_>> =
        files.iter().map(|(path, text)| Entry::File(path.as_bytes(), text.as_bytes())).collect();
    repository.commit("main", &entries);
    let depth = format!("--depth={CHAIN}");
    repository.git(&["repack", "-adfq", &depth, "--threads=1"], b"");
    let packs = repository.path().join("objects/pack");
    let index = fs::read_dir(packs).expect("there are packs").flatten().map(|entry| entry.path());
    let index =
        index.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "idx"));
    let index = index.expect("there is a pack").display().to_string();
    let lengths = repository.git(&["verify-pack", "--stat-only", &index], b"");
    let longest =
        lengths.lines().filter_map(|line| line.strip_prefix("chain length = ")).next_back();
    let longest = longest.and_then(|text| text.split(':').next()?.parse::<u32>().ok());
    assert!(longest > Some(1000), "chains of {longest:?} only: {lengths}");
}

/// How many files [`chain`] has.
pub(super) const CHAIN: u32 = 3000;

/// A delta of a few kilobytes that copies 16 MB 256 times.
pub(super) fn difference(forge: &Forge, name: &str, _: Scale) {
    let (mut pack, commit) = small();
    let base = pack.zeros(BASE);
    pack.copies(base, BASE, 256, b"!");
    send(forge, name, &commit, pack);
}

/// Thousands of deltas that each expand to 16 MB.
pub(super) fn tight(forge: &Forge, name: &str, _: Scale) {
    let (mut pack, commit) = small();
    let base = pack.zeros(BASE);
    for number in 0..TIGHT {
        pack.copies(base, BASE, 1, format!("{number}").as_bytes());
    }
    send(forge, name, &commit, pack);
}

/// How many: half an hour of work, from less than a megabyte.
const TIGHT: u32 = 20_000;

/// 200,000 branches.
pub(super) fn branches(forge: &Forge, name: &str, _: Scale) {
    let repository = forge.add_repository(name, &[("requirements.txt", b"a==1\n")]);
    let commit = repository.git(&["rev-parse", "main"], b"");
    let mut refs = "# pack-refs with: peeled fully-peeled sorted \n".to_owned();
    for number in 0..200_000 {
        let _ = writeln!(refs, "{commit} refs/heads/branch-{number:06}");
    }
    crate::support::files::write(&repository.path().join("packed-refs"), refs);
}

/// The same from a server that lists all branches to everyone.
pub(super) fn old_branches(forge: &Forge, name: &str, scale: Scale) {
    branches(forge, name, scale);
    forge.behave_at(name, Behaviour::OldProtocol);
}

/// Branches that never end.
pub(super) fn endless_branches(forge: &Forge, name: &str, _: Scale) {
    forge.add_repository(name, &[("requirements.txt", b"a==1\n")]);
    forge.behave_at(name, Behaviour::EndlessRefs);
}

/// A commit with a message of hundreds of megabytes.
pub(super) fn message(forge: &Forge, name: &str, scale: Scale) {
    let repository = forge.add_empty_repository(name);
    repository.git(&["config", "core.compression", "1"], b"");
    let mut pack = Pack::default();
    let tree = repository.git(&["mktree"], b"");
    let mut commit = pack.commit(&tree).into_bytes();
    commit.resize(scale.message_bytes, b'x');
    let id = repository.git(&["hash-object", "-w", "-t", "commit", "--stdin"], &commit);
    repository.git(&["update-ref", "refs/heads/main", &id], b"");
    // What is packed is sent as it is; a loose object would be compressed for each client, which takes the server too
    // long to be told from a dead one while other scans need the processors.
    repository.git(&["repack", "-a", "-d", "-q"], b"");
}

/// A branch that is a tag of a tag of a tag, 10,000 levels deep.
pub(super) fn tags(forge: &Forge, name: &str, _: Scale) {
    let (mut pack, commit) = small();
    let repository = forge.add_empty_repository(name);
    let mut kind = "commit";
    let mut id = repository.git(&["hash-object", "-t", "commit", "--stdin"], commit.as_bytes());
    for number in 0..10_000 {
        let tag = format!("object {id}\ntype {kind}\ntag t{number}\ntagger A <a@b> 0 +0000\n\n");
        id = pack.object(Kind::Tag, tag.as_bytes());
        kind = "tag";
    }
    repository.git(&["index-pack", "--stdin"], &pack.finish());
    crate::support::files::write(&repository.path().join("refs/heads/main"), format!("{id}\n"));
}

/// Names that no checkout would accept: `..`, `.git`, all odd characters, one of 4,000 bytes.
pub(super) fn names(forge: &Forge, name: &str, _: Scale) {
    let mut pack = Pack::default();
    let manifest = pack.object(Kind::Blob, b"a==1\n");
    let folder = pack.tree(&[("100644", b"requirements.txt", &manifest)]);
    let long = "n".repeat(4000).into_bytes();
    let odd = "\u{202e}\u{7f}\n\r\t\u{1b}[31m\\\"';$(touch x)`%s%n<b>".as_bytes();
    let names: [&[u8]; NAMES] =
        [b".", b"..", b".git", b"-rf", b"C:", b"\xff\xfe", odd, b"con", &long];
    let entries: Vec<(&str, &[u8], &str)> =
        names.iter().map(|name| ("40000", *name, folder.as_str())).collect();
    let tree = pack.tree(&entries);
    let commit = pack.commit(&tree);
    unpack(&forge.add_empty_repository(name), &commit, pack);
}

/// How many folders [`names`] has, each with a manifest.
pub(super) const NAMES: usize = 9;

/// Folders a thousand deep.
pub(super) fn depth(forge: &Forge, name: &str, _: Scale) {
    let path = [b"d/".repeat(1000).as_slice(), b"requirements.txt"].concat();
    forge.add_empty_repository(name).commit("main", &[Entry::File(&path, b"a==1\n")]);
}

/// Up to a million entries in one folder.
pub(super) fn entries(forge: &Forge, name: &str, scale: Scale) {
    let mut pack = Pack::default();
    let file = pack.object(Kind::Blob, b"{");
    wide(forge, name, pack, "100644", &file, scale.entries);
}

/// 200,000 manifests of one byte.
pub(super) fn manifests(forge: &Forge, name: &str, scale: Scale) {
    let mut pack = Pack::default();
    let file = pack.object(Kind::Blob, b"{");
    let folder = pack.tree(&[("100644", b"package.json", &file)]);
    wide(forge, name, pack, "40000", &folder, scale.manifests);
}

/// Manifests with few declarations each, in folders with long names: each package carries the path
/// of its file.
pub(super) fn results(forge: &Forge, name: &str, _: Scale) {
    let mut pack = Pack::default();
    let lines: Vec<String> = (0..16).map(|number| format!("a{number}==1\n")).collect();
    let file = pack.object(Kind::Blob, lines.concat().as_bytes());
    deep(forge, name, pack, "requirements.txt", &file, b'p', 6000);
}

/// So many paths of 4,000 bytes that they take more memory than the files they point to.
pub(super) fn paths(forge: &Forge, name: &str, _: Scale) {
    let mut pack = Pack::default();
    let file = pack.object(Kind::Blob, b"a==1\n");
    deep(forge, name, pack, "requirements.txt", &file, b'p', 20_000);
}

/// Broken manifests in folders whose names grow sixfold when escaped.
pub(super) fn warnings(forge: &Forge, name: &str, _: Scale) {
    let mut pack = Pack::default();
    let file = pack.object(Kind::Blob, b"{");
    deep(forge, name, pack, "package.json", &file, 0x1b, 1000);
}

/// A symbolic link in place of every manifest.
pub(super) fn links(forge: &Forge, name: &str, _: Scale) {
    let manifests = [
        "Cargo.lock",
        "Cargo.toml",
        "build.gradle",
        "build.sbt",
        "environment.yml",
        "go.mod",
        "package-lock.json",
        "package.json",
        "pom.xml",
        "pyproject.toml",
        "requirements.txt",
        "setup.cfg",
        "setup.py",
    ];
    let entries: Vec<Entry<'_>> =
        manifests.iter().map(|manifest| Entry::Link(manifest.as_bytes(), "/etc/passwd")).collect();
    forge.add_empty_repository(name).commit("main", &entries);
}

/// A pack of one small manifest, and the text of its commit.
fn small() -> (Pack, String) {
    let mut pack = Pack::default();
    let manifest = pack.object(Kind::Blob, b"a==1\n");
    let commit = pack.commit_of_file("requirements.txt", &manifest);
    (pack, commit)
}

/// One folder of so many identical entries.
fn wide(forge: &Forge, name: &str, mut pack: Pack, mode: &str, id: &str, count: u32) {
    let names: Vec<String> = (0..count).map(|number| format!("f{number:07}")).collect();
    let entries: Vec<(&str, &[u8], &str)> =
        names.iter().map(|name| (mode, name.as_bytes(), id)).collect();
    let tree = pack.tree(&entries);
    let commit = pack.commit(&tree);
    unpack(&forge.add_empty_repository(name), &commit, pack);
}

/// One file in each of so many folders, with a path of 4,000 bytes that are mostly `letter`.
fn deep(forge: &Forge, name: &str, mut pack: Pack, file: &str, blob: &str, letter: u8, count: u32) {
    let mut folder = pack.tree(&[("100644", file.as_bytes(), blob)]);
    for _ in 0..16 {
        folder = pack.tree(&[("40000", &[letter; 245], &folder)]);
    }
    wide(forge, name, pack, "40000", &folder, count);
}

/// Unpacks a pack into a repository and points its branch to this commit.
fn unpack(repository: &Repository, commit: &str, pack: Pack) {
    repository.git(&["index-pack", "--stdin"], &pack.finish());
    lead_to(repository, commit);
}

/// Creates a repository that has only its commit, and answers every fetch with this pack.
fn send(forge: &Forge, name: &str, commit: &str, pack: Pack) {
    lead_to(&forge.add_empty_repository(name), commit);
    forge.behave_at(name, Behaviour::Send(Arc::new(pack.finish())));
}

/// Writes a commit and points the default branch to it.
fn lead_to(repository: &Repository, commit: &str) {
    let id = repository.git(&["hash-object", "-w", "-t", "commit", "--stdin"], commit.as_bytes());
    repository.git(&["update-ref", "refs/heads/main", &id], b"");
}
