//! Static records that UPDATE wrote become entries. What a zone file has at a name, or hides, is not touched: files
//! win.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Compiler, statics};
use crate::model::{Name, Record, Written};
use crate::registry::{Snapshot, TouchedName};
use crate::view::ZoneSource;
use crate::view::edit::Editor;
use crate::view::table::Table;

/// Names of one zone at which its file has records.
pub(super) type FileNames = HashSet<Box<[u8]>>;

/// The names of a zone's own records, if UPDATE may write beside them.
pub(super) fn file_names(source: &ZoneSource) -> FileNames {
    let records = source.records.iter().filter(|_| takes_records(source));
    records.map(|record| record.owner.as_wire().into()).collect()
}

/// Zones of reverse names take none: which service has a PTR record there is not known by the name.
fn takes_records(source: &ZoneSource) -> bool {
    source.is_dynamic() && !source.reverse && !source.is_signed()
}

impl Compiler {
    /// Why UPDATE can write nothing at a name of a zone, in words.
    pub fn refuses_records(&self, zone: &Name, name: &Name) -> Option<String> {
        let Some(number) = self.number_of(zone) else { return Some(format!("zone {zone} is not served here")) };
        let source = &self.sources[usize::from(number)];
        if source.is_signed() {
            return Some(format!("zone {zone} is signed elsewhere, so nothing changes it here"));
        }
        if source.reverse {
            return Some(format!(
                "zone {zone} has the PTR records of registered addresses, and takes none from UPDATE"
            ));
        }
        if !source.is_dynamic() {
            return Some(format!("zone {zone} does not follow the registry: no TSIG key may update it"));
        }
        if self.zone_number(name) == Some(number) {
            return None;
        }
        Some(format!("{name} lies in another zone of this server; send the UPDATE for that zone"))
    }

    /// Whether what UPDATE wrote at a name is published.
    fn publishes_written(&self, zone: &Name, name: &Name) -> Option<u16> {
        let number = self.number_of(zone)?;
        let source = &self.sources[usize::from(number)];
        let is_free = !self.file_names[usize::from(number)].contains(name.as_wire()) && *name != source.apex;
        (takes_records(source) && is_free && self.publishes_at(number, name.as_wire())).then_some(number)
    }

    /// Everything that UPDATE wrote, where zone files do not have the name.
    pub(super) fn compile_written(&self, table: Table, snapshot: &Snapshot) -> Table {
        if snapshot.written.is_empty() {
            return table;
        }
        let mut editor = Editor::new(&table);
        for ((zone, name), row) in &snapshot.written {
            if let Some(number) = self.publishes_written(zone, name) {
                editor.put_static(number, name, sets(name, row), 0);
            }
        }
        editor.finish().onto(table.clone())
    }

    /// What UPDATE changed, on top of what is published.
    pub(super) fn edit_written(&self, editor: &mut Editor<'_>, after: &Snapshot, touched: &[TouchedName]) {
        for TouchedName { zone, name, revision } in touched {
            let Some(number) = self.publishes_written(zone, name) else { continue };
            let sets = after.written(zone, name).map(|row| sets(name, row));
            editor.replace_static(number, name, sets, *revision);
        }
    }

    fn number_of(&self, zone: &Name) -> Option<u16> {
        self.sources.binary_search_by(|source| source.apex.cmp(zone)).ok().map(|number| number as u16)
    }
}

fn sets(name: &Name, row: &Arc<Written>) -> crate::view::aside::Sets {
    let records: Vec<Record> = row.records(name).collect();
    statics::sets(&records.iter().collect::<Vec<_>>())
}
