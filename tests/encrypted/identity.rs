//! A certificate of a test, made by openssl.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use zonebeat::config::certificate::CertificateFiles;

/// The name that certificates are made for.
pub(crate) const HOST: &str = "ns1.example.org";

/// A directory with `certificate.pem` and `key.pem`.
pub(crate) struct Identity {
    folder: TempDir,
}

impl Identity {
    /// A new pair.
    pub(crate) fn new() -> Self {
        let identity = Self { folder: tempfile::tempdir().unwrap() };
        identity.renew();
        identity
    }

    /// Makes another pair in place of the one that is there.
    pub(crate) fn renew(&self) {
        make(&self.certificate(), &self.key(), 30);
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder().join("certificate.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder().join("key.pem")
    }

    pub(crate) fn files(&self) -> CertificateFiles {
        CertificateFiles { certificate: self.certificate(), key: self.key() }
    }

    /// A client that trusts this certificate alone, as it is now.
    pub(crate) fn client(&self, alpn: &[&[u8]]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.certificate()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        config
    }
}

/// Makes a certificate for [`HOST`] and 127.0.0.1, signed by itself.
pub(crate) fn make(certificate: &Path, key: &Path, days: u32) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj"])
        .arg(format!("/CN={HOST}"))
        .args(["-addext", &format!("subjectAltName=DNS:{HOST},IP:127.0.0.1")])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-days", &days.to_string()])
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(certificate)
        .stderr(Stdio::null())
        .status()
        .expect("openssl is missing; run `make setup`");
    assert!(made.success(), "openssl made no certificate");
}
