//! TSIG keys: from the configuration into the DNS side, at the start and at SIGHUP.

use crate::config::{Config, ConfigError, TsigKey};
use crate::security::{Key, Keys};
use crate::wire::SharedKeys;

/// The keys that the configuration names; fails when a file with a secret cannot be used.
pub(super) fn read(settings: &[TsigKey]) -> Result<Keys, ConfigError> {
    let mut keys = Vec::new();
    for key in settings {
        let algorithm = key.algorithm().expect("validated before anything started");
        let made = Key::new(key.name.clone(), algorithm, &key.read_secret()?);
        keys.push(made.allowing(key.transfer.clone(), key.update.clone()));
    }
    Ok(Keys::new(keys))
}

/// What reads the secrets again.
#[derive(Clone)]
pub(super) struct Reload {
    settings: Vec<TsigKey>,
    keys: SharedKeys,
}

impl Reload {
    /// Reads the keys for the first time.
    pub(super) fn start(config: &Config) -> Result<Self, ConfigError> {
        let keys = SharedKeys::from(arc_swap::ArcSwap::from_pointee(read(&config.tsig_key)?));
        Ok(Self { settings: config.tsig_key.clone(), keys })
    }

    /// The keys in force.
    pub(super) fn keys(&self) -> SharedKeys {
        self.keys.clone()
    }

    /// Puts the secrets of files in force; those before stay, all of them, when one cannot be used. Without a file
    /// nothing changes. May block.
    pub(super) fn run(&self) {
        if self.settings.iter().all(|key| key.secret_file.is_none()) {
            return;
        }
        match read(&self.settings) {
            Ok(keys) => {
                tracing::info!(keys = keys.len(), "secrets of TSIG keys loaded again");
                self.keys.store(keys.into());
            }
            Err(error) => tracing::error!(%error, "secrets of TSIG keys not loaded; those before stay in force"),
        }
    }
}
