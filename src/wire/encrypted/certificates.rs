//! The certificate in force, and its files.
//!
//! # What it holds
//!
//! The pair of certificate and key that every new handshake gets, swapped in one step; and the octets of both files
//! from which it was made. Connections keep what they shook hands with.
//!
//! # Change
//!
//! The files are read every few seconds, and compared with what is in force: octets, not times, so that it does not
//! matter whether they were written in place, renamed over, or reached by a link that was turned. Two files cannot
//! change in one step, so a pair that does not fit is complained about only when it is still there at the next look;
//! then once. SIGHUP looks at once ([`Certificates::reload`]). A pair that cannot be used never replaces one that can.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_util::sync::CancellationToken;

use crate::config::certificate::{CertificateFiles, CertificateText, Pair, PairError};
use crate::metrics::dns::DnsCounters;
use crate::metrics::encrypted::EncryptedCounters;
use crate::model::Clock;
use crate::model::clock::SystemClock;

/// How often the files are read.
const LOOK: Duration = Duration::from_secs(3);

/// The certificate that handshakes show.
pub struct Certificates {
    files: CertificateFiles,
    in_force: ArcSwap<Pair>,
    seen: Mutex<Seen>,
    counters: OnceLock<Arc<DnsCounters>>,
}

/// What was found in the files.
struct Seen {
    /// What the pair in force was made of.
    text: CertificateText,
    /// What was wrong at the last look.
    wrong: Option<Wrong>,
}

struct Wrong {
    error: PairError,
    told: bool,
}

/// What came of a look at the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// They say what is in force.
    Same,
    /// A new pair is in force.
    Replaced,
    /// They cannot be used; the pair before stays.
    Kept,
}

impl Certificates {
    /// Reads the files.
    pub fn load(files: CertificateFiles) -> Result<Arc<Self>, PairError> {
        let text = files.text()?;
        let pair = files.parse(&text)?;
        let seen = Mutex::new(Seen { text, wrong: None });
        let certificates = Self { files, in_force: ArcSwap::from_pointee(pair), seen, counters: OnceLock::new() };
        certificates.warn();
        Ok(Arc::new(certificates))
    }

    /// Looks at the files now, because somebody asked for it: what is wrong is said at once.
    pub fn reload(&self) -> Look {
        self.look(true)
    }

    /// Looks at the files again and again until the stop.
    pub(super) async fn watch(self: Arc<Self>, counters: Arc<DnsCounters>, stop: CancellationToken) {
        counters.encrypted.certificate(self.in_force.load().expires);
        let _ = self.counters.set(counters); // the first counters are the right ones: there is one server
        while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
            let looking = self.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || looking.look(false)).await {
                tracing::error!(%error, "looking at the certificate failed, which is a fault of ours");
            }
        }
    }

    fn look(&self, asked: bool) -> Look {
        let mut seen = self.seen();
        let found = self.files.text().and_then(|text| match text == seen.text {
            true => Ok(None),
            false => self.files.parse(&text).map(|pair| Some((text, pair))),
        });
        match found {
            Ok(None) => {
                seen.wrong = None;
                Look::Same
            }
            Ok(Some((text, pair))) => {
                *seen = Seen { text, wrong: None };
                self.replace(pair);
                Look::Replaced
            }
            Err(error) => {
                let before = seen.wrong.take().filter(|wrong| wrong.error == error);
                let told = before.as_ref().is_some_and(|wrong| wrong.told);
                let tell = asked || (before.is_some() && !told);
                if tell {
                    tracing::error!("the new certificate cannot be used, the one before stays: {error}");
                    self.count(|counters| counters.reloaded(false));
                }
                seen.wrong = Some(Wrong { error, told: told || tell });
                Look::Kept
            }
        }
    }

    fn replace(&self, pair: Pair) {
        let (certificate, expires) = (self.files.certificate.display(), pair.expires);
        self.in_force.store(Arc::new(pair)); // before the log says so
        tracing::info!(%certificate, %expires, "certificate replaced");
        self.warn();
        self.count(|counters| {
            counters.certificate(expires);
            counters.reloaded(true);
        });
    }

    fn count(&self, count: impl FnOnce(&EncryptedCounters)) {
        if let Some(counters) = self.counters.get() {
            count(&counters.encrypted);
        }
    }

    fn warn(&self) {
        if let Some(warning) = self.in_force.load().warning(SystemClock::new().wall()) {
            tracing::warn!("the certificate \"{}\" {warning}", self.files.certificate.display());
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.in_force.load().certified.clone())
    }
}

/// Never shows the key.
impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("files", &self.files).finish_non_exhaustive()
    }
}

impl PartialEq for Certificates {
    fn eq(&self, other: &Self) -> bool {
        self.files == other.files
    }
}

impl Eq for Certificates {}
