//! Decisions: who may write what, and which labels and addresses are let into DNS.
//!
//! Everything here is a pure function of what it is given; nothing is kept. [`tokens`] makes secrets and recognises
//! them, [`keys`] says what a TSIG key may do, [`authorize`](mod@authorize) decides whether a principal may do what it
//! asks, [`scope`] matches a token's limits, [`policy`] refuses labels and addresses. The registry's writer asks again
//! for each command, with the tokens of the state that the command meets: a token that was revoked while its command
//! waited does nothing any more.

pub mod authorize;
pub mod keys;
pub mod policy;
pub mod scope;
pub mod tokens;

pub use authorize::{OWN_SERVICE, Tokens, Want, authorize};
pub use keys::{Key, Keys, Mac};
pub use policy::Policy;
pub use tokens::{authenticate, check_token_name, create_token};
