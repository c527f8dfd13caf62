//! The configuration: one TOML file, its defaults, and the flags over it.
//!
//! ```text
//! defaults <-- file (load) <-- flags (Overrides) --> validate --> plan_zones
//! ```
//!
//! Every key has a default, so that `serve` works without a file; `config/zonebeat.toml` lists them all, and a test
//! proves that it says what the code does. Unknown keys are errors. Nothing binds before `validate` has passed. What is
//! wrong is said with file, line, column and a caret. Relative paths are relative to the working directory.
//!
//! A support: imports only `model`. The parts that touch files are [`load`](Config::load), [`zones`], [`certificate`]
//! and the secrets of [`CookieSettings`] and [`TsigKey`].

pub mod certificate;
mod cookies;
mod encrypted;
mod load;
mod locate;
mod plan;
mod guard;
mod rate_limit;
mod reverse;
mod settings;
mod tsig;
mod validate;
pub mod value;
pub mod zones;

pub use cookies::CookieSettings;
pub use encrypted::Encrypted;
pub use guard::GuardSettings;
pub use load::{ConfigError, Overrides, nearest, read_toml};
pub use locate::finding_at;
pub use plan::{DEFAULT_ZONE, ZonePlan, ZonePlanEntry};
pub use rate_limit::RateLimit;
pub use reverse::{is_reverse, zone_of_prefix};
pub use settings::{
    Config, Dns, Http, Level, Log, LogFormat, NamingSettings, PolicySettings, Server, StoreKind, StoreSettings, Tcp,
    UdpMaxFor, ZoneSettings,
};
pub use tsig::TsigKey;
pub use validate::{UDP_LARGEST, UDP_SMALLEST};
