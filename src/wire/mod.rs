//! DNS bytes in and out.

mod compose;
pub mod encode;
pub mod message;
mod opt;
