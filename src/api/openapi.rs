//! The routes and the OpenAPI document, from one source: every handler says its path, parameters and bodies, and this
//! adds the problems that it may answer with.

use std::sync::{Arc, LazyLock};

use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use utoipa::OpenApi as _;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::{self, MEDIA_TYPE, TYPE_BASE};
use super::query::Query;
use super::watch::{Watch, watch};
use super::{
    Answer, ApiState, backup, changes, dependencies, events, explain, health, heartbeats, held, instances, json,
};
use super::{metrics, orders, owners, services, sessions, status, tokens, zones};
use crate::model::api::Problem;
use crate::model::{Refusal, Word};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "zonebeat",
        description = "Services register and beat here, and DNS answers with them. Errors are problem documents (RFC \
                       9457) whose `type` ends in a stable word. Reads need no token; writes need one, except from \
                       loopback while no token has been created. `HEAD` works wherever `GET` does. Any content type \
                       is taken for a JSON body. Nothing at a path is 404 `unknown-call`, another method 405."
    ),
    components(schemas(Problem)),
    tags(
        (name = "instances", description = "Running endpoints of a service"),
        (name = "sessions", description = "Agents that beat once for many instances"),
        (name = "services", description = "Named sets of instances"),
        (name = "orders", description = "What operators say of instances: drain, undrain, weight"),
        (name = "guard", description = "What is held in the answers although it is silent"),
        (name = "zones", description = "What this server answers for"),
        (name = "history", description = "Changes, past and live"),
        (name = "tokens", description = "Who may write what"),
        (name = "health", description = "Process, data, status, backup, metrics, this document"),
    ),
)]
struct Document;

/// The document as it is served: made once.
static SERVED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let (_, document) = collect();
    json::line(&document).expect("the document is plain data")
});

/// The router of the whole interface. Requests must carry `ConnectInfo<SocketAddr>`, as those of `serve` do.
pub fn router(state: ApiState) -> Router {
    let (routes, document) = collect();
    let around = Watch::new(&document, state.observer.clone(), state.limits.call_time);
    let room = events::Room::new(&state.limits);
    routes
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(axum::middleware::from_fn_with_state(Arc::new(around), watch))
        .layer(Extension(room))
        .layer(Extension(super::desk::Desk::new()))
        .layer(Extension(backup::Backups::new()))
        .with_state(Arc::new(state))
}

/// The document without a server.
pub fn document() -> OpenApi {
    collect().1
}

/// All routes with their document.
fn collect() -> (Router<Arc<ApiState>>, OpenApi) {
    let (routes, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .merge(instances::routes())
        .merge(sessions::routes())
        .merge(heartbeats::routes())
        .merge(services::routes())
        .merge(owners::routes())
        .merge(dependencies::routes())
        .merge(orders::routes())
        .merge(held::routes())
        .merge(zones::routes())
        .merge(changes::routes())
        .merge(events::routes())
        .merge(explain::routes())
        .merge(tokens::routes())
        .merge(backup::routes())
        .merge(status::routes())
        .merge(health::routes())
        .merge(metrics::routes())
        .routes(routes!(openapi))
        .split_for_parts();
    document.info.license = None; // none has been chosen; the derived one is empty
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    document.components.get_or_insert_default().security_schemes.insert("token".to_owned(), bearer.into());
    for item in document.paths.paths.values_mut() {
        for (_, operation) in operations_of(item) {
            add_problems(operation);
        }
    }
    (routes, document)
}

/// Show this document.
#[utoipa::path(
    get, path = "/v1/openapi.json", tag = "health",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)),
)]
async fn openapi(Query(()): Query<()>) -> Answer {
    Ok(([(CONTENT_TYPE, "application/json")], SERVED.as_slice()).into_response())
}

async fn unknown_path(method: Method, uri: Uri) -> Refusal {
    let detail = format!("there is nothing at {method} {}; GET /v1/openapi.json lists the calls", uri.path());
    Refusal::new(Word::UnknownCall, detail)
}

async fn unknown_method(method: Method, uri: Uri) -> Response {
    let detail = format!("{} does not take {method}; the Allow header lists what it takes", uri.path());
    problem::respond(StatusCode::METHOD_NOT_ALLOWED, &Refusal::new(Word::UnknownCall, detail))
}

/// Every operation of a document with its path and method.
pub(super) fn operations(document: &OpenApi) -> impl Iterator<Item = (&str, Method, &Operation)> {
    document.paths.paths.iter().flat_map(|(path, item)| {
        let PathItem { get, put, post, patch, delete, .. } = item;
        let methods = methods(get, put, post, patch, delete);
        methods.into_iter().filter_map(move |(method, operation)| Some((path.as_str(), method, operation.as_ref()?)))
    })
}

/// The methods that calls have, each with what a path has for it.
fn methods<T>(get: T, put: T, post: T, patch: T, delete: T) -> [(Method, T); 5] {
    [(Method::GET, get), (Method::PUT, put), (Method::POST, post), (Method::PATCH, patch), (Method::DELETE, delete)]
}

fn operations_of(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let PathItem { get, put, post, patch, delete, .. } = item;
    let methods = methods(get, put, post, patch, delete);
    methods.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Adds a response for every status that one of the operation's words has.
fn add_problems(operation: &mut Operation) {
    let words = words(operation.operation_id.as_deref().unwrap_or_default());
    let mut statuses: Vec<StatusCode> = words.iter().map(|&word| problem::status(word)).collect();
    statuses.sort();
    statuses.dedup();
    for status in statuses {
        let of_status = words.iter().copied().filter(|&word| problem::status(word) == status);
        let lines: Vec<String> =
            of_status.clone().map(|word| format!("`{}`: {}", word.as_str(), problem::meaning(word))).collect();
        let example = of_status.map(|word| format!("{TYPE_BASE}{}", word.as_str()));
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .example(Some(serde_json::json!({
                "type": example.into_iter().next(),
                "title": status.canonical_reason(),
                "status": status.as_u16(),
                "detail": "what was wrong, with which value, and what would be accepted",
            })))
            .build();
        let known = operation.responses.responses.entry(status.as_str().to_owned());
        match known.or_insert_with(|| RefOr::T(ResponseBuilder::new().build())) {
            RefOr::T(response) => {
                let before = (!response.description.is_empty()).then(|| std::mem::take(&mut response.description));
                response.description = before.into_iter().chain(lines).collect::<Vec<_>>().join("; ");
                response.content.insert(MEDIA_TYPE.to_owned(), content.into());
            }
            RefOr::Ref(_) => {}
        }
    }
}

/// A query parameter that is not known; a fault; no answer in time.
const ALWAYS: &[Word] = &[Word::UnknownField, Word::Internal, Word::Busy];
/// Reads of the registry.
const READ: &[Word] = &[Word::NotReady];
/// A path with labels.
const PATH: &[Word] = &[Word::BadLabel];
/// A query with numbers.
const NUMBERS: &[Word] = &[Word::BadValue];
/// Who asks, and why.
const CALLER: &[Word] = &[Word::BadRequest, Word::Unauthorized, Word::NotReady];
/// A body.
const BODY: &[Word] = &[Word::BadRequest, Word::UnknownField, Word::BadValue, Word::TooLarge];
/// A command to the registry.
const COMMIT: &[Word] = &[Word::Forbidden, Word::StoreUnavailable, Word::Busy];
/// What a registration may be refused for.
const REGISTRATION: &[Word] = &[
    Word::BadPort,
    Word::BadLease,
    Word::NameOwned,
    Word::StaticName,
    Word::SiteLabel,
    Word::OldIncarnation,
    Word::AddressRefused,
    Word::ReservedName,
    Word::NoZone,
];

/// What may keep a caller from deciding who writes a service.
const GOVERN: &[Word] = &[Word::NameOwned, Word::NoOwner, Word::UnknownService, Word::UnknownToken, Word::ReservedName];

/// The words that an operation may answer with.
fn words(operation: &str) -> Vec<Word> {
    let sets: &[&[Word]] = match operation {
        "register" => &[PATH, CALLER, BODY, COMMIT, REGISTRATION],
        "set_session" => &[PATH, CALLER, BODY, COMMIT, REGISTRATION, &[Word::OutOfSync]],
        "beat" => &[PATH, CALLER, BODY, COMMIT, &[Word::UnknownInstance, Word::OldIncarnation, Word::NameOwned]],
        "beat_session" => &[PATH, CALLER, BODY, COMMIT, &[Word::UnknownSession, Word::OutOfSync, Word::NameOwned]],
        "beat_many" => &[CALLER, BODY],
        "deregister" => &[
            PATH,
            CALLER,
            NUMBERS,
            COMMIT,
            &[Word::UnknownInstance, Word::OldIncarnation, Word::NameOwned, Word::Guard],
        ],
        "drain" | "drain_site" => &[PATH, CALLER, BODY, COMMIT, &[Word::UnknownInstance, Word::NameOwned, Word::Guard]],
        "undrain" | "undrain_site" | "set_weight" => {
            &[PATH, CALLER, BODY, COMMIT, &[Word::UnknownInstance, Word::NameOwned]]
        }
        "release" => {
            let words = &[Word::UnknownInstance, Word::UnknownService, Word::NameOwned];
            &[PATH, CALLER, BODY, COMMIT, words]
        }
        "list_held" => &[NUMBERS, READ],
        "end_session" => &[PATH, CALLER, COMMIT, &[Word::BadValue, Word::UnknownSession, Word::NameOwned, Word::Guard]],
        "declare" | "amend" => &[
            PATH,
            CALLER,
            BODY,
            COMMIT,
            &[Word::NameOwned, Word::StaticName, Word::SiteLabel, Word::ReservedName, Word::NoZone],
        ],
        "undeclare" => &[PATH, CALLER, COMMIT, &[Word::UnknownService, Word::InUse, Word::NameOwned]],
        "grant" | "transfer" => &[PATH, CALLER, BODY, COMMIT, GOVERN],
        "revoke" => &[PATH, CALLER, COMMIT, GOVERN, &[Word::BadValue]],
        "list_dependencies" => &[NUMBERS, READ, &[Word::UnknownService]],
        "create_token" => &[CALLER, BODY, COMMIT, &[Word::BadLabel]],
        "revoke_token" => &[PATH, CALLER, COMMIT, &[Word::UnknownToken, Word::InUse]],
        "list_tokens" => &[CALLER, READ, &[Word::Forbidden]],
        "back_up" => &[CALLER, READ, &[Word::Forbidden, Word::StoreUnavailable]],
        "show_instance" => &[PATH, READ, &[Word::UnknownInstance]],
        "list_instances" => &[PATH, NUMBERS, READ, &[Word::UnknownService]],
        "list_services" => &[NUMBERS, READ],
        "show_service" => &[PATH, READ, &[Word::UnknownService]],
        "explain" => &[NUMBERS, READ],
        "list_changes" => &[NUMBERS, READ, &[Word::UnknownRevision, Word::StoreUnavailable]],
        "stream_events" => &[NUMBERS, READ, &[Word::BadRequest, Word::UnknownRevision, Word::StoreUnavailable]],
        _ => &[],
    };
    let named = |word: &Word| sets.iter().any(|set| set.contains(word)) || ALWAYS.contains(word);
    problem::WORDS.into_iter().filter(named).collect()
}
