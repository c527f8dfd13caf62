//! Why: which instances a name was considered for, which of them it answers with, and what keeps the others out.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::desk::Desk;
use super::query::{Pairs, Parameters, Query};
use super::{Answer, ApiState, Shared, json};
use crate::model::explanation::Explanation;
use crate::model::mnemonic::MNEMONICS;
use crate::model::{Name, Refusal, Rtype, Word};
use crate::registry::explain;

/// Instances that are shown if nothing else is asked for, and at most.
const SHOWN: u64 = 100;
const MOST: u64 = 1000;
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

impl From<Asked> for explain::Asked {
    fn from(Asked { name, r#type, limit }: Asked) -> Self {
        Self { name, rtype: r#type, limit }
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
/// Reads the name through the naming patterns, and lists each instance that it could answer with: in or out, since
/// when, why, and what to do. Says where a static record of the name stands, and which names are near to one that there
/// is not. Looks through all instances of the service, and through all services if there is none of that label.
#[utoipa::path(
    get, path = "/v1/explain", tag = "services",
    params(Asked),
    responses((status = 200, description = "The explanation", body = Explanation)),
)]
async fn explain(State(state): Shared, Extension(desk): Extension<Desk>, Query(asked): Query<Asked>) -> Answer {
    state.loaded()?;
    let (registry, zones, now) = (state.registry.clone(), Arc::clone(&state.zones), state.clock.wall());
    let body = desk.read(move || explain::explain(&registry, &*zones, &asked.into(), now)).await?;
    Ok(json::reply(StatusCode::OK, &body))
}
