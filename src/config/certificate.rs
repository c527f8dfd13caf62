//! A certificate and its key, as PEM files.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::model::Timestamp;

/// How long before its end a certificate is warned about.
const SOON: Duration = Duration::from_secs(7 * 86_400);

/// Where a certificate and its key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// PEM: the certificate, then those between it and its root.
    pub certificate: PathBuf,
    /// PEM: the private key.
    pub key: PathBuf,
}

/// The octets of both files.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateText {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// A certificate with its own key, ready for handshakes.
#[derive(Debug, Clone)]
pub struct Pair {
    /// What handshakes need.
    pub certified: Arc<CertifiedKey>,
    /// When the certificate ends.
    pub expires: Timestamp,
}

/// Which of the two files is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// That of the certificate.
    Certificate,
    /// That of the key.
    Key,
}

/// Why a pair cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairError {
    /// Which file it is about.
    pub half: Half,
    /// The file.
    pub path: PathBuf,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for PairError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" {}", self.path.display(), self.message)
    }
}

impl std::error::Error for PairError {}

impl CertificateFiles {
    /// Reads and checks both.
    pub fn read(&self) -> Result<Pair, PairError> {
        self.parse(&self.text()?)
    }

    /// The octets of both files, as they are now.
    pub fn text(&self) -> Result<CertificateText, PairError> {
        let read = |half, path: &Path| {
            std::fs::read(path).map_err(|error| self.error(half, format!("cannot be read: {error}")))
        };
        Ok(CertificateText {
            certificate: read(Half::Certificate, &self.certificate)?,
            key: read(Half::Key, &self.key)?,
        })
    }

    /// Checks what the files say.
    pub fn parse(&self, text: &CertificateText) -> Result<Pair, PairError> {
        let chain = CertificateDer::pem_slice_iter(&text.certificate).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| self.error(Half::Certificate, format!("is not PEM: {error}")))?;
        let Some(expires) = chain.first().map(|first| not_after(first)) else {
            let message = "has no certificate; a PEM file with \"-----BEGIN CERTIFICATE-----\" is expected";
            return Err(self.error(Half::Certificate, message));
        };
        let key = PrivateKeyDer::from_pem_slice(&text.key).map_err(|_| {
            let message = "has no private key; a PEM file with \"-----BEGIN PRIVATE KEY-----\" and no passphrase is \
                           expected";
            self.error(Half::Key, message)
        })?;
        let certified = CertifiedKey::from_der(chain, key, &default_provider());
        let certified = certified.map_err(|error| self.explain(&error))?;
        let expires = expires.ok_or_else(|| self.error(Half::Certificate, "is not an X.509 certificate"))?;
        Ok(Pair { certified: Arc::new(certified), expires })
    }

    fn explain(&self, error: &rustls::Error) -> PairError {
        match error {
            rustls::Error::InconsistentKeys(_) => {
                let certificate = self.certificate.display();
                self.error(Half::Key, format!("is not the key of \"{certificate}\"; name the one it was made with"))
            }
            rustls::Error::InvalidCertificate(error) => {
                self.error(Half::Certificate, format!("is not a usable certificate: {error:?}"))
            }
            error => {
                self.error(Half::Key, format!("is not a usable key (ECDSA P-256 or P-384, Ed25519, RSA): {error}"))
            }
        }
    }

    fn error(&self, half: Half, message: impl Into<String>) -> PairError {
        let path = match half {
            Half::Certificate => &self.certificate,
            Half::Key => &self.key,
        };
        PairError { half, path: path.clone(), message: message.into() }
    }
}

impl Pair {
    /// What somebody should look at: that clients refuse the certificate, or soon will.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let left = Duration::from_millis(self.expires.0.saturating_sub(now.0));
        match left {
            Duration::ZERO => Some(format!("expired at {}; clients refuse it: put a new one in place", self.expires)),
            left if left < SOON => Some(format!("expires at {}; put a new one in place", self.expires)),
            _ => None,
        }
    }
}

/// Tags of DER that stand before and in a certificate's validity (RFC 5280 section 4.1).
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When a certificate ends; `None` if it is none.
fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (_, signed, _) = element(certificate)?;
    let (_, mut rest, _) = element(signed)?;
    if rest.first() == Some(&VERSION) {
        (_, _, rest) = element(rest)?;
    }
    for _ in ["serial number", "signature algorithm", "issuer"] {
        (_, _, rest) = element(rest)?;
    }
    let (SEQUENCE, validity, _) = element(rest)? else { return None };
    let (_, _, rest) = element(validity)?;
    let (tag, text, _) = element(rest)?;
    time(tag, text)
}

/// Tag, content and what follows the first element of DER.
fn element(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = octets.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(first) {
        short @ ..0x80 => (short, rest),
        long => {
            let (length, rest) = rest.split_at_checked(long - 0x80)?;
            (length.iter().try_fold(0usize, |sum, octet| sum.checked_mul(256)?.checked_add((*octet).into()))?, rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// A time as RFC 5280 section 4.1.2.5 has it: in UTC, years of two digits from 1950 to 2049.
fn time(tag: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => text.split_at_checked(2)?,
        GENERALIZED_TIME => text.split_at_checked(4)?,
        _ => return None,
    };
    let year: i16 = match (tag, year.parse().ok()?) {
        (UTC_TIME, year @ ..50) => 2000 + year,
        (UTC_TIME, year) => 1900 + year,
        (_, year) => year,
    };
    let part = |at: usize| rest.get(2 * at..2 * at + 2)?.parse::<i8>().ok();
    let time = jiff::civil::DateTime::new(year, part(0)?, part(1)?, part(2)?, part(3)?, part(4)?, 0).ok()?;
    let stamp = jiff::tz::TimeZone::UTC.to_timestamp(time).ok()?;
    Some(Timestamp(stamp.as_millisecond().max(0) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc5280_4_1_2_5_times_have_two_or_four_digits_of_a_year() {
        let stamp = |tag, text: &str| time(tag, text.as_bytes()).map(|stamp| stamp.to_string());
        assert_eq!(stamp(UTC_TIME, "491231235959Z").as_deref(), Some("2049-12-31T23:59:59Z"));
        assert_eq!(stamp(UTC_TIME, "700101000001Z").as_deref(), Some("1970-01-01T00:00:01Z"));
        assert_eq!(stamp(GENERALIZED_TIME, "20500101000000Z").as_deref(), Some("2050-01-01T00:00:00Z"));
        for bad in ["", "Z", "491331235959Z", "4912312359Z", "491231235959", "äö1231235959Z"] {
            assert_eq!(stamp(UTC_TIME, bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        for octets in [&b""[..], b"\x30", b"\x30\x80", b"\x30\x03\x30\x01\x02", &[0x30, 0xFF, 1, 2], &[0x30; 40]] {
            assert_eq!(not_after(octets), None, "{octets:?}");
        }
    }
}
