//! The compiled, immutable data that queries read.

pub mod publish;

pub use publish::Published;

/// Everything that queries read, at one revision.
#[derive(Debug)]
pub struct View {
    /// The store is gone: answers go on and say so with EDE 3.
    pub stale: bool,
}

impl View {
    /// Lets the processor fetch what an answer about `name` will read.
    pub fn prefetch(&self, name: &[u8]) {}
}
