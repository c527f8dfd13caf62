//! The instances of a service: packed, sorted by id, shared between versions.
//!
//! **Shape.** A [`Packed`] map from the id to what [`super::packed_instance`] makes of an instance: about 33 octets
//! for a plain one, and one allocation for up to 32 of them. Once there are more, counts of the instances by protocol
//! and site are kept beside the map, so that no question that every change asks walks the service. Below that,
//! walking the one leaf is as quick.
//!
//! **Cost.** A change builds one leaf of at most 32 instances; a clone copies two pointers. What comes out is unpacked
//! from the leaf when it is asked for: [`InstanceRef`] to look at, [`Instance`] to keep.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use super::packed::{MOST, Packed, Packer};
use super::packed_instance::{InstanceRef, PackedInstance, is_serving, is_site_only, pack, state_of};
use super::service::{remembered_key, split_remembered};
use super::{Instance, State};

/// Octets that the processor reads at once.
const LINE: usize = 64;

/// The instances of one service.
#[derive(Clone, Default)]
pub struct Instances {
    rows: Packed,
    /// Kept while there is more than one leaf.
    tallies: Option<Arc<Tallies>>,
}

/// How many instances there are in one protocol, or in one site of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// In whatever state.
    pub all: usize,
    /// In the answers.
    pub serving: usize,
    /// Kept in answers by the guard, also those that are only in answers of their site.
    pub held: usize,
}

/// Tallies of the whole, and by [`remembered_key`].
#[derive(Debug, Clone, Default)]
struct Tallies {
    whole: Tally,
    /// Those whose lease runs, of the ones in the answers.
    alive: usize,
    places: RedBlackTreeMapSync<Box<str>, Tally>,
}

impl Instances {
    /// How many there are, serving and lapsed.
    pub fn len(&self) -> usize {
        self.tallies.as_ref().map_or_else(|| self.rows.len(), |tallies| tallies.whole.all)
    }

    /// Reads the records of a small service, so that the processor has them when they are asked for.
    pub fn touch(&self) -> u8 {
        let first = self.rows.leaves().next().filter(|_| self.rows.is_one_leaf());
        first.map_or(0, |leaf| leaf.iter().step_by(LINE).fold(0, |read, octet| read ^ octet))
    }

    /// Whether there are more than so many; of most services that is known without counting.
    pub fn are_more_than(&self, count: usize) -> bool {
        !(count >= MOST && self.rows.is_one_leaf()) && self.len() > count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The instance of that id.
    pub fn get(&self, id: &str) -> Option<Instance> {
        self.find(id).map(|found| found.to_instance())
    }

    /// A look at the instance of that id.
    pub fn find(&self, id: &str) -> Option<InstanceRef<'_>> {
        self.rows.get(id.as_bytes()).map(read)
    }

    /// All of them, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = Instance> {
        self.refs().map(|found| found.to_instance())
    }

    /// A look at all of them, in the order of their ids.
    pub fn refs(&self) -> impl Iterator<Item = InstanceRef<'_>> {
        self.rows.iter().map(read)
    }

    /// A look at those whose ids come after this one; it need not be there.
    pub fn refs_after<'s>(&'s self, id: Option<&'s str>) -> impl Iterator<Item = InstanceRef<'s>> {
        let from = id.map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_bytes()));
        self.rows.iter_from(from).map(read)
    }

    /// Those that are in the answers, in the order of their ids.
    pub fn serving(&self) -> impl Iterator<Item = InstanceRef<'_>> {
        self.rows.iter().filter(|(_, value)| is_serving(value)).map(read)
    }

    /// How many are in the answers, those of their site alone left out; not counted anew in a large service.
    pub fn serving_count(&self) -> usize {
        match &self.tallies {
            Some(tallies) => tallies.whole.serving,
            None => self.rows.iter().filter(|(_, value)| is_serving(value) && !is_site_only(value)).count(),
        }
    }

    /// How many are in the answers because their lease runs; not counted anew in a large service.
    pub fn alive_count(&self) -> usize {
        match &self.tallies {
            Some(tallies) => tallies.alive,
            None => self.rows.iter().filter(|(_, value)| state_of(value) == State::Serving).count(),
        }
    }

    /// How many the guard keeps in the answers; not counted anew in a large service.
    pub fn held_count(&self) -> usize {
        match &self.tallies {
            Some(tallies) => tallies.whole.held,
            None => self.rows.iter().filter(|(_, value)| state_of(value) == State::Held).count(),
        }
    }

    /// Whether one of them is in the answers under this protocol, and in this site if one is given.
    pub fn serves(&self, proto: &str, site: Option<&str>) -> bool {
        match &self.tallies {
            Some(tallies) => tallies.places.get(&*remembered_key(proto, site)).is_some_and(|tally| tally.serving > 0),
            None => self.serving_at(proto, site).next().is_some(),
        }
    }

    /// How many are in the answers under this protocol, and in this site if one is given.
    pub fn serving_count_at(&self, proto: &str, site: Option<&str>) -> usize {
        match &self.tallies {
            Some(tallies) => tallies.places.get(&*remembered_key(proto, site)).map_or(0, |tally| tally.serving),
            None => self.serving_at(proto, site).count(),
        }
    }

    fn serving_at<'s>(&'s self, proto: &str, site: Option<&str>) -> impl Iterator<Item = InstanceRef<'s>> {
        let here = move |found: &InstanceRef<'_>| match site {
            None => !found.site_only,
            Some(_) => found.site == site,
        };
        self.serving().filter(move |found| found.proto == proto && here(found))
    }

    /// The protocols, and the sites in each, that instances have: how many of them, by protocol and site; without a
    /// site for all of a protocol. The work grows with the number of these, not of the instances.
    pub fn places(&self) -> BTreeMap<(&str, Option<&str>), Tally> {
        let mut places = BTreeMap::new();
        match &self.tallies {
            Some(tallies) => places.extend(tallies.places.iter().map(|(key, tally)| (split_remembered(key), *tally))),
            None => self.refs().for_each(|found| {
                for place in places_of(&found) {
                    places.entry(place).or_default().add(&found, place.1.is_some());
                }
            }),
        }
        places
    }

    /// Puts an instance in, instead of the one with its id.
    pub fn insert(&mut self, instance: &Instance) {
        self.tally(&instance.id, Tally::subtract);
        let mut value = Vec::with_capacity(64);
        pack(instance, &mut value);
        self.rows.insert(instance.id.as_bytes(), &value);
        match self.tallies {
            Some(_) => self.tally(&instance.id, Tally::add),
            None if !self.rows.is_one_leaf() => self.tallies = Some(Arc::new(Tallies::of(&self.rows))),
            None => {}
        }
    }

    /// Takes an instance out; says whether it was there.
    pub fn remove(&mut self, id: &str) -> bool {
        self.tally(id, Tally::subtract);
        let removed = self.rows.remove(id.as_bytes());
        if self.rows.is_one_leaf() {
            self.tallies = None;
        }
        removed
    }

    /// Counts the instance in or out, if it is there and counts are kept.
    fn tally(&mut self, id: &str, change: Change) {
        let (Some(tallies), Some(found)) = (&mut self.tallies, self.rows.get(id.as_bytes())) else { return };
        Arc::make_mut(tallies).change(&read(found), change);
    }
}

impl Tallies {
    fn of(rows: &Packed) -> Self {
        let mut tallies = Self::default();
        rows.iter().map(read).for_each(|found| tallies.change(&found, Tally::add));
        tallies
    }

    fn change(&mut self, instance: &InstanceRef<'_>, change: Change) {
        change(&mut self.whole, instance, false);
        let mut alive = Tally { serving: self.alive, ..self.whole };
        if instance.state == State::Serving {
            change(&mut alive, instance, false);
        }
        self.alive = alive.serving;
        for (proto, site) in places_of(instance) {
            let key = remembered_key(proto, site);
            let mut tally = self.places.get(&*key).copied().unwrap_or_default();
            change(&mut tally, instance, site.is_some());
            if tally.all == 0 {
                self.places.remove_mut(&*key);
            } else {
                self.places.insert_mut(key, tally);
            }
        }
    }
}

/// Counts an instance in or out, of a place with a site or without.
type Change = fn(&mut Tally, &InstanceRef<'_>, bool);

impl Tally {
    fn add(&mut self, instance: &InstanceRef<'_>, site: bool) {
        self.all += 1;
        self.serving += usize::from(instance.serves_under(site));
        self.held += usize::from(instance.state == State::Held);
    }

    fn subtract(&mut self, instance: &InstanceRef<'_>, site: bool) {
        self.all -= 1;
        self.serving -= usize::from(instance.serves_under(site));
        self.held -= usize::from(instance.state == State::Held);
    }
}

/// Protocol alone, and protocol with site.
fn places_of<'a>(instance: &InstanceRef<'a>) -> impl Iterator<Item = (&'a str, Option<&'a str>)> + use<'a> {
    let (proto, site) = (instance.proto, instance.site);
    std::iter::once((proto, None)).chain(site.map(|site| (proto, Some(site))))
}

fn read<'a>((id, value): super::packed::Record<'a>) -> InstanceRef<'a> {
    InstanceRef::read(std::str::from_utf8(id).expect("it was packed from a text"), value)
}

impl PartialEq for Instances {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows
    }
}

impl Eq for Instances {}

impl std::fmt::Debug for Instances {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<I: Borrow<Instance>> FromIterator<I> for Instances {
    fn from_iter<T: IntoIterator<Item = I>>(instances: T) -> Self {
        let mut own = Self::default();
        instances.into_iter().for_each(|instance| own.insert(instance.borrow()));
        own
    }
}

/// Packs instances that come in the order of their ids, each leaf once.
#[derive(Default)]
pub struct InstancesPacker {
    rows: Packer,
}

impl InstancesPacker {
    /// Adds an instance behind all others.
    pub fn push(&mut self, instance: PackedInstance<'_>) {
        self.rows.push(instance.id.as_bytes(), instance.value);
    }

    /// The instances; the packer is empty afterwards.
    pub fn finish(&mut self) -> Instances {
        let rows = self.rows.finish();
        let tallies = (!rows.is_one_leaf()).then(|| Arc::new(Tallies::of(&rows)));
        Instances { rows, tallies }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Endpoint, Mark, Name, Orders, Revision, SetWeight, State, Timestamp};

    fn texts(most: usize) -> impl Strategy<Value = Box<[Box<str>]>> {
        prop::collection::vec("[a-z\u{e9}-]{0,9}".prop_map(Into::into), 0..most).prop_map(Into::into)
    }

    fn endpoint() -> impl Strategy<Value = Endpoint> {
        prop_oneof![
            prop::collection::vec(any::<std::net::IpAddr>(), 0..5).prop_map(|all| Endpoint::Addresses(all.into())),
            any::<[u8; 4]>().prop_map(|v4| Endpoint::Addresses([v4.into()].into())),
            "[A-Za-z]{1,20}(\\.[a-z]{1,9}){0,3}"
                .prop_map(|host| Endpoint::Host(Name::parse_absolute(&host).expect("a host name"))),
        ]
    }

    fn mark() -> impl Strategy<Value = Mark> {
        ("[a-z]{1,5}", "[a-z\u{e9} ]{0,5}", any::<u32>(), any::<u64>()).prop_map(|(author, reason, time, revision)| {
            let (author, reason, time) = (author.into(), reason.into(), Timestamp(time.into()));
            Mark { author, reason, time, revision: Revision(revision) }
        })
    }

    fn orders() -> impl Strategy<Value = Orders> {
        let until = prop::option::of(any::<u32>().prop_map(|at| Timestamp(at.into())));
        let weight = (any::<u16>(), until, mark());
        let weight = weight.prop_map(|(weight, until, mark)| SetWeight { weight, until, mark });
        (prop::option::of(mark()), prop::option::of(weight)).prop_map(|(drained, weight)| Orders { drained, weight })
    }

    prop_compose! {
        pub(crate) fn instance()(
            id in "i[0-9]{1,2}",
            proto in prop_oneof![Just("tcp"), Just("udp"), Just("quic")],
            numbers in any::<(u16, u16, u16, u32)>(),
            site in prop::option::of("lon|sto"),
            endpoint in endpoint(),
            tags in texts(3),
            metadata in texts(3),
            who in (prop::option::of("host-[0-9]"), prop::option::of("[a-z]{0,5}")),
            times in (any::<u64>(), any::<u64>(), any::<u64>()),
            lease in prop::sample::select(vec![State::Serving, State::Serving, State::Held, State::Lapsed]),
            out in prop::option::weighted(0.2, "[a-z]{1,5}"),
            orders in prop::option::weighted(0.2, orders()),
            owner in prop::sample::select(vec![0, 0, 1, 255]),
        ) -> Instance {
            let mut instance = Instance {
                id: id.into(),
                proto: proto.into(),
                port: numbers.0,
                priority: numbers.1,
                weight: numbers.2,
                site: site.map(Into::into),
                endpoint,
                tags,
                metadata: metadata.iter().map(|text| (text.clone(), "x \u{20ac}".into())).collect(),
                lease_seconds: numbers.3,
                session: who.0.map(Into::into),
                epoch: who.1.map(Into::into),
                owner: crate::model::ServerNumber(owner),
                out: out.map(Into::into),
                orders: None,
                incarnation: Revision(times.0),
                state: lease,
                site_only: false,
                since: Timestamp(times.1),
                revision: Revision(times.2),
            };
            instance.site_only = lease == State::Held && instance.site.is_some() && numbers.1 % 2 == 0;
            instance.order(|own| *own = orders.unwrap_or_default());
            if !instance.is_silent() || instance.state == State::Held && instance.resting() != State::Serving {
                (instance.state, instance.site_only) = (instance.resting(), false);
            }
            instance
        }
    }

    fn check(packed: &Instances, model: &BTreeMap<Box<str>, Instance>) {
        assert!(packed.iter().eq(model.values().cloned()));
        let serving = || model.values().filter(|instance| instance.is_serving());
        assert!(packed.serving().map(|found| found.to_instance()).eq(serving().cloned()));
        assert_eq!((packed.len(), packed.is_empty()), (model.len(), model.is_empty()));
        assert_eq!(packed.serving_count(), serving().filter(|instance| !instance.site_only).count());
        assert_eq!(packed.alive_count(), model.values().filter(|instance| instance.state == State::Serving).count());
        assert_eq!(packed.held_count(), model.values().filter(|instance| instance.state == State::Held).count());
        let mut places: BTreeMap<(&str, Option<&str>), Tally> = BTreeMap::new();
        let mut room = Vec::new();
        for instance in model.values() {
            let look = PackedInstance::new(instance, &mut room).look();
            for site in [None, instance.site.as_deref()].iter().take(1 + usize::from(instance.site.is_some())) {
                places.entry((&instance.proto, *site)).or_default().add(&look, site.is_some());
            }
        }
        assert_eq!(packed.places(), places);
        for (proto, site) in [("tcp", None), ("udp", Some("lon")), ("quic", Some("sto")), ("sctp", None)] {
            assert_eq!(packed.serves(proto, site), places.get(&(proto, site)).is_some_and(|tally| tally.serving > 0));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn packed_instances_are_a_sorted_map(steps in prop::collection::vec((instance(), 0u8..5), 1..300)) {
            let (mut packed, mut model) = (Instances::default(), BTreeMap::new());
            for (instance, step) in steps {
                let before = packed.clone();
                if step == 0 {
                    prop_assert_eq!(packed.remove(&instance.id), model.remove(&instance.id).is_some());
                } else {
                    packed.insert(&instance);
                    model.insert(instance.id.clone(), instance.clone());
                }
                prop_assert_eq!(packed.get(&instance.id), model.get(&instance.id).cloned());
                let after = packed.refs_after(Some(&instance.id)).next().map(|found| found.to_instance());
                let bounds = (Bound::Excluded(instance.id.clone()), Bound::Unbounded);
                prop_assert_eq!(after, model.range::<Box<str>, _>(bounds).next().map(|(_, next)| next.clone()));
                prop_assert!(before.len().abs_diff(packed.len()) <= 1);
            }
            check(&packed, &model);
            let mut packer = InstancesPacker::default();
            let mut buffer = Vec::new();
            model.values().for_each(|instance| packer.push(PackedInstance::new(instance, &mut buffer)));
            let filled = packer.finish();
            check(&filled, &model);
            prop_assert!(filled == packed);
            for id in model.keys() {
                prop_assert!(packed.remove(id));
            }
            check(&packed, &BTreeMap::new());
        }
    }

    #[test]
    fn a_plain_instance_takes_little() {
        let (incarnation, revision) = (Revision(1_000_000), Revision(1_000_000));
        let since = Timestamp(1_790_000_000_000);
        let plain = Instance { port: 20_000, incarnation, since, revision, ..Instance::example("i0") };
        let mut value = Vec::new();
        pack(&plain, &mut value);
        assert!(value.len() <= 24, "{}", value.len());
        assert_eq!(size_of::<Instances>(), 24);
    }
}
