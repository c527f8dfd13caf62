//! Register, beat, look, leave.

use serde_json::json;

use crate::harness::Server;

const A1: &str = "/v1/services/search/instances/a1";
const BODY: &str = r#"{"port":8080,"proto":"tcp","addresses":["192.0.2.7"],"site":"lon","priority":10,"weight":100,
    "tags":["canary"],"metadata":{"version":"2.4.1"},"lease_seconds":15}"#;

#[tokio::test]
async fn a_registration_is_answered_with_its_names_and_repeating_it_is_a_beat() {
    let server = Server::start().await;
    let first = server.call("PUT", A1, BODY).await;
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(first.headers["location"], A1);
    assert_eq!((&first.json["service"], &first.json["id"]), (&json!("search"), &json!("a1")));
    assert_eq!(first.json["lease_seconds"], 15);
    let beat = first.json["heartbeat_seconds"].as_f64().expect("number");
    assert!((4.0..6.0).contains(&beat), "{beat}");
    let names = first.json["names"].as_array().expect("names");
    assert!(names.contains(&json!("_search._tcp.sd.example.org.")), "{names:?}");
    assert!(names.contains(&json!("a1.search.sd.example.org.")), "{names:?}");

    let again = server.call("PUT", A1, BODY).await;
    assert_eq!(again.status, 200);
    for field in ["incarnation", "revision", "names"] {
        assert_eq!(again.json[field], first.json[field], "{field}");
    }
    let update = server.call("PUT", A1, &BODY.replace("8080", "8081")).await;
    assert_eq!(update.status, 200);
    assert!(update.json["revision"].as_u64() > first.json["revision"].as_u64());
    assert_eq!(server.get(A1).await.json["port"], 8081);
}

#[tokio::test]
async fn labels_are_folded_and_any_content_type_is_taken() {
    let server = Server::start().await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let reply = server.send("PUT", "/v1/services/Search/instances/A1", r#"{"port":80}"#, &form).await;
    assert_eq!((reply.status, &reply.json["id"]), (201, &json!("a1")));
    assert_eq!(reply.headers["location"], A1);
    let shown = server.get("/v1/services/SEARCH/instances/A1").await;
    assert_eq!(shown.json["addresses"], json!(["127.0.0.1"]), "the caller's address");
    assert_eq!(server.call("POST", "/v1/services/SEARCH/instances/A1/heartbeat", "").await.status, 200);
}

#[tokio::test]
async fn a_beat_renews_and_writes_nothing() {
    let server = Server::start().await;
    let incarnation = server.call("PUT", A1, BODY).await.json["incarnation"].clone();
    let revision = server.revision();
    let path = format!("{A1}/heartbeat");
    for body in ["".to_owned(), "{}".into(), "\n".into(), json!({"incarnation": incarnation}).to_string()] {
        let reply = server.call("POST", &path, &body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.json["lease_seconds"], 15);
        assert_eq!(reply.json["returned"], false);
        assert_eq!(reply.json["servers"], json!(["http://192.0.2.53:8053"]));
    }
    assert_eq!(server.revision(), revision);
    let age = server.get(A1).await.json["beat_age_seconds"].as_f64();
    assert!(age.is_some_and(|age| age < 5.0), "{age:?}");
}

#[tokio::test]
async fn a_beat_after_the_lease_brings_the_instance_back() {
    let server = Server::start().await;
    server.call("PUT", A1, r#"{"port":8080,"addresses":["192.0.2.7"],"lease_seconds":2}"#).await;
    server.until(async || server.get(A1).await.json["state"] == "lapsed").await;
    let service = server.get("/v1/services/search").await;
    assert_eq!((&service.json["serving"], &service.json["out"]), (&json!(0), &json!(1)));
    assert_eq!(service.json["last_change"]["text"], "a1 lapsed");
    let reply = server.call("POST", &format!("{A1}/heartbeat"), "").await;
    assert_eq!((reply.status, &reply.json["returned"]), (200, &json!(true)), "{reply:?}");
    assert_eq!(server.get(A1).await.json["state"], "serving");
}

#[tokio::test]
async fn leaving_sticks() {
    let server = Server::start().await;
    let incarnation = server.call("PUT", A1, BODY).await.json["incarnation"].as_u64().expect("number");
    let old = server.call("DELETE", &format!("{A1}?incarnation={}", incarnation + 1), "").await;
    assert_eq!((old.status, old.word()), (409, "old-incarnation"));
    let left = server.call("DELETE", &format!("{A1}?incarnation={incarnation}"), "").await;
    assert_eq!((left.status, &left.json["changed"]), (200, &json!(true)));
    assert_eq!(left.json["revision"], server.revision());
    for (method, path) in [("DELETE", A1.to_owned()), ("GET", A1.to_owned()), ("POST", format!("{A1}/heartbeat"))] {
        let reply = server.call(method, &path, "").await;
        assert_eq!((reply.status, reply.word()), (404, "unknown-instance"), "{method}");
    }
}

#[tokio::test]
async fn a_ghost_does_not_beat_for_a_later_life() {
    let server = Server::start().await;
    let first = server.call("PUT", A1, BODY).await.json["incarnation"].clone();
    let second = server.call("PUT", A1, &BODY.replace("8080", "9090")).await.json["incarnation"].clone();
    assert_ne!(first, second);
    let body = json!({"incarnation": first}).to_string();
    let ghost = server.call("POST", &format!("{A1}/heartbeat"), &body).await;
    assert_eq!((ghost.status, ghost.word()), (409, "old-incarnation"));
    assert!(ghost.detail().contains(&format!("incarnation {first} of")), "{ghost:?}");
    assert!(ghost.detail().contains(&second.to_string()), "{ghost:?}");
    let with = BODY.replacen('{', &format!("{{\"incarnation\":{first},"), 1);
    let ghost = server.call("PUT", A1, &with).await;
    assert_eq!((ghost.status, ghost.word()), (409, "old-incarnation"));
}

#[tokio::test]
async fn lists_come_in_pages() {
    let server = Server::start().await;
    for id in ["a1", "a2", "a3"] {
        server.call("PUT", &format!("/v1/services/search/instances/{id}"), BODY).await;
    }
    let list = "/v1/services/search/instances";
    let ids = |reply: &crate::harness::Reply| -> Vec<String> {
        let all = reply.json["instances"].as_array().expect("instances");
        all.iter().map(|one| one["id"].as_str().expect("id").to_owned()).collect()
    };
    assert_eq!(ids(&server.get(list).await), ["a1", "a2", "a3"]);
    let page = server.get(&format!("{list}?limit=2")).await;
    assert_eq!((ids(&page), &page.json["next"]), (vec!["a1".to_owned(), "a2".into()], &json!("a2")));
    let page = server.get(&format!("{list}?limit=2&after=a2")).await;
    assert_eq!((ids(&page), page.json.get("next")), (vec!["a3".to_owned()], None));
    assert!(ids(&server.get(&format!("{list}?after=zz")).await).is_empty());
    let none = server.get("/v1/services/nobody/instances").await;
    assert_eq!((none.status, none.word()), (404, "unknown-service"));
}

#[tokio::test]
async fn ages_have_milliseconds_and_a_beat_is_not_older_than_the_service() {
    let server = Server::start().await;
    for n in 0..20 {
        let path = format!("/v1/services/search/instances/a{n}");
        server.call("PUT", &path, BODY).await;
        let shown = server.get(&path).await;
        assert!(shown.text.ends_with("}\n"), "{shown:?}");
        let ages = ["age_seconds", "beat_age_seconds"].map(|age| shown.json[age].as_f64().expect("a number"));
        assert!(ages[1] <= ages[0], "{shown:?}");
        assert!(ages.iter().all(|age| *age == (age * 1000.0).round() / 1000.0), "{shown:?}");
    }
}
