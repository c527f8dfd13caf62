//! Events and what becomes of them, without an engine: what it would say is told by the test.

use serde_json::json;

use super::*;

fn life() -> Life {
    let (known, _) = watch::channel(vec![Known::default()]);
    let known = Arc::new(known);
    let (containers, looks, left) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    Life { host: "host-17".into(), at: 0, known, now: Known::default(), containers, looks, left }
}

/// The engine says this of container `c`, which runs in the host's network.
fn look(life: &mut Life, state: &serde_json::Value) {
    let container = json!({"Name": "/web", "State": state, "HostConfig": {"NetworkMode": "host"},
        "Config": {"Labels": {"zonebeat.service": "search", "zonebeat.port": "8080"}, "StopSignal": "SIGTERM"}});
    let container: Container = serde_json::from_value(container).expect("a container");
    life.enter("c", &container, &container);
}

fn event(life: &mut Life, action: &str, attributes: &[(&str, &str)]) {
    let attributes: BTreeMap<&str, &str> = attributes.iter().copied().collect();
    let event = json!({"Action": action, "Actor": {"ID": "c", "Attributes": attributes}});
    life.take(serde_json::from_value(event).expect("an event"));
}

/// What is planned: none, or the one instance with the reason why it is out.
fn planned(life: &Life) -> Option<Option<&str>> {
    let planned = &life.containers.get("c")?.planned;
    planned.first().map(|one| one.registration.out.as_deref())
}

fn why_left(life: &Life) -> Vec<&str> {
    life.left.values().map(|(_, why)| why.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_stop_signal_takes_it_out_and_its_end_away() {
    let mut life = life();
    look(&mut life, &json!({"Status": "running"}));
    assert_eq!(planned(&life), Some(None));
    event(&mut life, "kill", &[("signal", "15")]);
    assert!(life.looks.contains_key("c"), "it is looked at");
    look(&mut life, &json!({"Status": "running"}));
    assert_eq!(planned(&life), Some(Some("container web is being stopped")));
    event(&mut life, "die", &[("exitCode", "143")]);
    assert_eq!(planned(&life), None);
    assert_eq!(why_left(&life), ["container web has ended after signal 15 with exit code 143"]);
    assert!(life.looks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_stop_comes_back_and_other_signals_take_nothing_out() {
    let mut life = life();
    look(&mut life, &json!({"Status": "running"}));
    event(&mut life, "kill", &[("signal", "1")]);
    look(&mut life, &json!({"Status": "running"}));
    assert_eq!(planned(&life), Some(None), "a hangup is for other things");
    event(&mut life, "kill", &[("signal", "15")]);
    sleep(STOP_TIME + STOP_MORE).await;
    look(&mut life, &json!({"Status": "running"}));
    assert_eq!(planned(&life), Some(None));
    event(&mut life, "die", &[("exitCode", "1")]);
    assert_eq!(why_left(&life), ["container web has ended with exit code 1"], "the signal was long ago");
}

#[test]
fn stop_signals_have_names_and_numbers() {
    for (text, number) in [("", "15"), ("SIGTERM", "15"), ("SIGQUIT", "3"), ("QUIT", "3"), ("15", "15"), ("37", "37")] {
        assert_eq!(number_of(text), number, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_reason_of_an_illness_stays() {
    let ill =
        |output: &str| json!({"Status": "running", "Health": {"Status": "unhealthy", "Log": [{"Output": output}]}});
    let mut life = life();
    look(&mut life, &json!({"Status": "running", "Health": {"Status": "starting", "Log": null}}));
    assert_eq!(planned(&life), Some(Some("container web is starting: its health check has not passed yet")));
    look(&mut life, &ill("curl: x\nno\u{1b} answer\n"));
    assert_eq!(planned(&life), Some(Some("container web is unhealthy: no  answer")));
    look(&mut life, &ill("another"));
    assert_eq!(planned(&life), Some(Some("container web is unhealthy: no  answer")));
    look(&mut life, &json!({"Status": "running", "Health": {"Status": "healthy"}}));
    assert_eq!(planned(&life), Some(None));
    look(&mut life, &ill(&"ä".repeat(300)));
    assert!(planned(&life).flatten().is_some_and(|why| why.ends_with('ä') && why.len() <= 240));
}

#[tokio::test(start_paused = true)]
async fn a_health_event_awaits_the_next_probe() {
    let health =
        |start: &str| json!({"Status": "running", "Health": {"Status": "starting", "Log": [{"Start": start}]}});
    let mut life = life();
    look(&mut life, &health("one"));
    event(&mut life, "health_status", &[]);
    assert_eq!(life.looks["c"].awaited, Awaited::Probe("one".into()));
    event(&mut life, "pause", &[]);
    assert_eq!(life.looks["c"].awaited, Awaited::Probe("one".into()), "which goes on");
    event(&mut life, "exec_create: sh", &[]);
    assert_eq!(life.looks.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn events_of_others_are_passed_over() {
    let mut life = life();
    event(&mut life, "start", &[("name", "other")]);
    event(&mut life, "health_status: healthy", &[("zonebeat.service", "search")]);
    assert!(life.looks.is_empty());
    event(&mut life, "start", &[("zonebeat.web.port", "80")]);
    assert_eq!(life.looks["c"].awaited, Awaited::Life);
}
