//! A query against a view: pure.

pub mod query;

use std::marker::PhantomData;

use crate::view::View;

pub use query::{Edns, Query, QueryName, Transport};

/// The answer to one query: borrowed from the view, not yet octets. `wire::encode` writes it.
#[derive(Debug)]
pub struct Answer<'v> {
    _view: PhantomData<&'v View>,
}

/// Answers one query from one view.
pub fn answer<'v>(view: &'v View, query: &Query<'_>) -> Answer<'v> {
    todo!()
}
