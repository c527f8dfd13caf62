//! DNS bytes in and out.

pub mod decode;
pub mod encode;
pub mod error;
pub mod limits;
pub mod respond;
pub mod udp;

mod count;
