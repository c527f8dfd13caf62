//! The allocator of the server, for benches that run its code in their own process.

/// As in `src/main.rs`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
