//! Labels that look like one that there is not.

/// Labels that look like one that there is not, the likeliest first.
#[derive(Debug)]
pub(super) struct Nearest<'a> {
    label: &'a str,
    most: usize,
    least: f64,
    scored: Vec<(f64, &'a str)>,
}

impl<'a> Nearest<'a> {
    /// Less alike than this is not what somebody meant, among many.
    const ALIKE: f64 = 0.8;

    /// Looks for the `most` likeliest among very many.
    pub(super) fn new(label: &'a str, most: usize) -> Self {
        Self { label, most, least: Self::ALIKE, scored: Vec::new() }
    }

    /// Looks for the `most` likeliest among a few, however little they are alike.
    pub(super) fn among_few(label: &'a str, most: usize) -> Self {
        Self { least: 0.0, ..Self::new(label, most) }
    }

    /// Compares with one more label, if it is worth an answer: a fraction of a microsecond.
    pub(super) fn consider(&mut self, label: &'a str, is_known: impl FnOnce() -> bool) {
        let score = strsim::jaro_winkler(self.label, label);
        if score < self.least || self.scored.iter().any(|(_, known)| *known == label) || !is_known() {
            return;
        }
        let at = self.scored.partition_point(|(better, _)| *better >= score);
        self.scored.insert(at, (score, label));
        self.scored.truncate(self.most);
    }

    /// What was found.
    pub(super) fn labels(&self) -> impl Iterator<Item = &'a str> {
        self.scored.iter().map(|(_, label)| *label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_come_first_and_each_once() {
        let mut nearest = Nearest::new("serach", 2);
        for label in ["billing", "searches", "search", "search", "seen", "research"] {
            nearest.consider(label, || true);
        }
        nearest.consider("serac", || false);
        assert_eq!(nearest.labels().collect::<Vec<_>>(), ["search", "searches"]);
        let mut few = Nearest::among_few("a2", 2);
        few.consider("a1", || true);
        assert_eq!(few.labels().collect::<Vec<_>>(), ["a1"]);
    }
}
