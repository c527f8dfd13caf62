//! What was measured, and how it is shown.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// What came back, by kind; milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// When the first acknowledgement came.
    since: Option<Instant>,
    pub(crate) acknowledged: Vec<f32>,
    /// The same by second.
    seconds: Vec<Vec<f32>>,
    pub(crate) sessions: Vec<f32>,
    pub(crate) hot: Vec<f32>,
    pub(crate) answered: Vec<f32>,
    /// Changes of the sample that the first query after their acknowledgement did not show.
    pub(crate) not_shown: usize,
    pub(crate) refused: usize,
    pub(crate) first_refusal: Option<String>,
    /// How far the load was behind its plan, at most.
    pub(crate) behind: Duration,
}

impl Ledger {
    /// A change was acknowledged after so many milliseconds.
    pub(crate) fn acknowledge(&mut self, took: f32) {
        let second = self.since.get_or_insert_with(Instant::now).elapsed().as_secs() as usize;
        self.seconds.resize_with(self.seconds.len().max(second + 1), Vec::new);
        self.seconds[second].push(took);
        self.acknowledged.push(took);
    }

    /// The 99th percentile of acknowledgements in each second, in whole milliseconds: a plan that is held but for a
    /// few seconds looks other than one that is missed all the time.
    pub(crate) fn by_second(&self) -> Value {
        let p99 = |second: &Vec<f32>| latencies(second)["p99"].as_f64().map(f64::round);
        json!(self.seconds.iter().map(p99).collect::<Vec<_>>())
    }

    pub(crate) fn refuse(&mut self, reply: &[u8]) {
        self.refused += 1;
        self.first_refusal.get_or_insert_with(|| String::from_utf8_lossy(&reply[..reply.len().min(600)]).into_owned());
    }
}

/// Count, median, 99th percentile and maximum.
pub(crate) fn latencies(values: &[f32]) -> Value {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let at = |share: f64| sorted.get(((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1)));
    json!({ "count": sorted.len(), "p50": at(0.5), "p99": at(0.99), "p999": at(0.999), "max": at(1.0) })
}

/// Prints a report, a line for each value.
pub(crate) fn print(report: &Value) {
    print_within("", report);
}

fn print_within(path: &str, value: &Value) {
    match value {
        Value::Object(fields) if fields.contains_key("p99") => {
            let field = |name: &str| fields[name].as_f64().unwrap_or(f64::NAN);
            let [count, p50, p99, p999, max] = ["count", "p50", "p99", "p999", "max"].map(field);
            println!("{path:<44} p50 {p50:8.2}  p99 {p99:8.2}  p99.9 {p999:8.2}  max {max:8.2}  of {count}");
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                print_within(&path, value);
            }
        }
        Value::Number(number) => println!("{path:<44} {:.2}", number.as_f64().unwrap_or(f64::NAN)),
        Value::Null => {}
        other => println!("{path:<44} {other}"),
    }
}
