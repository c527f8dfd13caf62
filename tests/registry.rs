//! The registry's rules as stories: one file per group in `registry_cases/`; a new test goes where its rule stands.

mod registry_cases;
