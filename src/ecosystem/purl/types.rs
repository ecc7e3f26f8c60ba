//! The purl rules of the types whose names have to be transformed.
//!
//! Input: a name as a file declares it. Output: its purl. Invariants: as in [`purl`](super), two
//! spellings of one package give equal purls.
//!
//! Decisions. `nim`, `crystal` and `bower` are not registered types yet; they are candidates of the
//! specification and are used as proposed. The purl of a Perl module is written like that of a
//! distribution, because the specification forbids `::`; its author is known only where the file names
//! one.

use super::canonical::{Parts, write};
use crate::model::ecosystem::Ecosystem;

/// The purl of a package of one of these types; none where the name is not valid.
pub(super) fn purl(ecosystem: Ecosystem, name: &str, version: Option<&str>) -> Option<String> {
    let lower = name.to_lowercase();
    let parts = Parts { name, version, ..Parts::default() };
    let parts = match ecosystem {
        Ecosystem::Terraform => return terraform(name, version),
        Ecosystem::Pub => {
            return write("pub", Parts { name: &lower.replace('-', "_"), ..parts });
        }
        // nim: names are compared without case and underscores ("Nimble User Guide").
        Ecosystem::Nim => return write("nim", Parts { name: &lower.replace('_', ""), ..parts }),
        Ecosystem::Cpan => return write("cpan", Parts { name: &name.replace("::", "-"), ..parts }),
        Ecosystem::Hex => Parts { name: &lower, ..parts },
        // luarocks-definition: a rock of a user's own manifest has the user as namespace.
        Ecosystem::LuaRocks => behind_last_slash(&lower, parts),
        // swift-definition: the host and the folders of the address are the namespace.
        Ecosystem::Swift => behind_last_slash(name, parts),
        // cocoapods-definition: a subspec is the subpath.
        Ecosystem::CocoaPods => match name.split_once('/') {
            Some((name, subspec)) => Parts { name, subpath: Some(subspec), ..parts },
            None => parts,
        },
        _ => parts,
    };
    write(ecosystem.as_str(), parts)
}

fn behind_last_slash<'a>(name: &'a str, parts: Parts<'a>) -> Parts<'a> {
    match name.rsplit_once('/') {
        Some((namespace, name)) => Parts { namespace: Some(namespace), name, ..parts },
        None => Parts { name, ..parts },
    }
}

/// terraform-definition: `hashicorp/aws` is a provider, `terraform-aws-modules/vpc/aws` a module,
/// whose purl has no last part; a registry other than the default comes before either.
fn terraform(name: &str, version: Option<&str>) -> Option<String> {
    let (host, rest) = match name.split_once('/') {
        Some((host, rest)) if host.contains('.') => (Some(host), rest),
        _ => (None, name),
    };
    let host = host.filter(|host| !host.eq_ignore_ascii_case("registry.terraform.io"));
    let usable = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:".contains(&byte);
    if !name.bytes().all(usable) {
        return None;
    }
    // The registry ignores case.
    let rest = rest.to_lowercase();
    let mut segments = rest.split('/');
    let first = segments.next()?;
    let parts = match segments.next() {
        Some(name) => Parts { namespace: Some(first), name, version, ..Parts::default() },
        // Terraform had no namespaces at first; all providers were HashiCorp's.
        None => Parts { namespace: Some("hashicorp"), name: first, version, ..Parts::default() },
    };
    match host {
        Some(host) => {
            let address = format!("https://{}", host.to_lowercase());
            let qualifiers = [("repository_url", address.as_str())];
            write("terraform", Parts { qualifiers: &qualifiers, ..parts })
        }
        None => write("terraform", parts),
    }
}

/// The purl of a Terraform module that is a repository: `host/path` is named as in a registry, by the host as
/// `repository_url`, but the whole path counts, so that two repositories of one group have two purls.
pub(in crate::ecosystem) fn terraform_repository(
    name: &str,
    version: Option<&str>,
) -> Option<String> {
    let (host, path) = name.split_once('/')?;
    let address = format!("https://{}", host.to_lowercase());
    let qualifiers = [("repository_url", address.as_str())];
    let path = path.trim_matches('/').to_lowercase();
    let parts = Parts { version, qualifiers: &qualifiers, ..Parts::default() };
    write("terraform", behind_last_slash(&path, parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_its_rules() {
        for (ecosystem, name, version, expected) in [
            (Ecosystem::Pub, "Http-Parser", "1.0.0", "pkg:pub/http_parser@1.0.0"),
            (
                Ecosystem::Swift,
                "github.com/apple/swift-nio",
                "2.0.0",
                "pkg:swift/github.com/apple/swift-nio@2.0.0",
            ),
            (
                Ecosystem::CocoaPods,
                "GoogleUtilities/NSData+zlib",
                "7.5.2",
                "pkg:cocoapods/GoogleUtilities@7.5.2#NSData%2Bzlib",
            ),
            (Ecosystem::CocoaPods, "A/B/C", "1", "pkg:cocoapods/A@1#B/C"),
            (Ecosystem::Hex, "Jason", "1.1.2", "pkg:hex/jason@1.1.2"),
            (Ecosystem::Terraform, "hashicorp/aws", "6.0.0", "pkg:terraform/hashicorp/aws@6.0.0"),
            (
                Ecosystem::Terraform,
                "registry.terraform.io/hashicorp/aws",
                "6.0.0",
                "pkg:terraform/hashicorp/aws@6.0.0",
            ),
            (Ecosystem::Terraform, "aws", "2.0", "pkg:terraform/hashicorp/aws@2.0"),
            (
                Ecosystem::Terraform,
                "terraform-aws-modules/vpc/aws",
                "6.0.1",
                "pkg:terraform/terraform-aws-modules/vpc@6.0.1",
            ),
            (
                Ecosystem::Terraform,
                "App.example.com/Acme/net/aws",
                "1.0.0",
                "pkg:terraform/acme/net@1.0.0?repository_url=https:%2F%2Fapp.example.com",
            ),
            (Ecosystem::LuaRocks, "LuaSocket", "3.1.0-1", "pkg:luarocks/luasocket@3.1.0-1"),
            (Ecosystem::LuaRocks, "Hisham/lfs", "1-1", "pkg:luarocks/hisham/lfs@1-1"),
            (Ecosystem::Opam, "git", "3/16.1", "pkg:opam/git@3%2F16.1"),
            (Ecosystem::Cpan, "Mojo::Base", "9.0", "pkg:cpan/Mojo-Base@9.0"),
            (Ecosystem::Hackage, "AC-HalfInteger", "1.2.1", "pkg:hackage/AC-HalfInteger@1.2.1"),
            (Ecosystem::Cran, "A3", "1.0.0", "pkg:cran/A3@1.0.0"),
            (Ecosystem::Nim, "Nim_Crypto", "0.5", "pkg:nim/nimcrypto@0.5"),
            (Ecosystem::Bower, "Jquery.UI", "1.0.0", "pkg:bower/Jquery.UI@1.0.0"),
            (Ecosystem::Vcpkg, "bzip2", "1.0.8", "pkg:vcpkg/bzip2@1.0.8"),
            (Ecosystem::Conan, "openssl", "3.0.3", "pkg:conan/openssl@3.0.3"),
        ] {
            assert_eq!(ecosystem.purl(name, Some(version)).as_deref(), Some(expected));
        }
    }

    #[test]
    fn each_repository_of_a_module_has_its_own_purl() {
        for (name, expected) in [
            (
                "github.com/Acme/kite",
                "pkg:terraform/acme/kite@1?repository_url=https:%2F%2Fgithub.com",
            ),
            ("h.example/a/b/kite", "pkg:terraform/a/b/kite@1?repository_url=https:%2F%2Fh.example"),
            ("h.example/a/b/reel", "pkg:terraform/a/b/reel@1?repository_url=https:%2F%2Fh.example"),
            ("h.example/kite", "pkg:terraform/kite@1?repository_url=https:%2F%2Fh.example"),
        ] {
            assert_eq!(terraform_repository(name, Some("1")).as_deref(), Some(expected));
        }
    }

    #[test]
    fn qualifiers_are_sorted_and_encoded() {
        let qualifiers = [("user", "a&b"), ("channel", "stable")];
        let parts =
            Parts { name: "x", version: Some("1"), qualifiers: &qualifiers, ..Parts::default() };
        let purl = write("conan", parts);
        assert_eq!(purl.as_deref(), Some("pkg:conan/x@1?channel=stable&user=a%26b"));
    }
}
