//! Words that every module shares. No I/O, no async, no locks; the only clock is [`clock`].

pub mod api;
pub mod change;
pub mod clock;
pub mod finding;
pub mod instance;
mod instance_row;
pub mod instances;
pub mod label;
pub mod mnemonic;
pub mod name;
pub mod naming;
pub mod packed;
pub mod packed_instance;
pub mod rare;
pub mod record;
pub mod refusal;
pub mod revision;
pub mod service;
pub mod token;
pub mod zone_file;

pub use change::{Change, Item, Transition};
pub use clock::{Clock, Timestamp};
pub use finding::{Finding, Place, Severity};
pub use instance::{Endpoint, Instance, State};
pub use instance_row::RowPacker;
pub use instances::{Instances, InstancesPacker};
pub use name::Name;
pub use packed::{Packed, Packer};
pub use packed_instance::{InstanceRef, PackedInstance};
pub use record::{Record, Rtype};
pub use refusal::{Refusal, Word};
pub use revision::{Revision, Serial};
pub use service::{Declaration, Service};
pub use token::{Principal, Scope, Token};
pub use zone_file::ZoneFile;
