//! DNS bytes in and out.

pub mod encode;
