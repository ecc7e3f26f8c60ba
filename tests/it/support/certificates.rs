//! A certificate authority known only to the test, and its certificates.

use super::files;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use std::{fmt, fs, os::unix::fs::PermissionsExt, path::Path};

/// An authority.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = named("an authority of the tests'");
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// The authority's own certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this machine, which is valid for long.
    pub(crate) fn issue(&self) -> Pair {
        self.issue_with(|_| {})
    }

    /// The same, with one change.
    pub(crate) fn issue_with(&self, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        self.made_for(&["127.0.0.1", "localhost"], change)
    }

    /// A certificate for these names and addresses.
    pub(crate) fn issue_for(&self, names: &[&str]) -> Pair {
        self.made_for(names, |_| {})
    }

    /// The same, with one change.
    pub(crate) fn made_for(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Pair {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name = named("a server of the tests'");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority")
    }
}

impl Pair {
    /// A self-signed certificate.
    pub(crate) fn self_signed(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Self {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Writes both into files, the key readable only by its owner.
    pub(crate) fn put(&self, certificate: &Path, key: &Path) {
        files::replace(certificate, &self.certificate);
        files::replace(key, &self.key);
        fs::set_permissions(key, PermissionsExt::from_mode(0o600)).expect("the file is ours");
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}
