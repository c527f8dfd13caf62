//! A descriptor that the runtime wakes us for: pidfd and inotify.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Hands a descriptor to the runtime. It has to be in non-blocking mode.
#[allow(deprecated)] // deprecated for types that may close their descriptor early; an `OwnedFd` cannot, and this is safe
pub(super) fn watched(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}
