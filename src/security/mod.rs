//! Decisions: who may write what. Pure; imports only `model`.

pub mod policy;

pub use policy::Policy;
