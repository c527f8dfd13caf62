//! Zones: what a server answers for.

use super::harness::Server;

#[tokio::test]
async fn zones_are_listed_by_name() {
    let server = Server::start().await;
    let reply = server.get("/v1/zones").await;
    assert_eq!(reply.status, 200);
    let names: Vec<_> =
        reply.json["zones"].as_array().expect("zones").iter().map(|zone| zone["name"].clone()).collect();
    assert_eq!(names, ["example.net.", "sd.example.org."]);
    assert_eq!(reply.json["zones"][1]["base_serial"], 1);
}

#[tokio::test]
async fn zones_are_known_before_the_registry_is() {
    let server = Server::without_data().await;
    assert_eq!(server.get("/v1/zones").await.status, 200);
    assert_eq!(server.get("/v1/zones?limit=3").await.status, 400);
}
