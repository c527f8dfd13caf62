//! The registry's rules as stories: one file per group in `registry_cases/`; a new test goes where its rule stands.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod registry_cases;
