//! `[dns.encrypted]`: DNS over TLS, HTTPS and QUIC, and the certificate that they show.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::certificate::{CertificateFiles, Half, Pair};
use super::{Config, ConfigError};
use crate::model::{Finding, Timestamp};

/// `[dns.encrypted]`: what listens for encrypted queries. Nothing does by default.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Encrypted {
    /// PEM file with the certificate and those between it and its root.
    pub certificate: Option<PathBuf>,
    /// PEM file with the private key of the certificate.
    pub key: Option<PathBuf>,
    /// Addresses for DNS over TLS.
    pub tls: Vec<SocketAddr>,
    /// Addresses for DNS over HTTPS.
    pub https: Vec<SocketAddr>,
    /// The path of queries over HTTPS.
    pub https_path: String,
    /// Addresses for DNS over QUIC; UDP.
    pub quic: Vec<SocketAddr>,
}

impl Default for Encrypted {
    fn default() -> Self {
        Self {
            certificate: None,
            key: None,
            tls: Vec::new(),
            https: Vec::new(),
            https_path: "/dns-query".into(),
            quic: Vec::new(),
        }
    }
}

impl Encrypted {
    /// Whether anything listens.
    pub fn is_on(&self) -> bool {
        [&self.tls, &self.https, &self.quic].into_iter().any(|listen| !listen.is_empty())
    }

    /// The files of the certificate, if anything listens and both are named.
    pub fn files(&self) -> Option<CertificateFiles> {
        let (certificate, key) = (self.certificate.clone()?, self.key.clone()?);
        self.is_on().then_some(CertificateFiles { certificate, key })
    }

    /// What is wrong, as keys and messages.
    pub(super) fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        for (key, file, what) in [
            ("dns.encrypted.certificate", &self.certificate, "the certificate and those between it and its root"),
            ("dns.encrypted.key", &self.key, "the private key of the certificate"),
        ] {
            if self.is_on() && file.is_none() {
                faults.push((
                    key,
                    format!("is missing, and an encrypted transport listens; name a PEM file with {what}"),
                ));
            }
        }
        let plain = |octet: u8| octet.is_ascii_graphic() && !b"?#".contains(&octet);
        if !self.https_path.starts_with('/') || !self.https_path.bytes().all(plain) {
            let message = format!("\"{}\" is not a path such as \"/dns-query\"", self.https_path);
            faults.push(("dns.encrypted.https_path", message));
        }
        faults
    }

    /// What works and is probably not what was meant.
    pub(super) fn warnings(&self) -> Vec<String> {
        let named = self.certificate.is_some() || self.key.is_some();
        let unused = "dns.encrypted: a certificate is named, and nothing listens; set tls, https or quic";
        if named && !self.is_on() { vec![unused.to_owned()] } else { Vec::new() }
    }
}

impl Config {
    /// Reads the certificate of the encrypted transports, if any listens: what is wrong with its files is known before
    /// anything binds.
    pub fn read_certificate(&self) -> Result<Option<Pair>, ConfigError> {
        let read = self.dns.encrypted.files().map(|files| files.read()).transpose();
        read.map_err(|error| {
            let key = match error.half {
                Half::Certificate => "dns.encrypted.certificate",
                Half::Key => "dns.encrypted.key",
            };
            let finding: Finding = self.source.finding(key, &error.to_string());
            ConfigError::Wrong(vec![finding])
        })
    }

    /// Checks the files that the configuration names, apart from zone files: errors, or warnings in a sentence each.
    pub fn check_files(&self, now: Timestamp) -> Result<Vec<String>, ConfigError> {
        let pair = self.read_certificate()?;
        self.dns.cookies.read_secrets()?;
        self.tsig_key.iter().try_for_each(|key| key.read_secret().map(drop))?;
        Ok(pair
            .and_then(|pair| pair.warning(now))
            .map(|warning| format!("dns.encrypted.certificate: {warning}"))
            .into_iter()
            .collect())
    }
}
