//! A sorted map from octets to octets, packed: what a million small rows are kept in.
//!
//! **Shape.** Records lie one behind the other in leaves of at most [`MOST`] records: length of the key, key, length of
//! the value, value; lengths as varints. A map of one leaf is one shared allocation. A larger one is a persistent tree
//! of leaves, each under the least key that it may hold; the first stands under the empty key.
//!
//! **Cost.** Cloning copies a pointer. Inserting, replacing or removing one record builds one leaf anew and, in a tree,
//! the path to it: about log n pointers and a kilobyte, however many records there are. A lookup walks the tree and
//! then at most [`MOST`] records. Leaves that are not touched stay the same allocations, so two versions of a map share
//! what they have in common.
//!
//! **Limits.** A leaf with more than one record has at most `LARGEST` octets; a record that is larger than that has a
//! leaf of its own. A leaf that has become small joins a neighbour, so that a map that shrinks gives its memory back.

use std::ops::Bound;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

/// Records of a leaf.
pub const MOST: usize = 32;
/// Octets of a leaf that has more than one record.
const LARGEST: usize = 8192;
/// A leaf with fewer records joins a neighbour if the two are not larger than [`JOINED`] then.
const SMALL: usize = 8;
const JOINED: usize = 24;

/// A sorted map from octets to octets.
#[derive(Clone)]
pub struct Packed(Shape);

#[derive(Clone)]
enum Shape {
    Leaf(Leaf),
    Tree(Arc<Tree>),
}

/// Records, one behind the other, in the order of their keys.
type Leaf = Arc<[u8]>;

#[derive(Clone)]
struct Tree {
    leaves: RedBlackTreeMapSync<Box<[u8]>, Leaf>,
    len: usize,
}

/// Key and value.
pub type Record<'a> = (&'a [u8], &'a [u8]);

impl Default for Packed {
    fn default() -> Self {
        Self(Shape::Leaf(Arc::default()))
    }
}

impl PartialEq for Packed {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || (self.len() == other.len() && self.iter().eq(other.iter()))
    }
}

impl Eq for Packed {}

impl Packed {
    /// How many records there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Shape::Leaf(leaf) => records(leaf).count(),
            Shape::Tree(tree) => tree.len,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Shape::Leaf(leaf) if leaf.is_empty())
    }

    /// Whether all records lie in one leaf: walking them costs no more than a lookup.
    pub fn is_one_leaf(&self) -> bool {
        matches!(&self.0, Shape::Leaf(_))
    }

    /// Whether both are the same allocation, and so have the same records.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Shape::Leaf(one), Shape::Leaf(other)) => Arc::ptr_eq(one, other),
            (Shape::Tree(one), Shape::Tree(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// The record of a key.
    pub fn get(&self, key: &[u8]) -> Option<Record<'_>> {
        records(self.leaf_of(key)).find(|(at, _)| *at >= key).filter(|(at, _)| *at == key)
    }

    /// Every record, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        self.leaves_from(&[]).flat_map(|leaf| records(leaf))
    }

    /// The records behind a bound, in the order of the keys.
    pub fn iter_from<'s>(&'s self, from: Bound<&'s [u8]>) -> impl Iterator<Item = Record<'s>> {
        let first = match from {
            Bound::Included(key) | Bound::Excluded(key) => key,
            Bound::Unbounded => &[],
        };
        let before = move |(key, _): &Record<'_>| match from {
            Bound::Included(first) => *key < first,
            Bound::Excluded(first) => *key <= first,
            Bound::Unbounded => false,
        };
        self.leaves_from(first).flat_map(|leaf| records(leaf)).skip_while(before)
    }

    /// The leaves in order, each with its octets: one that is the same allocation in two versions has not changed.
    pub fn leaves(&self) -> impl Iterator<Item = &Arc<[u8]>> {
        self.leaves_from(&[])
    }

    /// Puts a record where its key belongs, instead of one that is there.
    pub fn insert(&mut self, key: &[u8], value: &[u8]) {
        let spliced = Spliced::new(self.leaf_of(key), key, Some(value));
        match &mut self.0 {
            Shape::Leaf(leaf) if !spliced.is_too_large() => *leaf = spliced.octets.into(),
            Shape::Leaf(_) => {
                let mut tree = Tree { leaves: RedBlackTreeMapSync::new_sync(), len: spliced.count };
                tree.put(Box::default(), spliced);
                self.0 = Shape::Tree(Arc::new(tree));
            }
            Shape::Tree(tree) => {
                let tree = Arc::make_mut(tree);
                tree.len += usize::from(!spliced.found);
                let separator = tree.separator(key);
                // What stood alone because it was large may have become small.
                let is_small = spliced.found && spliced.count < SMALL;
                tree.put(separator.clone(), spliced);
                if is_small {
                    tree.join(&separator);
                }
                self.be_leaf_if_one();
            }
        }
    }

    /// Removes the record of a key; says whether there was one.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let spliced = Spliced::new(self.leaf_of(key), key, None);
        if !spliced.found {
            return false;
        }
        match &mut self.0 {
            Shape::Leaf(leaf) => *leaf = spliced.octets.into(),
            Shape::Tree(tree) => {
                let tree = Arc::make_mut(tree);
                tree.len -= 1;
                let separator = tree.separator(key);
                let is_small = spliced.count < SMALL;
                tree.leaves.insert_mut(separator.clone(), spliced.octets.into());
                if is_small {
                    tree.join(&separator);
                }
                self.be_leaf_if_one();
            }
        }
        true
    }

    /// A tree of one leaf becomes that leaf.
    fn be_leaf_if_one(&mut self) {
        if let Shape::Tree(tree) = &self.0
            && tree.leaves.size() == 1
        {
            let only = tree.leaves.values().next().expect("the tree has a leaf").clone();
            self.0 = Shape::Leaf(only);
        }
    }

    /// The leaf that has the key or would have it.
    fn leaf_of(&self, key: &[u8]) -> &Leaf {
        match &self.0 {
            Shape::Leaf(leaf) => leaf,
            Shape::Tree(tree) => tree.below(key).1,
        }
    }

    fn leaves_from(&self, key: &[u8]) -> impl Iterator<Item = &Leaf> {
        let (one, many) = match &self.0 {
            Shape::Leaf(leaf) => (Some(leaf), None),
            Shape::Tree(tree) => {
                let first = tree.below(key).0;
                (None, Some(tree.leaves.range::<[u8], _>((Bound::Included(first), Bound::Unbounded))))
            }
        };
        one.into_iter().chain(many.into_iter().flatten().map(|(_, leaf)| leaf))
    }
}

impl Tree {
    /// The last leaf that may hold keys up to this one, with what it stands under.
    fn below(&self, key: &[u8]) -> (&[u8], &Leaf) {
        let mut below = self.leaves.range::<[u8], _>((Bound::Unbounded, Bound::Included(key)));
        let (separator, leaf) = below.next_back().expect("the first leaf stands under the empty key");
        (separator, leaf)
    }

    fn separator(&self, key: &[u8]) -> Box<[u8]> {
        self.below(key).0.into()
    }

    /// Stores a leaf, in two if it is too large, and in three if the record that made it so is by itself.
    fn put(&mut self, separator: Box<[u8]>, spliced: Spliced) {
        if !spliced.is_too_large() {
            self.leaves.insert_mut(separator, spliced.octets.into());
            return;
        }
        let is_last = self.leaves.range::<[u8], _>((Bound::Excluded(&*separator), Bound::Unbounded)).next().is_none();
        let (left, right) = spliced.octets.split_at(spliced.split_at(is_last));
        self.put_right(right);
        self.put_half(separator, left);
    }

    /// Stores what was split off, under its first key.
    fn put_right(&mut self, right: &[u8]) {
        let first = records(right).next().expect("a leaf is split between two records").0;
        self.put_half(first.into(), right);
    }

    fn put_half(&mut self, separator: Box<[u8]>, half: &[u8]) {
        if half.len() <= LARGEST || records(half).nth(1).is_none() {
            self.leaves.insert_mut(separator, half.into());
            return;
        }
        let (left, right) = half.split_at(middle(half));
        self.put_right(right);
        self.put_half(separator, left);
    }

    /// Joins the small leaf under `separator` with the one behind or before it, if there is room, and with more of them
    /// while it is small: those may have been kept apart by what it had.
    fn join(&mut self, separator: &[u8]) {
        let own = &self.leaves[separator];
        let behind = self.leaves.range::<[u8], _>((Bound::Excluded(separator), Bound::Unbounded)).next();
        let before = self.leaves.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(separator))).next_back();
        let behind = behind.filter(|(_, leaf)| fit(own, leaf)).map(|(key, leaf)| (separator.into(), own, key, leaf));
        let pair = behind
            .or_else(|| before.filter(|(_, leaf)| fit(leaf, own)).map(|(key, leaf)| (key.clone(), leaf, key, own)));
        let Some((stays, left, right_key, right)) = pair else { return };
        let goes: Box<[u8]> = if *stays == *separator { right_key.clone() } else { separator.into() };
        let joined: Leaf = [&**left, &**right].concat().into();
        let is_small = records(&joined).count() < SMALL;
        self.leaves.remove_mut(&goes);
        self.leaves.insert_mut(stays.clone(), joined);
        if is_small {
            self.join(&stays);
        }
    }
}

fn fit(left: &Leaf, right: &Leaf) -> bool {
    left.is_empty()
        || right.is_empty()
        || (left.len() + right.len() <= LARGEST && records(left).chain(records(right)).count() <= JOINED)
}

/// A leaf with one record put in or taken out.
struct Spliced {
    octets: Vec<u8>,
    count: usize,
    /// Whether the key was there before.
    found: bool,
    /// Whether the record is the last one now.
    appended: bool,
    /// Where it begins, or where it was.
    at: usize,
}

impl Spliced {
    fn new(leaf: &[u8], key: &[u8], value: Option<&[u8]>) -> Self {
        let (mut rest, mut at, mut end, mut found, mut count) = (leaf, leaf.len(), leaf.len(), false, 0);
        while let Some((record, behind)) = split(rest) {
            if record.0 >= key && at == leaf.len() {
                found = record.0 == key;
                at = leaf.len() - rest.len();
                end = if found { leaf.len() - behind.len() } else { at };
            }
            count += 1;
            rest = behind;
        }
        let mut octets = Vec::with_capacity(leaf.len() + key.len() + value.map_or(0, |value| value.len() + 6));
        octets.extend_from_slice(&leaf[..at]);
        if let Some(value) = value {
            put_record(&mut octets, (key, value));
        }
        octets.extend_from_slice(&leaf[end..]);
        count = count - usize::from(found) + usize::from(value.is_some());
        Self { octets, count, found, appended: at == leaf.len(), at }
    }

    fn is_too_large(&self) -> bool {
        self.count > MOST || (self.count > 1 && self.octets.len() > LARGEST)
    }

    /// Where to split: in the middle, but before a record that came behind all others, because more may follow.
    fn split_at(&self, is_last: bool) -> usize {
        if is_last && self.appended && self.at > 0 { self.at } else { middle(&self.octets) }
    }
}

/// The end of the record that reaches to the middle, or that of the last but one.
fn middle(octets: &[u8]) -> usize {
    let mut rest = octets;
    while let Some((_, behind)) = split(rest) {
        rest = behind;
        let is_last = split(rest).is_none_or(|(_, behind)| behind.is_empty());
        if rest.len() <= octets.len() / 2 || is_last {
            break;
        }
    }
    octets.len() - rest.len()
}

/// Packs records that come in the order of their keys, each leaf once.
#[derive(Default)]
pub struct Packer {
    octets: Vec<u8>,
    count: usize,
    separator: Box<[u8]>,
    full: Vec<(Box<[u8]>, Leaf)>,
    len: usize,
}

impl Packer {
    /// Adds a record behind all others.
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        let length = key.len() + value.len() + 6;
        if self.count == MOST || (self.count > 0 && self.octets.len() + length > LARGEST) {
            let separator = std::mem::replace(&mut self.separator, key.into());
            self.full.push((separator, self.octets.as_slice().into()));
            self.octets.clear();
            self.count = 0;
        }
        put_record(&mut self.octets, (key, value));
        self.count += 1;
        self.len += 1;
    }

    /// The map; the packer is empty afterwards and keeps its buffer.
    pub fn finish(&mut self) -> Packed {
        let last: Leaf = self.octets.as_slice().into();
        let len = std::mem::take(&mut self.len);
        self.octets.clear();
        self.count = 0;
        let separator = std::mem::take(&mut self.separator);
        if self.full.is_empty() {
            return Packed(Shape::Leaf(last));
        }
        let mut leaves = RedBlackTreeMapSync::new_sync();
        self.full.push((separator, last));
        self.full.drain(..).for_each(|(separator, leaf)| leaves.insert_mut(separator, leaf));
        Packed(Shape::Tree(Arc::new(Tree { leaves, len })))
    }
}

/// The records of a leaf.
fn records(mut leaf: &[u8]) -> impl Iterator<Item = Record<'_>> {
    std::iter::from_fn(move || {
        let (record, rest) = split(leaf)?;
        leaf = rest;
        Some(record)
    })
}

/// The first record, and the octets behind it.
fn split(octets: &[u8]) -> Option<(Record<'_>, &[u8])> {
    if octets.is_empty() {
        return None;
    }
    let mut reader = Reader(octets);
    let record = (reader.octets(), reader.octets());
    Some((record, reader.0))
}

fn put_record(octets: &mut Vec<u8>, (key, value): Record<'_>) {
    put_octets(octets, key);
    put_octets(octets, value);
}

/// Appends a number, seven bits an octet, the lowest first.
pub fn put_number(octets: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        octets.push(number as u8 | 0x80);
        number >>= 7;
    }
    octets.push(number as u8);
}

/// Appends octets behind their length.
pub fn put_octets(octets: &mut Vec<u8>, what: &[u8]) {
    put_number(octets, what.len() as u64);
    octets.extend_from_slice(what);
}

/// Reads what [`put_number`] and [`put_octets`] wrote. It panics on anything else: packed octets never leave memory.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next octet.
    pub fn octet(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().expect("packed octets are whole");
        self.0 = rest;
        *first
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        let (mut number, mut shift) = (0, 0);
        loop {
            let octet = self.octet();
            number |= u64::from(octet & 0x7f) << shift;
            if octet < 0x80 {
                return number;
            }
            shift += 7;
        }
    }

    /// As many octets.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    /// The next octets, behind their length.
    pub fn octets(&mut self) -> &'a [u8] {
        let count = self.number() as usize;
        self.take(count)
    }

    /// The next text, behind its length.
    pub fn text(&mut self) -> &'a str {
        std::str::from_utf8(self.octets()).expect("it was packed from a text")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn check(packed: &Packed, model: &BTreeMap<Vec<u8>, Vec<u8>>) {
        assert!(packed.iter().eq(model.iter().map(|(key, value)| (&**key, &**value))));
        assert_eq!((packed.len(), packed.is_empty()), (model.len(), model.is_empty()));
        let leaves: Vec<_> = packed.leaves().collect();
        let whole =
            |leaf: &&&Arc<[u8]>| records(leaf).count() <= MOST && (leaf.len() <= LARGEST || records(leaf).count() == 1);
        assert!(leaves.iter().all(|leaf| whole(&leaf)));
        assert!(leaves.len() == 1 || leaves.iter().all(|leaf| !leaf.is_empty()));
        assert!(leaves.len() <= 2 + model.values().map(|value| value.len() + 9).sum::<usize>() / 512 + model.len() / 4);
        assert_eq!(packed.is_one_leaf(), leaves.len() == 1);
    }

    fn key(number: u16) -> Vec<u8> {
        format!("i{number}").into_bytes()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_packed_map_is_a_sorted_map(
            steps in prop::collection::vec((0u16..400, prop::option::weighted(0.6, (0usize..9, 0usize..10))), 1..900),
            ends in prop::bool::ANY,
        ) {
            let (mut packed, mut model) = (Packed::default(), BTreeMap::new());
            for (number, value) in steps {
                let key = key(number);
                let before = (packed.clone(), model.get(&key).cloned());
                prop_assert_eq!(before.0.get(&key).map(|found| found.1), before.1.as_deref());
                match value {
                    Some((fill, size)) => {
                        let value = vec![fill as u8; [0, 9, 18, 27, 36, 45, 54, 63, 3000, LARGEST + 1][size]];
                        packed.insert(&key, &value);
                        model.insert(key.clone(), value);
                    }
                    None => prop_assert_eq!(packed.remove(&key), model.remove(&key).is_some()),
                }
                prop_assert_eq!(packed.get(&key).map(|found| found.1), model.get(&key).map(|value| &**value));
                prop_assert_eq!(before.0.get(&key).map(|found| found.1), before.1.as_deref());
                let behind = packed.iter_from(Bound::Excluded(&key)).next().map(|record| record.0.to_vec());
                let expected = model.range(key.clone()..).find(|(at, _)| **at != key).map(|(at, _)| at.clone());
                prop_assert_eq!(behind, expected);
            }
            check(&packed, &model);
            let mut packer = Packer::default();
            model.iter().for_each(|(key, value)| packer.push(key, value));
            let filled = packer.finish();
            prop_assert!(filled == packed);
            check(&filled, &model);
            let mut keys: Vec<_> = model.keys().cloned().collect();
            if ends {
                keys.reverse();
            }
            for key in keys {
                prop_assert!(packed.remove(&key));
                model.remove(&key);
                check(&packed, &model);
            }
            prop_assert!(packed.is_one_leaf() && packed == packer.finish());
        }
    }

    /// It stands alone, wherever it comes, and what it kept apart stands together when it has gone.
    #[test]
    fn a_record_larger_than_a_leaf_splits_one_in_three_and_leaves_no_gaps() {
        let (mut packed, mut model) = (Packed::default(), BTreeMap::new());
        let mut put = |packed: &mut Packed, key: Vec<u8>, size: usize| {
            packed.insert(&key, &vec![7; size]);
            model.insert(key, vec![7; size]);
            check(packed, &model);
        };
        (100..120).for_each(|number| put(&mut packed, key(number), 400));
        put(&mut packed, key(1095), 9000);
        assert_eq!(packed.leaves().count(), 3, "what comes before, itself, what comes behind");
        put(&mut packed, key(1095), 5);
        assert_eq!(packed.leaves().count(), 2);
        let (mut packed, mut model) = (Packed::default(), BTreeMap::new());
        for number in 100..400 {
            packed.insert(&key(number), &[7; 5]);
            packed.insert(&key(number * 10 + 5), &[7; 9000]);
            model.insert(key(number), vec![7; 5]);
        }
        for number in 100..400 {
            match number % 2 {
                0 => drop(packed.remove(&key(number * 10 + 5))),
                _ => {
                    packed.insert(&key(number * 10 + 5), &[7; 5]);
                    model.insert(key(number * 10 + 5), vec![7; 5]);
                }
            }
        }
        check(&packed, &model);
    }

    #[test]
    fn records_that_come_in_order_fill_their_leaves() {
        let mut packed = Packed::default();
        (0..10_000u16).for_each(|number| packed.insert(format!("{number:05}").as_bytes(), &[0; 40]));
        assert_eq!(packed.leaves().count(), 10_000usize.div_ceil(MOST));
    }

    #[test]
    fn a_change_builds_one_leaf() {
        let mut packed = Packed::default();
        (0..10_000u16).for_each(|number| packed.insert(&key(number), &[0; 40]));
        let before: Vec<_> = packed.leaves().cloned().collect();
        packed.insert(&key(5000), &[1; 40]);
        let changed = packed.leaves().zip(&before).filter(|(new, old)| !Arc::ptr_eq(new, old)).count();
        assert_eq!((changed, packed.leaves().count()), (1, before.len()));
    }
}
