//! Walks over very many services: a bit at a time, so that other calls of the same thread are answered meanwhile.

/// How many steps a walk makes in one turn: some hundred microseconds.
const TURN: usize = 1000;

/// Counts the steps of a walk.
#[derive(Debug, Default)]
pub(super) struct Turns(usize);

impl Turns {
    /// One step; lets others have their turn when it is over.
    pub(super) async fn step(&mut self) {
        self.0 += 1;
        if self.0.is_multiple_of(TURN) {
            tokio::task::yield_now().await;
        }
    }
}

/// The first `most` items that are wanted.
pub(super) async fn first<T: Copy>(items: impl Iterator<Item = T>, wanted: impl Fn(T) -> bool, most: usize) -> Vec<T> {
    let (mut found, mut turns) = (Vec::new(), Turns::default());
    for item in items {
        turns.step().await;
        if wanted(item) {
            found.push(item);
            if found.len() == most {
                break;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_walk_ends_with_what_was_asked_for() {
        assert_eq!(first(0..10_000, |number| number % 3 == 2, 2).await, [2, 5]);
        assert_eq!(first(0..10_000, |number| number > 9997, 3).await, [9998, 9999]);
    }
}
