//! Shards that replace others: what building them anew gives, in few lengths.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::model::Rtype;
use crate::view::pack::LARGE;
use crate::view::shard::ShardBuilder;
use crate::view::shard::tests::{Content, NAME, OTHER, push, set};

/// The shard with these names edited: tag, name, and what stands there.
fn patch(patcher: &mut Patcher, base: &Shard, edits: &[(u16, &[u8], Option<&Content>)]) -> Shard {
    patcher.begin(base);
    for (tag, name, content) in edits {
        let at = base.find_offset(*tag, name);
        let none = Content::default();
        let Content { zone, flags, children, note, sets, signatures } = content.unwrap_or(&none);
        let facts = Facts { zone: *zone, flags: *flags, children: *children, note };
        let sets: Vec<_> = sets.iter().map(|set| set.as_set(name)).collect();
        let signatures: Vec<_> = signatures.iter().map(|set| set.as_set(name)).collect();
        patcher.edit(base, (*tag, name), at, content.map(|_| (facts, &*sets, &*signatures)));
    }
    patcher.finish(base)
}

#[test]
fn signatures_stand_beside_their_set_and_survive_a_copy_wherever_they_are() {
    let large = LARGE + 1;
    for (text, signature) in [(10, 20), (large, 20), (10, large), (large, large)] {
        let (sets, signatures) = (vec![set(Rtype::TXT, text)], vec![set(Rtype::RRSIG, signature)]);
        let content = Content { sets, signatures, note: "a note".into(), ..Content::default() };
        let other = Content { sets: vec![set(Rtype::A, large)], ..Content::default() };
        let mut builder = ShardBuilder::default();
        push(&mut builder, 6, OTHER, &other);
        push(&mut builder, 7, NAME, &content);
        let built = builder.build();
        builder.copy(&built);
        let copied = builder.build();
        let mut patcher = Patcher::default();
        let same = patch(&mut patcher, &built, &[]);
        let patched = patch(&mut patcher, &built, &[(6, OTHER, Some(&other))]);
        for shard in [built, copied, same, patched] {
            let entry = shard.find(7, NAME).expect("it was added");
            assert_eq!(Content::of(&entry), content);
            assert_eq!(entry.sets().count(), 1);
            assert!(entry.set(Rtype::RRSIG).is_none() && entry.signatures(Rtype::A).is_none());
            let signatures = entry.signatures(Rtype::TXT).expect("it was added");
            assert_eq!((signatures.rtype, signatures.records().count()), (Rtype::RRSIG, 1));
            let entry = shard.find(6, OTHER).expect("it was added");
            assert!(!entry.is_signed());
            assert_eq!(Content::of(&entry), other);
            let places = shard.large.iter().map(|large| large.len()).sum::<usize>();
            assert_eq!(
                places,
                1 + usize::from(text == large) + usize::from(signature == large),
                "places are used again"
            );
        }
    }
}

#[test]
fn shards_that_replace_others_have_few_lengths_and_little_to_spare() {
    let (mut shard, mut builder, mut lengths) = (Shard::empty(), ShardBuilder::default(), BTreeSet::new());
    let mut patcher = Patcher::default();
    for number in 0..1500_u16 {
        let text = format!("\x05{number:05}\x00").into_bytes();
        let content = Content { sets: vec![set(Rtype::TXT, 40)], ..Content::default() };
        shard = patch(&mut patcher, &shard, &[(number.wrapping_mul(40_503), &text, Some(&content))]);
        builder.copy(&shard);
        let smallest = builder.build();
        let spare = shard.octets.len() - smallest.octets.len();
        assert!(spare <= 16 || spare <= shard.block() / 5, "{spare} of {}", shard.block());
        lengths.insert(shard.block());
        assert_eq!(shard.entries().count(), usize::from(number) + 1);
    }
    assert!(shard.wide, "{}", shard.octets.len());
    assert!((0..1500_u16).all(|number| {
        let text = format!("\x05{number:05}\x00").into_bytes();
        shard.find(number.wrapping_mul(40_503), &text).is_some_and(|entry| entry.name() == text)
    }));
    assert!(lengths.len() < 8 + 4 * 11, "{lengths:?}");
}

/// Entries come and go at random; names share tags, and the shard becomes too long for short offsets and short
/// again.
#[test]
fn entries_come_and_go_and_the_others_stay() {
    let mut random = 7u32;
    let mut next = move |below: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 16) % below
    };
    let name = |number: u32| [b"\x04".as_slice(), &number.to_be_bytes(), b"\0"].concat();
    let tag = |number: u32| (number / 3 * 977) as u16;
    let mut known = BTreeMap::new();
    let (mut patcher, mut shard) = (Patcher::default(), Shard::empty());
    let mut was_wide = false;
    for round in 0..300 {
        let most = if round < 150 { 400 } else { 60 };
        let edits: BTreeSet<u32> = (0..8).map(|_| next(most)).collect();
        let gone = (most..400).filter(|number| *number % 100 == round % 100);
        let edits: BTreeSet<u32> = edits.into_iter().chain(gone).collect();
        let mut named = Vec::new();
        for number in edits {
            let sets = vec![set(Rtype::TXT, 2 + next(600) as usize)];
            let content = Content { sets, children: next(300), ..Content::default() };
            let content = (number < most && next(3) > 0).then_some(content);
            named.push((tag(number), name(number), content.clone()));
            match content {
                Some(content) => drop(known.insert(number, content)),
                None => drop(known.remove(&number)),
            }
        }
        let named: Vec<_> = named.iter().map(|(tag, name, content)| (*tag, &**name, content.as_ref())).collect();
        shard = patch(&mut patcher, &shard, &named);
        was_wide |= shard.wide;
        assert_eq!(shard.entries().count(), known.len());
        for number in 0..400 {
            let found = shard.find(tag(number), &name(number)).map(|entry| Content::of(&entry));
            assert_eq!(found.as_ref(), known.get(&number), "round {round}");
        }
    }
    assert!(was_wide && !shard.wide);
}
