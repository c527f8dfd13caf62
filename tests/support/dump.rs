//! Everything in a view, for tests that compare views.

use zonebeat::model::Name;
use zonebeat::view::View;

/// One line for each name and one for each set, sorted; large sets with how they lie in memory.
#[allow(unreachable_pub)] // `pub` is what the tests may use; there is no crate around it
pub fn dump(view: &View) -> Vec<String> {
    let mut lines = Vec::new();
    for (_, entry) in view.table.entries() {
        let owner = Name::from_wire(entry.name()).expect("stored names are names");
        lines.push(format!("{owner} zone {} children {} note {:?}", entry.zone(), entry.children(), entry.note()));
        for set in entry.sets() {
            lines.push(format!("{owner} {} {} {} {:?}", set.rtype, set.count, set.additional_count, set.body));
        }
    }
    lines.sort();
    lines
}
