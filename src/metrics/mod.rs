//! The metrics and their names; what counts them imports this, it imports only `model`.

pub mod dns;
