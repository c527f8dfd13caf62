//! What a table takes, by part.

use std::ops::Add;

/// Octets of a table, by what they hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Slots, which lead from a hash to an entry.
    pub slots: usize,
    /// Names, with what an entry says besides its records: zone, children, types and lengths of sets.
    pub names: usize,
    /// Records.
    pub bodies: usize,
    /// Records of sets that are too large to stand in their shard.
    pub large: usize,
    /// Shards themselves: pointers, counters and what the allocator adds.
    pub shards: usize,
}

impl Size {
    /// All parts.
    pub fn total(&self) -> usize {
        self.slots + self.names + self.bodies + self.large + self.shards
    }
}

impl Add for Size {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            slots: self.slots + other.slots,
            names: self.names + other.names,
            bodies: self.bodies + other.bodies,
            large: self.large + other.large,
            shards: self.shards + other.shards,
        }
    }
}

impl std::iter::Sum for Size {
    fn sum<I: Iterator<Item = Self>>(sizes: I) -> Self {
        sizes.fold(Self::default(), Add::add)
    }
}

/// Octets of the two counters of an [`std::sync::Arc`].
const COUNTERS: usize = 16;

/// What the allocator takes for so many octets behind an [`std::sync::Arc`], besides them.
pub(super) fn overhead(octets: usize) -> usize {
    block(octets + COUNTERS) - octets
}

/// The most octets behind an [`std::sync::Arc`] that take no more memory than so many.
pub(super) fn filled(octets: usize) -> usize {
    octets + overhead(octets) - COUNTERS
}

/// The block that jemalloc gives: its sizes are multiples of 16 up to 128, then four between two powers of two.
fn block(octets: usize) -> usize {
    let step = if octets <= 128 { 16 } else { 1 << ((octets - 1).ilog2() - 2) };
    octets.next_multiple_of(step)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::ops::Range;

    use super::{block, filled};
    use crate::model::{Name, Rtype};
    use crate::view::rrset::RrSetBuf;
    use crate::view::shard::{Facts, Shard, ShardBuilder};
    use crate::view::table::{ALL_SHARDS, Slot, Table};

    const SERVICES: usize = 10_000;
    const PER_SERVICE: usize = 10;
    const SEED: u64 = 7;

    struct Made {
        name: Name,
        children: u32,
        sets: Vec<RrSetBuf>,
    }

    /// What a service of ten publishes under the preset `plain`.
    fn service(number: usize) -> Vec<Made> {
        let name = |text: String| Name::parse_absolute(&format!("{text}.sd.test")).expect("a name");
        let label = format!("svc{number:05}");
        // 198.18.0.0/15, for benchmarks (RFC 2544).
        let address = |id: usize| IpAddr::V4(Ipv4Addr::from(0xC612_0000 + (number * PER_SERVICE + id) as u32));
        let addresses: Vec<IpAddr> = (0..PER_SERVICE).map(address).collect();
        let hosts: Vec<Name> = (0..PER_SERVICE).map(|id| name(format!("i{id}.{label}"))).collect();
        let instances: Vec<Name> = (0..PER_SERVICE).map(|id| name(format!("i{id}._{label}._tcp"))).collect();
        let srv = |owner: &Name, ids: Range<usize>| {
            let mut set = RrSetBuf::new(Rtype::SRV);
            ids.clone().for_each(|id| set.push_srv(30, [0, 1, 20_000], hosts[id].as_wire()));
            set.push_glue(owner.as_wire(), 30, addresses[ids].chunks(1));
            set
        };
        let mut made = Vec::new();
        let mut make = |name: &Name, children, sets| made.push(Made { name: name.clone(), children, sets });
        for id in 0..PER_SERVICE {
            make(&hosts[id], 0, RrSetBuf::addresses(30, std::iter::once(&addresses[id])));
            let set = srv(&instances[id], id..id + 1);
            make(&instances[id], 0, vec![set, RrSetBuf::txt(30, std::iter::empty())]);
        }
        let owner = name(format!("_{label}._tcp"));
        make(&owner, 10, vec![srv(&owner, 0..PER_SERVICE), RrSetBuf::ptr(&owner, 30, instances.iter())]);
        make(&name(label.clone()), 10, RrSetBuf::addresses(30, addresses.iter()));
        made
    }

    fn table() -> Table {
        let empty = Table::empty(SEED);
        let mut shards: Vec<Vec<(Slot, Made)>> = (0..ALL_SHARDS).map(|_| Vec::new()).collect();
        let mut names = 0_isize;
        for made in (0..SERVICES).flat_map(service) {
            let slot = empty.slot(made.name.as_wire());
            shards[slot.shard as usize].push((slot, made));
            names += 1;
        }
        let mut builder = ShardBuilder::default();
        let build = |entries: Vec<(Slot, Made)>| -> Shard {
            for (slot, Made { name, children, sets }) in entries {
                let sets: Vec<_> = sets.iter().map(|set| set.as_set(name.as_wire())).collect();
                builder.push(slot.tag, name.as_wire(), Facts { children, ..Facts::default() }, (&sets, &[]));
            }
            builder.build()
        };
        empty.with_shards((0..=u16::MAX).zip(shards.into_iter().map(build)), names)
    }

    /// Names as those of the measurements in docs/performance.md. A tenth of their number:
    /// shards themselves weigh more.
    #[test]
    fn an_instance_takes_less_than_a_recorded_number_of_octets() {
        let table = table();
        let per_instance = |octets: usize| octets as f64 / (SERVICES * PER_SERVICE) as f64;
        let size = table.size();
        let (names, bodies) = (per_instance(size.names), per_instance(size.bodies));
        assert!(names < 72.0, "{names} octets of names and heads");
        assert!(bodies < 130.0, "{bodies} octets of records");
        assert!(per_instance(size.slots) < 16.0, "{} octets of slots", per_instance(size.slots));
        assert!(per_instance(size.total()) < 272.0, "{} octets in all", per_instance(size.total()));
        let lists = Table::empty(SEED).size().total();
        assert!(table.octets() < size.total() && table.octets() > size.total() - lists - ALL_SHARDS * 64);
        assert_eq!((size.large, table.names()), (0, SERVICES * (2 * PER_SERVICE + 2)));
        for made in (0..SERVICES).step_by(997).flat_map(service) {
            let entry = table.find(made.name.as_wire()).expect("it was added");
            assert_eq!(entry.sets().map(RrSetBuf::from).collect::<Vec<_>>(), made.sets);
        }
    }

    #[test]
    fn blocks_have_the_sizes_of_the_allocator() {
        let blocks = [1, 128, 129, 256, 257, 3000, 13_000, 16_385].map(block);
        assert_eq!(blocks, [16, 128, 160, 256, 320, 3072, 14_336, 20_480]);
        assert_eq!((filled(100), filled(3000), filled(filled(3000))), (112, 3056, 3056));
    }

    #[test]
    fn a_table_without_names_is_small() {
        assert!(Table::empty(SEED).size().total() < 20 * 1024);
    }
}
