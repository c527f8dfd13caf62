//! Rows that the leader writes, frames that go, and copies.
