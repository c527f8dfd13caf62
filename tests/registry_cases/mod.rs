//! Stories about the registry. `support` has the registry that they play in.

mod clock;
mod fleet;
mod gated;
mod guard;
mod guard_random;
mod instances;
mod lapses;
mod leases;
mod orders;
mod owners;
mod pipeline;
mod policy;
mod running;
mod services;
mod sessions;
mod stores;
pub(crate) mod support;
mod tokens;
