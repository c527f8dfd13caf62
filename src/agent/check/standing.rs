//! Passes and failures in a row become a verdict.
//!
//! Nothing is known until the first probe ended; that one decides alone, so that a start needs no `rise` intervals.
//! Only an instance that is in the answers already is not taken out by one failure. Later a failing check needs `rise`
//! passes in a row, a passing one `fall` failures. Pure: no clock, no I/O.

use super::{Outcome, Spec};

/// The longest reason that a server takes, in octets.
const LONGEST_REASON: usize = 200;

/// Whether a check passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No probe has ended yet.
    Unknown,
    /// The instance may be in the answers.
    Passing,
    /// It may not.
    Failing,
}

impl Verdict {
    /// The word for people and programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Passing => "passing",
            Self::Failing => "failing",
        }
    }
}

/// Where a check stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    verdict: Verdict,
    /// Until there is a verdict one failure is not one yet: the instance is in the answers.
    is_served: bool,
    /// How many outcomes in a row agree with the last.
    row: u32,
    last: Option<Outcome>,
}

impl Default for Standing {
    fn default() -> Self {
        Self { verdict: Verdict::Unknown, is_served: false, row: 0, last: None }
    }
}

impl Standing {
    /// Nothing known, of an instance that is in the answers.
    pub fn of_served() -> Self {
        Self { is_served: true, ..Self::default() }
    }

    /// Takes the outcome of a probe; whether the verdict or its reason is another one now.
    pub fn take(&mut self, outcome: Outcome, spec: &Spec) -> bool {
        let before = (self.verdict, self.reason());
        let same = self.last.as_ref().is_some_and(|last| last.is_ok() == outcome.is_ok());
        self.row = if same { self.row.saturating_add(1) } else { 1 };
        let passed = outcome.is_ok();
        self.last = Some(outcome);
        self.verdict = match self.verdict {
            Verdict::Unknown if passed => Verdict::Passing,
            Verdict::Unknown if !self.is_served || self.row >= spec.fall => Verdict::Failing,
            Verdict::Passing if !passed && self.row >= spec.fall => Verdict::Failing,
            Verdict::Failing if passed && self.row >= spec.rise => Verdict::Passing,
            kept => kept,
        };
        before.0 != self.verdict || (self.verdict == Verdict::Failing && before.1 != self.reason())
    }

    /// Whether it passes.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// What the last probe found, in words.
    pub fn detail(&self) -> &str {
        match &self.last {
            None => "no probe has ended yet",
            Some(Ok(detail) | Err(detail)) => detail,
        }
    }

    /// Why it fails, as history and `explain` show it: `GET /health answered 503, 3 times`. It is as a server takes it:
    /// short, and without control characters, which a command may well have written.
    pub fn reason(&self) -> String {
        let times = if self.row > 1 { format!(", {} times", self.row) } else { String::new() };
        let detail: String = self.detail().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let end = (0..=detail.len().min(LONGEST_REASON - times.len())).rev().find(|at| detail.is_char_boundary(*at));
        format!("{}{times}", &detail[..end.unwrap_or(0)])
    }

    /// How many outcomes in a row agree with the last one.
    pub fn row(&self) -> u32 {
        self.row
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::services::CheckTable;
    use super::*;

    fn spec(rise: u32, fall: u32) -> Spec {
        let table = CheckTable { rise, fall: Some(fall), ..CheckTable::new("tcp") };
        Spec::of(&table, 1).expect("spec")
    }

    fn verdicts(spec: &Spec, outcomes: &str) -> String {
        verdicts_of(Standing::default(), spec, outcomes)
    }

    fn verdicts_of(mut standing: Standing, spec: &Spec, outcomes: &str) -> String {
        let one = |c| {
            standing.take(if c == '+' { Ok(String::new()) } else { Err("no".into()) }, spec);
            match standing.verdict() {
                Verdict::Unknown => '?',
                Verdict::Passing => '+',
                Verdict::Failing => '-',
            }
        };
        outcomes.chars().map(one).collect()
    }

    #[test]
    fn the_first_outcome_decides_later_ones_have_to_agree() {
        assert_eq!(verdicts(&spec(1, 3), "+--+---+"), "++++++-+");
        assert_eq!(verdicts(&spec(2, 1), "-++-+-++"), "--+----+");
    }

    #[test]
    fn one_failure_does_not_take_out_what_is_in_the_answers() {
        assert_eq!(verdicts_of(Standing::of_served(), &spec(1, 3), "--+---+"), "??+++-+");
        assert_eq!(verdicts_of(Standing::of_served(), &spec(2, 3), "---+-++"), "??----+");
        assert_eq!(verdicts_of(Standing::of_served(), &spec(1, 1), "-+"), "-+");
    }

    #[test]
    fn the_reason_counts_and_fits() {
        let spec = spec(1, 1);
        let mut standing = Standing::default();
        assert!(standing.take(Err("GET /health answered 503".into()), &spec));
        assert_eq!(standing.reason(), "GET /health answered 503");
        standing.take(Err("GET /health answered 503".into()), &spec);
        assert_eq!(standing.reason(), "GET /health answered 503, 2 times");
        standing.take(Err("ä".repeat(300)), &spec);
        assert!(standing.reason().len() <= LONGEST_REASON && standing.reason().ends_with("ä, 3 times"));
        standing.take(Err("\u{1b}[31mdisk\u{7} full".into()), &spec);
        assert_eq!(standing.reason(), " [31mdisk  full, 4 times");
    }
}
