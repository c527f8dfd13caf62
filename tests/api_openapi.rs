//! The OpenAPI document says what the code does: routes, bodies, examples, problem words; and `docs/http.md` too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use zonebeat::api::problem;
use zonebeat::model::api::*;
use zonebeat::model::explanation::{Explained, Explanation, RefusedAttempt, Said};
use zonebeat::model::service::ServiceRow;
use zonebeat::model::{
    Change, Declaration, Endpoint, Instance, Item, Mark, Orders, Revision, Scope, SetWeight, State, Timestamp,
    Transition, Word,
};

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "patch", "head", "options", "trace"];

fn document() -> Value {
    serde_json::to_value(zonebeat::api::openapi::document()).expect("plain data")
}

/// Path, method and operation.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let of_path = |(path, item): (&String, &Value)| {
        let (path, item) = (path.clone(), item.clone());
        METHODS.iter().filter_map(move |method| Some((path.clone(), method.to_string(), item.get(method)?.clone())))
    };
    paths.iter().flat_map(of_path).collect::<Vec<_>>()
}

/// A body type with every field set, and the way back.
struct Body {
    full: Value,
    reads: fn(Value) -> Result<(), String>,
}

fn body<T: Serialize + DeserializeOwned>(full: T) -> Body {
    let full = serde_json::to_value(full).expect("serializes");
    Body { full, reads: |value| serde_json::from_value::<T>(value).map(drop).map_err(|error| error.to_string()) }
}

fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn registration() -> Registration {
    Registration {
        port: 8080,
        proto: Some("tcp".into()),
        addresses: Some(texts(&["192.0.2.7"])),
        target: Some("host.example.org.".into()),
        site: Some("lon".into()),
        priority: Some(10),
        weight: Some(100),
        tags: texts(&["canary"]),
        metadata: BTreeMap::from([("version".into(), "2.4.1".into())]),
        lease_seconds: Some(15),
        epoch: Some("boot-1".into()),
        out: Some("GET /health answered 503".into()),
        incarnation: Some(7),
    }
}

fn declaration() -> Declaration {
    Declaration {
        proto: Some("tcp".into()),
        owner: Some("squad-search".into()),
        contact: Some("#search".into()),
        runbook: Some("https://runbooks.example.org/search".into()),
        dependencies: texts(&["index"]),
        tier: Some(1),
        min: Some(2),
        hold: Some(600),
        ttl: Some(30),
        tiers: vec![texts(&["lon"])],
        answer_limit: Some(20),
    }
}

fn scope() -> Scope {
    Scope {
        services: texts(&["search-*"]),
        sites: texts(&["lon"]),
        addresses: vec!["192.0.2.0/24".parse().expect("prefix")],
        admin: true,
    }
}

fn registered() -> Registered {
    Registered {
        service: "search".into(),
        id: "a1".into(),
        incarnation: 7,
        revision: Revision(9),
        lease_seconds: 15,
        heartbeat_seconds: 4.9,
        ttl_seconds: 30,
        names: texts(&["search.sd.example.org."]),
    }
}

fn instance() -> Instance {
    Instance {
        id: "a1".into(),
        proto: "tcp".into(),
        port: 8080,
        priority: 10,
        weight: 100,
        site: Some("lon".into()),
        endpoint: Endpoint::Addresses(["192.0.2.7".parse().expect("address")].into()),
        tags: ["canary".into()].into(),
        metadata: [("version".into(), "2.4.1".into())].into(),
        lease_seconds: 15,
        session: Some("host-17".into()),
        epoch: Some("boot-1".into()),
        owner: zonebeat::model::ServerNumber(2),
        out: Some("GET /health answered 503".into()),
        orders: Some(Box::new(Orders { drained: Some(mark()), weight: Some(set_weight()) })),
        incarnation: Revision(7),
        state: State::Serving,
        site_only: true,
        since: Timestamp(0),
        revision: Revision(9),
    }
}

fn mark() -> Mark {
    Mark { author: "ops-lon".into(), reason: "kernel".into(), time: Timestamp(0), revision: Revision(8) }
}

fn set_weight() -> SetWeight {
    SetWeight { weight: 10, until: Some(Timestamp(1)), mark: mark() }
}

fn row() -> ServiceRow {
    ServiceRow {
        declaration: Some(declaration().into()),
        owned_by: Some("0a1b2c3d".into()),
        grants: ["4e5f6a7b".into()].into_iter().collect(),
        remembered: [("tcp".into(), Timestamp(0))].into_iter().collect(),
        orders: [("a2".into(), Orders { drained: Some(mark()), weight: None })].into_iter().collect(),
        empty_reason: Some("a1 left".into()),
        revision: Revision(9),
    }
}

fn change() -> Change {
    Change {
        revision: Revision(9),
        time: Timestamp(0),
        author: "token squad-search".into(),
        source: "192.0.2.7".into(),
        reason: "kernel".into(),
        transition: Transition::Update,
        subject: "search".into(),
        instance: Some("a1".into()),
        token: Some("web".into()),
        before: Some(Item::Instance(Arc::new(instance()))),
        after: Some(Item::Service(row())),
    }
}

fn service_info() -> ServiceInfo {
    ServiceInfo {
        service: "search".into(),
        protos: texts(&["tcp"]),
        serving: 1,
        held: 0,
        out: 0,
        sites: texts(&["lon"]),
        declaration: Some(declaration()),
        owned_by: Some("squad-search".into()),
        granted: texts(&["web"]),
        revision: Revision(9),
        last_change: Some(LastChange { time: Timestamp(0), text: "a1 registered".into() }),
    }
}

fn instance_info() -> InstanceInfo {
    InstanceInfo {
        service: "search".into(),
        id: "a1".into(),
        state: "serving".into(),
        reason: Some("drained by ops-lon: kernel".into()),
        drained: Some(mark()),
        set_weight: Some(set_weight()),
        since: Timestamp(0),
        age_seconds: 1.5,
        beat_age_seconds: Some(0.4),
        proto: "tcp".into(),
        port: 8080,
        priority: 10,
        weight: 100,
        site: Some("lon".into()),
        addresses: texts(&["192.0.2.7"]),
        target: Some("host.example.org.".into()),
        tags: texts(&["canary"]),
        metadata: BTreeMap::from([("version".into(), "2.4.1".into())]),
        lease_seconds: 15,
        session: Some("host-17".into()),
        incarnation: 7,
        revision: Revision(9),
        names: texts(&["search.sd.example.org."]),
    }
}

fn amendment() -> Amendment {
    serde_json::from_value(serde_json::to_value(declaration()).expect("JSON")).expect("the same fields")
}

fn dependencies() -> Dependencies {
    let root = Dependency {
        service: "search".into(),
        depth: 0,
        known: true,
        serving: 2,
        owner: Some("squad-search".into()),
        tier: Some(1),
        cycle: false,
        repeated: false,
    };
    Dependencies { revision: Revision(9), reverse: false, services: vec![root], truncated: false }
}

fn session_set() -> SessionSet {
    let one = SessionInstance { service: "search".into(), id: "a1".into(), registration: registration() };
    SessionSet { epoch: "7c2f".into(), sequence: Some(3), lease_seconds: Some(15), instances: vec![one] }
}

fn session_stored() -> SessionStored {
    SessionStored {
        session: "host-17".into(),
        epoch: "7c2f".into(),
        hash: "0f34".into(),
        lease_seconds: 15,
        heartbeat_seconds: 5.1,
        ttl_seconds: 30,
        instances: vec![registered()],
    }
}

fn beaten() -> Beaten {
    Beaten {
        lease_seconds: 15,
        heartbeat_seconds: 5.1,
        servers: texts(&["http://192.0.2.53:8053"]),
        returned: true,
        store: Some(StoreWord::Away),
    }
}

fn token_info() -> TokenInfo {
    TokenInfo { id: "0a1b2c3d".into(), name: "ops".into(), scope: scope(), created: Timestamp(0), owns: 1 }
}

fn readiness() -> Readiness {
    Readiness {
        ready: false,
        loaded: true,
        writable: false,
        trouble: Some("no space".into()),
        revision: Revision(9),
        view_revision: Some(Revision(9)),
        view_age_seconds: Some(3.0),
        reasons: texts(&["the answers may be old"]),
    }
}

fn zone_info() -> ZoneInfo {
    ZoneInfo {
        name: "sd.example.org.".into(),
        kind: "registrations".into(),
        serial: 1843,
        base_serial: 1,
        ready: true,
        readable: true,
        names: 3,
        records: 5,
        digest: Some("2c26".into()),
    }
}

fn lists() -> Vec<(&'static str, Body)> {
    let (revision, next) = (Revision(9), Some("search".to_owned()));
    let services = ServiceList { revision, services: vec![service_info()], next: next.clone() };
    let instances = InstanceList { revision, instances: vec![instance_info()], next };
    let changes = ChangeList { changes: vec![change()], next: revision, more: true, oldest: Revision(1) };
    vec![
        ("ServiceList", body(services)),
        ("InstanceList", body(instances)),
        ("ChangeList", body(changes)),
        ("ZoneList", body(ZoneList { zones: vec![zone_info()] })),
        ("TokenList", body(TokenList { tokens: vec![token_info()] })),
    ]
}

fn status() -> Status {
    let fleet = FleetHeld { since: Timestamp(0), revision: Revision(8), silent: 40, sessions: 200 };
    let text = |text: &str| Some(text.to_owned());
    Status {
        id: "ns1".into(),
        version: "0.1.0".into(),
        since: Timestamp(0),
        ready: false,
        reasons: texts(&["the answers may be old"]),
        revision: Revision(9),
        view_revision: Some(Revision(9)),
        zones: vec![zone_info()],
        store: StoreStatus {
            kind: text("embedded"),
            identity: text("0f34"),
            writable: false,
            trouble: text("no space"),
            octets: Some(4096),
            behind_octets: 512,
        },
        services: 1,
        instances: InstanceCounts { serving: 3, held: 1, out: 0, drained: 1, lapsed: 2 },
        sessions: 4,
        guard: GuardStatus { held: 1, fleet: Some(fleet) },
        backup: Some(BackupStatus { made: Timestamp(0), revision: Revision(8) }),
        servers: vec![ServerStatus { id: "ns1".into(), revision: Revision(9), lag_seconds: 0.5, sessions: 4 }],
    }
}

/// What a status is made of.
fn statuses() -> Vec<(&'static str, Body)> {
    let Status { store, instances, guard, backup, mut servers, .. } = status();
    vec![
        ("Status", body(status())),
        ("StoreStatus", body(store)),
        ("InstanceCounts", body(instances)),
        ("GuardStatus", body(guard)),
        ("BackupStatus", body(backup.expect("it is there"))),
        ("ServerStatus", body(servers.remove(0))),
    ]
}

fn many_beat() -> ManyBeat {
    let text = |text: &str| Some(text.to_owned());
    let (service, id, session) = (text("search"), text("a1"), text("host-17"));
    ManyBeat { service, id, incarnation: Some(7), session, epoch: text("7c2f"), hash: text("0f34") }
}

/// Every object that the document describes.
fn said() -> Said {
    Said { rcode: "NOERROR".into(), records: 2, ede: Some("nobody serves".into()) }
}

fn explanation() -> Explanation {
    let row = Explained {
        service: "search".into(),
        id: "a4".into(),
        is_in: false,
        state: "lapsed".into(),
        why: "lapsed 14 s ago".into(),
        advice: Some("see whether it beats".into()),
        since: Timestamp(0),
        revision: Revision(1842),
    };
    Explanation {
        name: "search.sd.example.org.".into(),
        rtype: "A".into(),
        answer: Some(said()),
        summary: "0 of 2 instances".into(),
        static_record: Some("zones/sd.example.org.zone:7".into()),
        instances: vec![row],
        omitted: 1,
        refused: vec![refused_attempt()],
        nearest: vec!["search.sd.example.org.".into()],
    }
}

fn refused_attempt() -> RefusedAttempt {
    RefusedAttempt {
        service: "search".into(),
        id: "a9".into(),
        word: "address-refused".into(),
        detail: "198.51.100.7 is not in policy.allow_addresses".into(),
        age_seconds: 12.0,
        by: "token ops".into(),
    }
}

fn bodies() -> BTreeMap<&'static str, Body> {
    let secret = "zb_0a1b2c3d_".to_owned();
    let created = TokenCreated { id: "0a1b2c3d".into(), name: "ops".into(), scope: scope(), secret };
    let refusal = zonebeat::model::Refusal::new(Word::BadPort, "port 0");
    let mut bodies = BTreeMap::from([
        ("Registration", body(registration())),
        ("Registered", body(registered())),
        ("RefusedAttempt", body(refused_attempt())),
        ("Beat", body(Beat { incarnation: Some(7) })),
        ("Beaten", body(beaten())),
        ("SessionSet", body(session_set())),
        ("SessionInstance", body(session_set().instances.remove(0))),
        ("SessionStored", body(session_stored())),
        ("SessionBeat", body(SessionBeat { epoch: "7c2f".into(), hash: Some("0f34".into()) })),
        ("ManyBeats", body(ManyBeats { beats: vec![many_beat()] })),
        ("ManyBeat", body(many_beat())),
        (
            "ManyBeaten",
            body(ManyBeaten {
                beats: Vec::new(),
                servers: vec!["http://192.0.2.53:8053".into()],
                store: Some(StoreWord::Away),
            }),
        ),
        ("ServiceInfo", body(service_info())),
        ("LastChange", body(LastChange { time: Timestamp(0), text: "a4 lapsed".into() })),
        ("InstanceInfo", body(instance_info())),
        ("Instance", body(instance())),
        ("ServiceRow", body(row())),
        ("Declaration", body(declaration())),
        ("Change", body(change())),
        ("Amendment", body(amendment())),
        ("Grantee", body(Grantee { token: "web".into() })),
        ("Dependencies", body(dependencies())),
        ("Dependency", body(dependencies().services.remove(0))),
        ("Applied", body(Applied { revision: Revision(9), changed: true, ttl_seconds: Some(30) })),
        ("Scope", body(scope())),
        ("TokenRequest", body(TokenRequest { name: "ops".into(), scope: scope() })),
        ("TokenCreated", body(created)),
        ("TokenInfo", body(token_info())),
        ("Explanation", body(explanation())),
        ("Explained", body(explanation().instances.remove(0))),
        ("RefusedAttempt", body(explanation().refused.remove(0))),
        ("Said", body(said())),
        ("ZoneInfo", body(zone_info())),
        ("Alive", body(Alive { version: "0.1.0".into() })),
        ("Readiness", body(readiness())),
        ("Problem", body(problem::document(problem::status(Word::BadPort), &refusal))),
    ]);
    bodies.extend(lists());
    bodies.extend(orders());
    bodies.extend(statuses());
    bodies
}

fn orders() -> Vec<(&'static str, Body)> {
    let text = |text: &str| Some(text.to_owned());
    let fleet = FleetHeld { since: Timestamp(0), revision: Revision(8), silent: 40, sessions: 200 };
    let held = HeldList {
        revision: Revision(9),
        fleet: Some(fleet.clone()),
        instances: vec![instance_info()],
        next: text("a,b"),
    };
    let (service, id, state) = ("search".to_owned(), "a1".to_owned(), "drained".to_owned());
    let (revision, ttl_seconds, safe_seconds) = (Revision(9), 30, Some(31));
    let ordered = Ordered { service, id, state, revision, changed: true, ttl_seconds, safe_seconds };
    let site = "lon".to_owned();
    let site = SiteOrdered { site, instances: 1, already: 0, left: 0, revision, ttl_seconds, safe_seconds };
    let weight = WeightOrder { weight: Some(10), for_seconds: Some(60), reason: text("cold") };
    let release = ReleaseOrder { service: text("search"), id: text("a1"), fleet: true, reason: text("gone") };
    vec![
        ("Mark", body(mark())),
        ("SetWeight", body(set_weight())),
        ("Orders", body(Orders { drained: Some(mark()), weight: Some(set_weight()) })),
        ("Order", body(Order { reason: text("kernel"), force: true })),
        ("Ordered", body(ordered)),
        ("SiteOrdered", body(site)),
        ("WeightOrder", body(weight)),
        ("ReleaseOrder", body(release)),
        ("HeldList", body(held)),
        ("FleetHeld", body(fleet)),
    ]
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default()
}

#[test]
fn it_is_openapi_3_1_with_every_operation_described() {
    let document = document();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")));
    assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    let mut ids = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let call = format!("{method} {path}");
        assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{call} has no summary");
        assert!(ids.insert(operation["operationId"].to_string()), "{call} repeats an operationId");
        assert!(operation["tags"].as_array().is_some_and(|tags| tags.len() == 1), "{call} has not one tag");
        let writes = method != "get" || path == "/v1/tokens" || path == "/v1/backup";
        assert_eq!(operation.get("security").is_some(), writes, "{call}: security");
        let placeholders = path.matches('{').count();
        let described = operation["parameters"]
            .as_array()
            .map_or(0, |all| all.iter().filter(|parameter| parameter["in"] == "path").count());
        assert_eq!(placeholders, described, "{call}: path parameters");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let text = parameter["description"].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{call}: {} is not described", parameter["name"]);
        }
    }
}

#[test]
fn the_calls_of_version_1_are_there() {
    let document = document();
    let calls: BTreeSet<String> =
        operations(&document).iter().map(|(path, method, _)| format!("{method} {path}")).collect();
    for call in [
        "put /v1/services/{service}/instances/{id}",
        "get /v1/services/{service}/instances/{id}",
        "delete /v1/services/{service}/instances/{id}",
        "post /v1/services/{service}/instances/{id}/heartbeat",
        "put /v1/sessions/{session}",
        "post /v1/sessions/{session}/heartbeat",
        "get /v1/sessions/{session}",
        "delete /v1/sessions/{session}",
        "post /v1/heartbeats",
        "get /v1/services",
        "get /v1/services/{service}",
        "get /v1/services/{service}/instances",
        "put /v1/services/{service}",
        "patch /v1/services/{service}",
        "post /v1/services/{service}/grants",
        "delete /v1/services/{service}/grants/{token}",
        "post /v1/services/{service}/transfer",
        "get /v1/services/{service}/dependencies",
        "delete /v1/services/{service}",
        "get /v1/zones",
        "get /v1/status",
        "get /v1/backup",
        "get /v1/changes",
        "get /v1/events",
        "get /v1/tokens",
        "post /v1/tokens",
        "delete /v1/tokens/{id}",
        "get /healthz",
        "get /readyz",
        "get /metrics",
        "get /v1/openapi.json",
    ] {
        assert!(calls.contains(call), "{call} is missing");
    }
}

#[test]
fn a_handler_cannot_be_routed_without_being_described() {
    let mut described = 0;
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/api")).expect("source") {
        let text = std::fs::read_to_string(file.expect("entry").path()).expect("text");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        assert!(!code.contains(".route("), "a route without utoipa: {text}");
        described += code.matches("#[utoipa::path(").count();
    }
    assert_eq!(described, operations(&document()).len());
}

#[test]
fn schemas_have_the_fields_of_the_bodies() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let bodies = bodies();
    for (name, schema) in schemas {
        if schema.get("properties").is_none() {
            let plain = schema.get("enum").is_some() || schema.get("oneOf").is_some() || schema["type"] != "object";
            assert!(plain, "{name} is an object without properties");
            continue;
        }
        let body = bodies.get(name.as_str()).unwrap_or_else(|| panic!("add {name} to bodies()"));
        assert_eq!(keys(&schema["properties"]), keys(&body.full), "{name}");
        (body.reads)(body.full.clone()).expect(name);
        let required: BTreeSet<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for field in keys(&body.full) {
            let mut without = body.full.clone();
            without.as_object_mut().expect("object").remove(&field);
            let needed = (body.reads)(without).is_err();
            assert_eq!(needed, required.contains(field.as_str()), "{name}.{field}: required");
        }
    }
    for name in bodies.keys() {
        assert!(schemas.contains_key(*name), "{name} is in no call");
    }
}

#[test]
fn bodies_that_callers_send_are_closed() {
    let document = document();
    let bodies = bodies();
    for (path, method, operation) in operations(&document) {
        let schema = operation["requestBody"]["content"]["application/json"]["schema"].to_string();
        let Some((_, name)) = schema.split_once("#/components/schemas/") else { continue };
        let name = name.split('"').next().unwrap_or_default();
        let mut with = bodies[name].full.clone();
        with["no_such_field"] = json!(1);
        assert!((bodies[name].reads)(with).is_err(), "{method} {path} takes unknown fields");
        let closed = &document["components"]["schemas"][name]["additionalProperties"];
        assert_eq!(closed, &json!(false), "{name} does not say that it is closed");
    }
}

#[test]
fn examples_are_bodies() {
    let document = document();
    let bodies = bodies();
    let mut count = 0;
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        let listed = schema["examples"].as_array().cloned().unwrap_or_default();
        for example in listed.into_iter().chain(schema.get("example").cloned()) {
            let body = bodies.get(name.as_str()).unwrap_or_else(|| panic!("add {name} to bodies()"));
            (body.reads)(example).unwrap_or_else(|error| panic!("the example of {name} does not read: {error}"));
            count += 1;
        }
    }
    assert!(count >= 8, "only {count} examples");
}

#[test]
fn every_problem_is_described_and_every_word_used() {
    let document = document();
    let mut used = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().expect("responses") {
            let problem = response["content"].get(problem::MEDIA_TYPE);
            let failed = status.as_str() >= "400";
            assert_eq!(problem.is_some(), failed, "{method} {path} {status}");
            for word in problem::WORDS {
                if response["description"].as_str().unwrap_or_default().contains(&format!("`{}`:", word.as_str())) {
                    assert_eq!(problem::status(word).as_str(), status, "{method} {path} {}", word.as_str());
                    used.insert(word.as_str());
                }
            }
        }
    }
    let unused: Vec<&str> =
        problem::WORDS.iter().map(|word| word.as_str()).filter(|word| !used.contains(word)).collect();
    assert_eq!(unused, ["unknown-call"], "words that no operation answers with");
}

#[test]
fn the_page_for_people_has_every_call_and_every_word() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/http.md")).expect("docs/http.md");
    for (path, method, _) in operations(&document()) {
        let call = format!("`{} {path}`", method.to_uppercase());
        assert!(page.contains(&call), "docs/http.md does not have {call}");
    }
    for word in problem::WORDS {
        let row = format!("| `{}` | {} |", word.as_str(), problem::status(word).as_u16());
        assert!(page.contains(&row), "docs/http.md does not have the row {row}");
    }
}
