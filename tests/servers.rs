//! Several servers, one store: everybody comes to the same state, whoever commits first.

#![allow(clippy::unwrap_used, unreachable_pub)] // a test may panic; `pub` is what the tests may use

#[path = "support/battery.rs"]
mod battery;
#[path = "registry_cases/support.rs"]
#[allow(dead_code)] // tests/registry.rs uses all of it
mod cases;
#[path = "support/dump.rs"]
mod dump;
#[path = "servers/model.rs"]
mod model;
#[path = "servers/server.rs"]
mod server;
#[path = "support/shared.rs"]
mod shared;
#[path = "servers/stories.rs"]
mod stories;
#[path = "support/store.rs"]
mod support;

use std::sync::Arc;

fn in_memory(story: fn(battery::Open)) {
    let shared = Arc::new(shared::Shared::default());
    story(&|| shared.handle());
}

battery::battery! {
    in_memory:
    a_new_store_is_empty,
    every_kind_of_row_comes_back_as_it_was,
    instances_load_sorted_by_service_and_id,
    a_removed_row_is_gone,
    the_last_write_of_a_batch_to_a_row_counts,
    a_batch_without_changes_keeps_the_revision,
    a_conflict_changes_nothing,
    history_comes_in_pages,
    one_change_is_found_or_not,
    pruning_forgets_the_oldest_and_only_history,
    a_clock_that_was_wrong_does_not_stop_pruning,
    a_clock_that_was_set_back_for_a_while_makes_nothing_before_it_old,
    opening_again_shows_the_same,
    a_batch_of_thousands_is_one_commit,
    a_big_batch_is_one_commit,
    readers_see_whole_batches_while_the_writer_writes,
}
