//! The embedded store: redb in the data directory.
