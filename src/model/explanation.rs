//! Why a name answers as it does: what `GET /v1/explain` replies with, and its words.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Instance, Revision, State, Timestamp};

/// Reply to `GET /v1/explain`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Explanation {
    /// The name, in lower case and with its final dot.
    pub name: String,
    /// The type that was asked for.
    #[serde(rename = "type")]
    pub rtype: String,
    /// What DNS answers now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Said>,
    /// All of it in a sentence or two.
    pub summary: String,
    /// Where the static record of the name stands: `file:line`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub static_record: Option<String>,
    /// The instances that the name could answer with, those that are not answered first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<Explained>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: usize,
    /// Registrations of such instances that were refused within the last hour, and not accepted since; the last one
    /// first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedAttempt>,
    /// Names of the same kind that there are, when there is no such service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nearest: Vec<String>,
}

impl Explanation {
    /// All of it for people, a line for each instance.
    pub fn lines(&self) -> Vec<String> {
        let Self { name, rtype, answer, summary, instances, omitted, refused, nearest, .. } = self;
        let said = answer.as_ref().map(|said| format!("; DNS answers {rtype}: {said}")).unwrap_or_default();
        let several = instances.iter().any(|row| row.service != instances[0].service);
        let mut lines = vec![format!("{summary}{said}")];
        lines.extend(instances.iter().map(|row| {
            let word = if row.is_in { "in" } else { "out" };
            format!("{} {word} {}", row.label(several), row.words())
        }));
        if *omitted > 0 {
            lines.push(format!("and {omitted} more; GET /v1/explain?name={name}&limit=1000"));
        }
        lines.extend(refused.iter().map(|attempt| format!("{} {}", attempt.id, attempt.words())));
        if !nearest.is_empty() {
            lines.push(format!("there are: {}", nearest.join(" ")));
        }
        lines
    }
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// What DNS answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"rcode": "NOERROR", "records": 2}))]
pub struct Said {
    /// The response code.
    pub rcode: String,
    /// Records in the answer section.
    pub records: usize,
    /// Text of the extended error (RFC 8914).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ede: Option<String>,
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = if self.records == 1 { "record" } else { "records" };
        write!(f, "{}, {} {word}", self.rcode, self.records)?;
        self.ede.iter().try_for_each(|text| write!(f, " ({text})"))
    }
}

/// A registration that was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"service": "search", "id": "a9", "age_seconds": 12.0, "by": "token squad-search",
    "word": "address-refused", "detail": "198.51.100.7 is not in policy.allow_addresses"}))]
pub struct RefusedAttempt {
    /// Service label.
    pub service: String,
    /// Instance label.
    pub id: String,
    /// How long ago.
    pub age_seconds: f64,
    /// Who asked for it.
    pub by: String,
    /// The word of the problem document.
    pub word: String,
    /// What was wrong, and what would be accepted.
    pub detail: String,
}

impl RefusedAttempt {
    /// When, whom, and why.
    pub fn words(&self) -> String {
        let Self { age_seconds, by, word, detail, .. } = self;
        let ago = Ago(Duration::from_secs_f64(age_seconds.max(0.0)));
        format!("refused {ago} ago to {by} ({word}): {detail}")
    }
}

/// One instance: in the answers or not, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(example = json!({"service": "search", "id": "a4", "in": false, "state": "lapsed",
    "why": "lapsed 14 s ago, no beat for its lease of 15 s (revision 1842)",
    "advice": "see whether it runs, and its agent: zonebeat agent status", "since": "2026-11-20T20:54:18Z",
    "revision": 1842}))]
pub struct Explained {
    /// Service label.
    pub service: String,
    /// Instance label.
    pub id: String,
    /// Whether the name answers with it.
    #[serde(rename = "in")]
    pub is_in: bool,
    /// `serving`, `held`, `out`, `drained` or `lapsed`.
    pub state: String,
    /// Why, in words.
    pub why: String,
    /// What to do, if something is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// Since when it is in its state.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// The last change of it.
    pub revision: Revision,
}

/// What is known of an instance besides its row.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'k> {
    /// Whether the name answers with it.
    pub is_in: bool,
    /// Its lapse is held with those of the whole fleet.
    pub fleet_held: bool,
    /// How long ago this server saw a beat for it.
    pub beat_age: Option<Duration>,
    /// The tier of sites that the name answers with, if it is not one of them.
    pub other_tier: Option<&'k [String]>,
}

impl Explained {
    /// Explains one instance of a service.
    pub fn new(service: &str, instance: &Instance, now: Timestamp, known: Known<'_>) -> Self {
        let state = if known.fleet_held { State::Held } else { instance.state };
        let (why, advice) = match known.other_tier {
            Some(tier) if instance.is_serving() => (elsewhere(instance, tier), None),
            _ => (why(instance, state, now, known), advice(service, instance, state)),
        };
        let weighted = weighted(service, instance, now).filter(|_| known.is_in).unwrap_or_default();
        let why = why + &weighted;
        Self {
            service: service.to_owned(),
            id: instance.id.to_string(),
            is_in: known.is_in,
            state: state.as_str().to_owned(),
            why,
            advice,
            since: instance.since,
            revision: instance.revision,
        }
    }
}

impl Explained {
    /// Its label, with that of its service where there are `several`.
    pub fn label(&self, several: bool) -> String {
        if several { format!("{}/{}", self.service, self.id) } else { self.id.clone() }
    }

    /// Why, and what to do.
    pub fn words(&self) -> String {
        let advice = self.advice.as_ref().map(|advice| format!("; {advice}")).unwrap_or_default();
        format!("{}{advice}", self.why)
    }
}

/// It serves, at a site that the name does not answer with.
fn elsewhere(instance: &Instance, tier: &[String]) -> String {
    let site = instance.site.as_deref().unwrap_or("no site");
    format!("serving at {site}, but the name answers with the tier {}", tier.join(", "))
}

fn why(instance: &Instance, state: State, now: Timestamp, known: Known<'_>) -> String {
    let (ago, revision, lease) = (Ago(instance.since.age(now)), instance.revision, instance.lease_seconds);
    let beat = known.beat_age.map(|age| format!("beat {} ago", Ago(age)));
    let last_beat = beat.as_ref().map(|beat| format!(", last {beat}")).unwrap_or_default();
    match state {
        State::Serving => {
            beat.map_or_else(|| format!("serving for {ago}"), |beat| format!("serving for {ago}, {beat}"))
        }
        State::Held if known.fleet_held => {
            format!(
                "no beat for its lease of {lease} s{last_beat}; held: many sessions of the fleet fell silent together"
            )
        }
        State::Held => {
            let only = if known.is_in { "" } else { " for the name of its site alone" };
            format!(
                "held by the guard for {ago}{only}{last_beat}: no beat for its lease of {lease} s (revision {revision})"
            )
        }
        State::Out => {
            let reason = instance.out.as_deref().unwrap_or_default();
            format!("by its own word for {ago}: {reason} (revision {revision})")
        }
        State::Drained => drained(instance, &ago),
        State::Lapsed => {
            format!("lapsed {ago} ago{last_beat}: no beat for its lease of {lease} s (revision {revision})")
        }
    }
}

/// Which weight an operator has set, who, why and until when, and the way back.
fn weighted(service: &str, instance: &Instance, now: Timestamp) -> Option<String> {
    let set = instance.set_weight()?;
    let (weight, registered, id, author) = (set.weight, instance.weight, &instance.id, &set.mark.author);
    let time = set.left(now).map(|left| format!(" for {} more", Ago(left))).unwrap_or_default();
    let reason = if set.mark.reason.is_empty() { String::new() } else { format!(" \"{}\"", set.mark.reason) };
    let by = format!("by {author}{reason} (revision {})", set.mark.revision);
    Some(format!(", weight {weight} instead of {registered}{time} {by}; zonebeat weight {service} {id} registered"))
}

fn drained(instance: &Instance, ago: &Ago) -> String {
    let Some(mark) = instance.drained() else { return format!("drained {ago} ago") };
    let reason = if mark.reason.is_empty() { String::new() } else { format!(" \"{}\"", mark.reason) };
    format!("drained by {} {ago} ago{reason} (revision {})", mark.author, mark.revision)
}

fn advice(service: &str, instance: &Instance, state: State) -> Option<String> {
    let id = &instance.id;
    let silent = || instance.session.as_deref().map_or("it".to_owned(), |session| format!("session {session}"));
    match state {
        State::Serving => None,
        State::Held => {
            Some(format!("see whether {} beats; to let it lapse now: zonebeat release {service} {id}", silent()))
        }
        State::Out => Some("it comes back when its agent, or the service itself, says so".to_owned()),
        State::Drained => Some(format!("zonebeat undrain {service} {id}")),
        State::Lapsed => {
            Some(format!("see whether {} beats; if it is gone for good: zonebeat deregister {service} {id}", silent()))
        }
    }
}

/// A duration as people say it.
struct Ago(Duration);

impl std::fmt::Display for Ago {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0..10 => write!(f, "{:.1} s", self.0.as_secs_f64()),
            10..120 => write!(f, "{seconds} s"),
            120..7200 => write!(f, "{} min", seconds / 60),
            7200..172_800 => write!(f, "{} h", seconds / 3600),
            _ => write!(f, "{} days", seconds / 86_400),
        }
    }
}
