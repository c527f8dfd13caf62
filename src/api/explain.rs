//! Why: which instances a name was considered for, which of them it answers with, and what keeps the others out.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::query::{Pairs, Parameters, Query};
use super::turns::Turns;
use super::{Answer, ApiState, Shared, json};
use crate::model::explanation::{Explained, Explanation, Known, Said};
use crate::model::mnemonic::MNEMONICS;
use crate::model::naming::Publishes;
use crate::model::{Instance, Name, Refusal, Rtype, Word};
use crate::registry::Snapshot;
use crate::registry::explain::{Nearest, Reading, readings};

/// Instances that are shown if nothing else is asked for, and at most.
const SHOWN: u64 = 100;
const MOST: u64 = 1000;
/// Names that are offered instead.
const NEAREST: usize = 3;

/// The calls of this file.
pub(super) fn routes() -> OpenApiRouter<Arc<ApiState>> {
    OpenApiRouter::new().routes(routes!(explain))
}

/// What is to be explained.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// The name, as DNS is asked for it.
    #[param(value_type = String, example = "_search._tcp.sd.example.org")]
    name: Name,
    /// The type; without it the one that such a name is asked for.
    #[param(required = false, value_type = String, example = "SRV")]
    r#type: Option<Rtype>,
    /// The most instances that are shown; 100 if missing.
    #[param(required = false, minimum = 1, maximum = 1000)]
    limit: usize,
}

impl Parameters for Asked {
    const NAMES: &'static [&'static str] = &["name", "type", "limit"];

    fn read(query: &Pairs) -> Result<Self, Refusal> {
        let bad = |detail: String| Refusal::new(Word::BadValue, detail);
        let name = query.text("name")?.ok_or_else(|| bad("name is missing: which name is to be explained?".into()))?;
        let parsed = Name::parse_absolute(name);
        let name = parsed.map_err(|error| bad(format!("\"{}\" is no name: {error}", name.escape_debug())))?;
        let rtype = query.text("type")?.map(rtype).transpose()?;
        let limit = query.number("limit", 1..=MOST)?.unwrap_or(SHOWN) as usize;
        Ok(Self { name, r#type: rtype, limit })
    }
}

fn rtype(text: &str) -> Result<Rtype, Refusal> {
    let known = MNEMONICS.iter().find(|(_, mnemonic)| mnemonic.eq_ignore_ascii_case(text));
    let number = || text.get(4..).filter(|_| text[..4].eq_ignore_ascii_case("TYPE"))?.parse().ok();
    known.map(|(number, _)| *number).or_else(number).map(Rtype).ok_or_else(|| {
        let shown = text.escape_debug();
        Refusal::new(Word::BadValue, format!("\"{shown}\" is no type; give one such as SRV, A, AAAA, TXT or TYPE65"))
    })
}

/// Explain an answer.
///
/// Reads the name through the naming patterns, and lists each instance that it could answer with: in or out, since when,
/// why, and what to do. Says where a static record of the name stands, and which names are near to one that there is
/// not. Looks through all instances of the service, and through all services if there is none of that label.
#[utoipa::path(
    get, path = "/v1/explain", tag = "services",
    params(Asked),
    responses((status = 200, description = "The explanation", body = Explanation)),
)]
async fn explain(State(state): Shared, Query(asked): Query<Asked>) -> Answer {
    let snapshot = state.snapshot()?;
    let found = readings(state.registry.options(), &snapshot, &asked.name);
    let rtype = asked.r#type.unwrap_or_else(|| usual(&found));
    let mut rows = rows(&found);
    rows.sort_by_key(|row| row.is_in);
    let omitted = rows.len().saturating_sub(asked.limit);
    let (all, serving) = (rows.len(), rows.iter().filter(|row| row.is_in).count());
    rows.truncate(asked.limit);
    let answer = state.zones.said(&asked.name, rtype);
    let static_record = state.zones.static_record(&asked.name);
    let near = if found.iter().any(|reading| reading.service.is_some()) {
        Vec::new()
    } else {
        near(&state, &snapshot, &found).await
    };
    let summary = summary(&asked.name, &found, (serving, all), answer.as_ref(), static_record.as_deref());
    let body = Explanation {
        name: asked.name.to_string(),
        rtype: rtype.to_string(),
        answer,
        summary,
        static_record,
        instances: explained(&state, &rows),
        omitted,
        nearest: near,
    };
    Ok(json::reply(StatusCode::OK, &body))
}

/// An instance as one reading of the name finds it.
struct Row {
    service: Arc<str>,
    instance: Instance,
    other_tier: Option<Vec<String>>,
    is_in: bool,
}

/// Each instance once, in the order of services and ids.
fn rows(found: &[Reading]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for reading in found {
        let Some(service) = &reading.service else { continue };
        let tier = reading.tier();
        let is_elsewhere = |site: Option<&str>, tier: &[String]| !tier.iter().any(|own| Some(own.as_str()) == site);
        rows.extend(reading.instances().map(|instance| {
            let other_tier = tier.clone().filter(|tier| is_elsewhere(instance.site, tier));
            let is_in = reading.serves(&instance) && other_tier.is_none();
            Row { service: service.name.clone(), instance: instance.to_instance(), other_tier, is_in }
        }));
    }
    let mut seen = std::collections::HashSet::new();
    rows.retain(|row| seen.insert((row.service.clone(), row.instance.id.clone())));
    rows
}

fn explained(state: &ApiState, rows: &[Row]) -> Vec<Explained> {
    let now = state.clock.wall();
    let one = |row: &Row| {
        // Beats are counted in ticks of the lease: the beat that brought it into service is not older than the service.
        let most = if row.instance.is_silent() { Duration::MAX } else { row.instance.since.age(now) };
        let known = Known {
            beat_age: state.registry.beat_age(&row.service, &row.instance.id).map(|age| age.min(most)),
            other_tier: row.other_tier.as_deref(),
            is_in: row.is_in,
            fleet_held: state.registry.is_fleet_held(&row.service, &row.instance),
        };
        Explained::new(&row.service, &row.instance, now, known)
    };
    rows.iter().map(one).collect()
}

/// The type that such a name is asked for.
fn usual(found: &[Reading]) -> Rtype {
    match found.first().map(|reading| reading.publishes) {
        Some(Publishes::Addresses | Publishes::Host) | None => Rtype::A,
        Some(Publishes::Service | Publishes::Instance) => Rtype::SRV,
        Some(Publishes::Subtype | Publishes::Types | Publishes::Browse) => Rtype::PTR,
    }
}

/// The same name with labels of services that there are, looked for in turns with other calls.
async fn near(state: &ApiState, snapshot: &Snapshot, found: &[Reading]) -> Vec<String> {
    let Some(reading) = found.first() else { return Vec::new() };
    let (mut nearest, mut turns) = (Nearest::new(&reading.label, NEAREST), Turns::default());
    for service in snapshot.services.values() {
        turns.step().await;
        nearest.consider(service);
    }
    let named = nearest.labels().filter_map(|label| reading.renamed(label, state.registry.options()));
    named.map(|name| name.to_string()).collect()
}

fn summary(
    name: &Name,
    found: &[Reading],
    (serving, all): (usize, usize),
    answer: Option<&Said>,
    static_record: Option<&str>,
) -> String {
    if let Some(place) = static_record {
        return format!("{name} is a static record: {place}");
    }
    let Some(reading) = found.iter().find(|reading| reading.service.is_some()).or(found.first()) else {
        let said = answer.map(|said| format!("; DNS answers {} with {} records", said.rcode, said.records));
        return format!("{name} is no name that a registration can have here{}", said.unwrap_or_default());
    };
    let label = &reading.label;
    match (&reading.service, all) {
        (None, _) => format!("there is no service {label}: nobody declared or registered it within the last hour"),
        (Some(service), 0) if service.instances.is_empty() => {
            format!("{label} has no instance: all have left; their names are known for an hour after that")
        }
        (Some(_), 0) => format!("{label} has instances, but none that this name is about"),
        (Some(_), all) => format!("{serving} of {all} instances of {label} that {name} is about are in the answer"),
    }
}
