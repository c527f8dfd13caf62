//! The HTTP interface against a real registry, a real store and real connections.
//!
//! A new test goes into the file of its resource; what is refused goes into `bad_input`. Every problem that any test
//! meets is compared with the served OpenAPI document by the harness.

mod bad_input;
mod connections;
mod explain;
mod harness;
mod health;
mod heartbeats;
mod history;
mod instances;
mod owners;
mod services;
mod sessions;
mod tokens;
mod zones;
