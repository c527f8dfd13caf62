//! A sorted map from labels to shared values, for readers and a writer that never wait for each other: what services
//! and sessions are found in.
//!
//! **Shape.** A tree with nodes of up to 8 children, all leaves at one depth. A leaf has the values and of each
//! label the first octets, so that a search reads two cache lines of it and only the value that it finds; a node above
//! has of each child the least label that it may hold. A binary tree reads three places of memory for each of seventeen
//! levels instead, and of a hundred thousand services half of these are in no cache.
//!
//! **Cost.** A clone copies a pointer. A change copies the nodes from the root to one leaf, as far as another map has
//! them too, and counts up what they hold; everything else is shared. A lookup compares about log2 n labels.
//!
//! **Limits.** Nodes that become small join a neighbour, so a map that shrinks gives its memory back. Labels that come
//! in their order fill the leaves.

use std::cmp::Ordering;
use std::hint::black_box;
use std::ops::Bound;
use std::sync::Arc;

/// Children of a node.
const MOST: usize = 8;
/// Two neighbours of which one has become small join if they have so many children together.
const JOINED: usize = 6;
/// A node with fewer children joins a neighbour.
const SMALL: usize = 3;
/// Octets of a label that stand in its node.
const NEAR: usize = 23;

/// What says itself under which label it stands. The label never changes.
pub trait Labelled {
    /// The label.
    fn label(&self) -> &str;
}

/// A sorted map from labels to shared values.
pub struct LabelMap<T> {
    root: Node<T>,
    size: usize,
}

enum Node<T> {
    Leaf(Arc<[Item<T>]>),
    Inner(Arc<[Branch<T>]>),
}

struct Item<T> {
    head: Head,
    value: Arc<T>,
}

struct Branch<T> {
    /// What it holds is not less.
    least: Head,
    /// The whole label of that, if it is longer than its head.
    rest: Option<Arc<str>>,
    node: Node<T>,
}

/// The first octets of a label and how many it has, [`NEAR`] and one more at most: as big-endian numbers, which are in
/// the order of the labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Head([u64; 3]);

impl Head {
    fn of(label: &str) -> Self {
        let mut octets = [0; NEAR + 1];
        let near = label.len().min(NEAR);
        octets[..near].copy_from_slice(&label.as_bytes()[..near]);
        octets[NEAR] = label.len().min(NEAR + 1) as u8;
        let (numbers, _) = octets.as_chunks::<8>();
        Self([numbers[0], numbers[1], numbers[2]].map(u64::from_be_bytes))
    }

    /// Whether the label is longer than what is known of it.
    fn is_cut(self) -> bool {
        self.0[2] as u8 as usize > NEAR
    }
}

/// A label that is looked for.
#[derive(Clone, Copy)]
struct Wanted<'l> {
    head: Head,
    label: &'l str,
}

impl<'l> Wanted<'l> {
    fn new(label: &'l str) -> Self {
        Self { head: Head::of(label), label }
    }

    /// How a label of which the head is known stands to it.
    fn compare<'r>(&self, head: Head, whole: impl FnOnce() -> &'r str) -> Ordering {
        match head.cmp(&self.head) {
            Ordering::Equal if head.is_cut() => whole().cmp(self.label),
            order => order,
        }
    }
}

impl<T> Clone for Node<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Leaf(items) => Self::Leaf(Arc::clone(items)),
            Self::Inner(branches) => Self::Inner(Arc::clone(branches)),
        }
    }
}

impl<T> Clone for Item<T> {
    fn clone(&self) -> Self {
        Self { head: self.head, value: Arc::clone(&self.value) }
    }
}

impl<T> Clone for Branch<T> {
    fn clone(&self) -> Self {
        Self { least: self.least, rest: self.rest.clone(), node: self.node.clone() }
    }
}

impl<T> Clone for LabelMap<T> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone(), size: self.size }
    }
}

/// What nobody else has goes with the map; see `Node::touch`.
impl<T> Drop for LabelMap<T> {
    fn drop(&mut self) {
        self.root.touch_own();
    }
}

impl<T> Default for LabelMap<T> {
    fn default() -> Self {
        Self { root: Node::Leaf(Arc::new([])), size: 0 }
    }
}

impl<T: Labelled> FromIterator<Arc<T>> for LabelMap<T> {
    fn from_iter<I: IntoIterator<Item = Arc<T>>>(values: I) -> Self {
        let mut map = Self::default();
        values.into_iter().for_each(|value| map.insert(value));
        map
    }
}

impl<T: PartialEq + Labelled> PartialEq for LabelMap<T> {
    fn eq(&self, other: &Self) -> bool {
        self.size == other.size && self.values().eq(other.values())
    }
}

impl<T: std::fmt::Debug + Labelled> std::fmt::Debug for LabelMap<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.values().map(|value| (value.label(), value))).finish()
    }
}

impl<T: Labelled> LabelMap<T> {
    /// How many values there are.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// The value under a label.
    pub fn get(&self, label: &str) -> Option<&Arc<T>> {
        let wanted = Wanted::new(label);
        let mut node = &self.root;
        loop {
            match node {
                Node::Inner(branches) => node = &branches[below(branches, &wanted)].node,
                Node::Leaf(items) => return search(items, &wanted).ok().map(|at| &items[at].value),
            }
        }
    }

    /// The values under labels, found together: each turn of a loop goes one level down and does not depend on the
    /// others, so the processor waits for many at the same time.
    pub fn get_all<'l>(&self, labels: impl Iterator<Item = &'l str>) -> Vec<Option<&Arc<T>>> {
        let mut steps: Vec<(Wanted<'l>, &Node<T>)> = labels.map(|label| (Wanted::new(label), &self.root)).collect();
        let mut is_above = true;
        while is_above {
            is_above = false;
            for (wanted, node) in &mut steps {
                if let Node::Inner(branches) = node {
                    *node = &branches[below(branches, wanted)].node;
                    is_above = true;
                }
            }
        }
        let found = steps.iter().map(|(wanted, node)| match node {
            Node::Leaf(items) => search(items, wanted).ok().map(|at| &items[at].value),
            Node::Inner(_) => None,
        });
        found.collect()
    }

    /// Whether something stands under a label.
    pub fn contains(&self, label: &str) -> bool {
        self.get(label).is_some()
    }

    /// The value under a label, to be changed in this map alone.
    pub fn get_mut(&mut self, label: &str) -> Option<&mut Arc<T>> {
        let wanted = Wanted::new(label);
        let mut node = &mut self.root;
        loop {
            if node.count() > 1 {
                node.touch();
            }
            match node {
                Node::Inner(branches) => {
                    let at = below(branches, &wanted);
                    node = &mut Arc::make_mut(branches)[at].node;
                }
                Node::Leaf(items) => {
                    let at = search(items, &wanted).ok()?;
                    return Some(&mut Arc::make_mut(items)[at].value);
                }
            }
        }
    }

    /// Puts a value under its label, instead of one that is there.
    pub fn insert(&mut self, value: Arc<T>) {
        let (is_new, split) = self.root.insert(value, true);
        self.size += usize::from(is_new);
        if let Some(right) = split {
            let left = Branch { least: Head::default(), rest: None, node: self.root.clone() };
            self.root = Node::Inner([left, right].into());
        }
    }

    /// Takes the value under a label out; says whether there was one.
    pub fn remove(&mut self, label: &str) -> bool {
        if !self.contains(label) {
            return false;
        }
        self.root.remove(&Wanted::new(label));
        self.size -= 1;
        while let Node::Inner(branches) = &self.root
            && let [only] = &**branches
        {
            self.root = only.node.clone();
        }
        true
    }

    /// All values, in the order of their labels.
    pub fn values(&self) -> impl Iterator<Item = &Arc<T>> {
        self.values_from(Bound::Unbounded)
    }

    /// The values behind a bound, in the order of their labels.
    pub fn values_from<'m>(&'m self, from: Bound<&'m str>) -> impl Iterator<Item = &'m Arc<T>> {
        let (label, is_excluded) = match from {
            Bound::Included(label) => (label, false),
            Bound::Excluded(label) => (label, true),
            Bound::Unbounded => ("", false),
        };
        let wanted = Wanted::new(label);
        let mut walk = Walk { above: Vec::new(), items: [].iter() };
        walk.enter(&self.root, Some(&wanted));
        let is_before = move |value: &&Arc<T>| is_excluded && value.label() == label;
        walk.skip_while(is_before)
    }
}

impl<T> Node<T> {
    /// Reads the counters that a copy counts up. Counting waits for each of them in turn; looking at them first waits
    /// for all at the same time.
    fn touch(&self) {
        match self {
            Self::Leaf(items) => items.iter().for_each(|item| _ = black_box(Arc::strong_count(&item.value))),
            Self::Inner(branches) => branches.iter().for_each(|branch| _ = black_box(branch.node.count())),
        }
    }

    /// Reads the counters of everything that nobody else has.
    fn touch_own(&self) {
        if self.count() == 1 {
            self.touch();
            if let Self::Inner(branches) = self {
                branches.iter().for_each(|branch| branch.node.touch_own());
            }
        }
    }

    /// How many maps and nodes share it.
    fn count(&self) -> usize {
        match self {
            Self::Leaf(items) => Arc::strong_count(items),
            Self::Inner(branches) => Arc::strong_count(branches),
        }
    }
}

impl<T: Labelled> Node<T> {
    fn len(&self) -> usize {
        match self {
            Self::Leaf(items) => items.len(),
            Self::Inner(branches) => branches.len(),
        }
    }

    /// Says whether the label is new, and gives what is split off because there is no room. `is_last`: nothing is
    /// behind this node.
    fn insert(&mut self, value: Arc<T>, is_last: bool) -> (bool, Option<Branch<T>>) {
        let wanted = Wanted::new(value.label());
        match self {
            Self::Leaf(items) => match search(items, &wanted) {
                Ok(at) => {
                    Arc::make_mut(items)[at].value = value;
                    (false, None)
                }
                Err(at) => {
                    let item = Item { head: wanted.head, value };
                    let right = put(items, at, item, is_last);
                    (true, right.map(|right| Branch::of(Self::Leaf(right))))
                }
            },
            Self::Inner(branches) => {
                let at = below(branches, &wanted);
                let is_last = is_last && at + 1 == branches.len();
                let (is_new, split) = Arc::make_mut(branches)[at].node.insert(value, is_last);
                let right = split.and_then(|split| put(branches, at + 1, split, is_last));
                (is_new, right.map(|right| Branch::of(Self::Inner(right))))
            }
        }
    }

    /// Takes a value out that is there.
    fn remove(&mut self, wanted: &Wanted<'_>) {
        match self {
            Self::Leaf(items) => {
                if let Ok(at) = search(items, wanted) {
                    *items = without(items, at);
                }
            }
            Self::Inner(branches) => {
                let at = below(branches, wanted);
                Arc::make_mut(branches)[at].node.remove(wanted);
                if branches[at].node.len() < SMALL {
                    join(branches, at);
                }
            }
        }
    }

    /// The same with what stands in the node behind it.
    fn joined(&self, behind: &Branch<T>) -> Self {
        match (self, &behind.node) {
            (Self::Leaf(left), Self::Leaf(right)) => Self::Leaf(left.iter().chain(&**right).cloned().collect()),
            (Self::Inner(left), Self::Inner(right)) => {
                let mut all: Vec<Branch<T>> = left.iter().chain(&**right).cloned().collect();
                // What may come before all that stood in it is behind something now.
                (all[left.len()].least, all[left.len()].rest) = (behind.least, behind.rest.clone());
                Self::Inner(all.into())
            }
            _ => unreachable!("all leaves are at one depth"),
        }
    }
}

impl<T: Labelled> Branch<T> {
    /// A node that is not the first of those above.
    fn of(node: Node<T>) -> Self {
        let (least, rest) = match &node {
            Node::Leaf(items) => {
                let first = &items[0];
                (first.head, first.head.is_cut().then(|| first.value.label().into()))
            }
            Node::Inner(branches) => (branches[0].least, branches[0].rest.clone()),
        };
        Self { least, rest, node }
    }
}

/// Puts something where it belongs; gives the second half if there are too many then. What comes behind all others
/// leaves the first half full, because more may follow.
fn put<E: Clone>(list: &mut Arc<[E]>, at: usize, what: E, is_last: bool) -> Option<Arc<[E]>> {
    let mut all = Vec::with_capacity(list.len() + 1);
    all.extend_from_slice(&list[..at]);
    all.push(what);
    all.extend_from_slice(&list[at..]);
    let half = match all.len() {
        ..=MOST => all.len(),
        len if is_last && at + 1 == len => at,
        len => len / 2,
    };
    let right = all.split_off(half);
    *list = all.into();
    (!right.is_empty()).then(|| right.into())
}

fn without<E: Clone>(list: &[E], at: usize) -> Arc<[E]> {
    list[..at].iter().chain(&list[at + 1..]).cloned().collect()
}

/// Joins a small node with a neighbour that has room for it; one without anything goes.
fn join<T: Labelled>(branches: &mut Arc<[Branch<T>]>, at: usize) {
    if branches.len() > 1 && branches[at].node.len() == 0 {
        *branches = without(branches, at);
        return;
    }
    let fits = |left: usize| branches[left].node.len() + branches[left + 1].node.len() <= JOINED;
    let left =
        Some(at).filter(|at| at + 1 < branches.len() && fits(*at)).or(at.checked_sub(1).filter(|left| fits(*left)));
    if let Some(left) = left {
        let joined = branches[left].node.joined(&branches[left + 1]);
        *branches = without(branches, left + 1);
        Arc::make_mut(branches)[left].node = joined;
    }
}

/// The branch that has a label or would have it. The first one has everything that is less than the others.
fn below<T>(branches: &[Branch<T>], wanted: &Wanted<'_>) -> usize {
    let is_not_behind = |branch: &Branch<T>| {
        let order = wanted.compare(branch.least, || branch.rest.as_deref().unwrap_or_default());
        order != Ordering::Greater
    };
    branches[1..].partition_point(is_not_behind)
}

fn search<T: Labelled>(items: &[Item<T>], wanted: &Wanted<'_>) -> Result<usize, usize> {
    items.binary_search_by(|item| wanted.compare(item.head, || item.value.label()))
}

/// Values in order: a leaf, and what stands behind the nodes above it.
struct Walk<'m, T> {
    above: Vec<std::slice::Iter<'m, Branch<T>>>,
    items: std::slice::Iter<'m, Item<T>>,
}

impl<'m, T: Labelled> Walk<'m, T> {
    /// Goes down to the leaf of a label, or to the first one.
    fn enter(&mut self, mut node: &'m Node<T>, from: Option<&Wanted<'_>>) {
        loop {
            match node {
                Node::Inner(branches) => {
                    let at = from.map_or(0, |wanted| below(branches, wanted));
                    self.above.push(branches[at + 1..].iter());
                    node = &branches[at].node;
                }
                Node::Leaf(items) => {
                    let at = from.map_or(0, |wanted| search(items, wanted).unwrap_or_else(|at| at));
                    self.items = items[at..].iter();
                    return;
                }
            }
        }
    }
}

impl<'m, T: Labelled> Iterator for Walk<'m, T> {
    type Item = &'m Arc<T>;

    fn next(&mut self) -> Option<&'m Arc<T>> {
        loop {
            if let Some(item) = self.items.next() {
                return Some(&item.value);
            }
            match self.above.last_mut()?.next() {
                Some(branch) => self.enter(&branch.node, None),
                None => drop(self.above.pop()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Value(String, usize);

    impl Labelled for Value {
        fn label(&self) -> &str {
            &self.0
        }
    }

    fn check(map: &LabelMap<Value>, model: &BTreeMap<String, usize>) {
        let shown: Vec<_> = map.values().map(|value| (value.0.clone(), value.1)).collect();
        assert_eq!(shown, model.iter().map(|(label, number)| (label.clone(), *number)).collect::<Vec<_>>());
        assert_eq!(map.size(), model.len());
    }

    /// Labels of every length, some of which differ behind what a node has of them.
    fn label(number: usize) -> String {
        match number % 4 {
            0 => format!("s{number}"),
            1 => format!("{}{number}", "long-".repeat(8)),
            2 => format!("{}{number}", "x".repeat(NEAR - 2)),
            _ => "y".repeat(number % 60),
        }
    }

    #[test]
    fn it_is_a_sorted_map_and_versions_do_not_see_each_other() {
        let mut random = 1u64;
        let mut next = move |below: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) as usize % below
        };
        let (mut map, mut model) = (LabelMap::default(), BTreeMap::new());
        let mut versions = Vec::new();
        for step in 0..6000 {
            let label = label(next(if step < 4000 { 1500 } else { 300 }));
            match next(if step < 2500 { 3 } else { 2 }) {
                0 => assert_eq!(map.remove(&label), model.remove(&label).is_some()),
                _ => {
                    map.insert(Arc::new(Value(label.clone(), step)));
                    model.insert(label.clone(), step);
                }
            }
            if let Some(value) = map.get_mut(&label) {
                Arc::make_mut(value).1 += 1;
            }
            model.entry(label.clone()).and_modify(|number| *number += 1);
            assert_eq!(map.get(&label).map(|value| value.1), model.get(&label).copied());
            assert_eq!(map.get_all([&*label, "no such"].into_iter()), [map.get(&label), None]);
            if step % 500 == 0 {
                versions.push((map.clone(), model.clone()));
            }
        }
        versions.push((map.clone(), model.clone()));
        versions.iter().for_each(|(map, model)| check(map, model));
        for number in 0..1500 {
            map.remove(&label(number));
        }
        assert!(map.is_empty() && matches!(map.root, Node::Leaf(_)));
    }

    #[test]
    fn a_walk_begins_behind_a_bound_whether_it_is_there_or_not() {
        let mut map = LabelMap::default();
        (0..200).rev().for_each(|number| map.insert(Arc::new(Value(format!("a{:03}", number * 2), number))));
        for number in 0..400_usize {
            let label = format!("a{number:03}");
            let first = |from| map.values_from(from).next().map(|value| value.1);
            assert_eq!(first(Bound::Included(&label)), Some(number.div_ceil(2)).filter(|at| *at < 200));
            assert_eq!(first(Bound::Excluded(&label)), Some(number / 2 + 1).filter(|at| *at < 200));
        }
        assert_eq!(map.values_from(Bound::Excluded("")).count(), 200);
    }

    #[test]
    fn labels_in_order_fill_the_leaves() {
        let mut map = LabelMap::default();
        (0..1000).for_each(|number| map.insert(Arc::new(Value(format!("a{number:04}"), number))));
        let mut nodes = vec![&map.root];
        while let Node::Inner(_) = nodes[0] {
            let children = nodes.iter().flat_map(|node| match node {
                Node::Inner(branches) => branches.iter(),
                Node::Leaf(_) => [].iter(),
            });
            nodes = children.map(|branch| &branch.node).collect();
        }
        assert_eq!(nodes.len(), 1000 / MOST);
    }
}
