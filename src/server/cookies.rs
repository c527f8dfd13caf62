//! The secrets of cookies: from the configuration into the DNS side, at the start and at SIGHUP.

use std::sync::Arc;

use crate::config::{Config, ConfigError, CookieSettings};
use crate::wire::{CookieOptions, Cookies, WireOptions};

/// The options with the shared secrets; fails when their file cannot be used.
pub(super) fn with_secrets(options: WireOptions, config: &Config) -> Result<WireOptions, ConfigError> {
    let secrets = config.dns.cookies.read_secrets()?;
    Ok(WireOptions { cookies: CookieOptions { secrets, ..options.cookies }, ..options })
}

/// What reads the secrets again.
#[derive(Clone)]
pub(super) struct Reload {
    pub(super) settings: CookieSettings,
    pub(super) cookies: Arc<Cookies>,
}

impl Reload {
    /// Puts the secrets of the file in force; those before stay when it cannot be used. Without a file nothing changes.
    /// May block.
    pub(super) fn run(&self) {
        if self.settings.secret_file.is_none() {
            return;
        }
        match self.settings.read_secrets() {
            Ok(secrets) => {
                self.cookies.replace(&secrets);
                tracing::info!(secrets = secrets.len(), "secrets of cookies loaded again");
            }
            Err(error) => tracing::error!(%error, "secrets of cookies not loaded; those before stay in force"),
        }
    }
}
