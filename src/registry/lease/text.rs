//! Short texts side by side: the labels of lone instances, without a heap block for each.
//!
//! A text lies in a place whose width is its length rounded up to 8 octets. Places of one width lie in
//! chunks of 512, so growing copies nothing; a place that was given back is used again. Memory is kept for
//! the next leases, never returned.

/// Octets by which widths differ.
const STEP: usize = 8;
const PLACES: usize = 512;
const NONE: u32 = u32::MAX;

/// Texts by width.
#[derive(Default)]
pub(super) struct Texts(Vec<Class>);

/// Where a text lies. In octets, so that it takes five of an entry and not eight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    place: [u8; 4],
    length: u8,
}

/// The places of one width.
struct Class {
    width: usize,
    chunks: Vec<Box<[u8]>>,
    /// Places that have ever been used.
    used: u32,
    /// The first of the free places among them; each names the next in its first octets.
    free: u32,
}

impl Text {
    /// No text; has no place.
    pub(super) const EMPTY: Self = Self { place: [0; 4], length: 0 };

    fn at(place: u32, length: usize) -> Self {
        Self { place: place.to_ne_bytes(), length: length as u8 }
    }

    fn place(self) -> u32 {
        u32::from_ne_bytes(self.place)
    }
}

impl Texts {
    /// Keeps a text. What is beyond 255 octets is cut off; labels have 63 at most.
    pub(super) fn insert(&mut self, text: &str) -> Text {
        let octets = &text.as_bytes()[..text.len().min(usize::from(u8::MAX))];
        let class = class_of(octets.len());
        while self.0.len() <= class {
            self.0.push(Class::new((self.0.len() + 1) * STEP));
        }
        let place = self.0[class].take();
        self.0[class].octets_mut(place)[..octets.len()].copy_from_slice(octets);
        Text::at(place, octets.len())
    }

    /// The octets of a text.
    pub(super) fn get(&self, text: Text) -> &[u8] {
        let length = usize::from(text.length);
        &self.0[class_of(length)].octets(text.place())[..length]
    }

    /// Gives the place of a text back.
    pub(super) fn remove(&mut self, text: Text) {
        self.0[class_of(usize::from(text.length))].give_back(text.place());
    }
}

fn class_of(length: usize) -> usize {
    length.saturating_sub(1) / STEP
}

impl Class {
    fn new(width: usize) -> Self {
        Self { width, chunks: Vec::new(), used: 0, free: NONE }
    }

    fn take(&mut self) -> u32 {
        if self.free != NONE {
            let place = self.free;
            let next = self.octets(place).first_chunk().expect("a place has eight octets or more");
            self.free = u32::from_ne_bytes(*next);
            return place;
        }
        if self.used as usize == self.chunks.len() * PLACES {
            self.chunks.push(vec![0; PLACES * self.width].into());
        }
        self.used += 1;
        self.used - 1
    }

    fn give_back(&mut self, place: u32) {
        let next = self.free.to_ne_bytes();
        self.octets_mut(place)[..next.len()].copy_from_slice(&next);
        self.free = place;
    }

    fn octets(&self, place: u32) -> &[u8] {
        let start = place as usize % PLACES * self.width;
        &self.chunks[place as usize / PLACES][start..start + self.width]
    }

    fn octets_mut(&mut self, place: u32) -> &mut [u8] {
        let start = place as usize % PLACES * self.width;
        &mut self.chunks[place as usize / PLACES][start..start + self.width]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_length_are_kept_and_places_used_again() {
        let mut texts = Texts::default();
        let label = |number: usize| "x".repeat(number % 64) + &number.to_string();
        for round in 0..3 {
            let kept: Vec<(String, Text)> =
                (0..2000).map(|number| (label(number + round), texts.insert(&label(number + round)))).collect();
            for (label, text) in &kept {
                assert_eq!(texts.get(*text), label.as_bytes());
            }
            kept.iter().for_each(|(_, text)| texts.remove(*text));
        }
        let places: u32 = texts.0.iter().map(|class| class.used).sum();
        assert!(places < 2100, "{places}");
    }
}
