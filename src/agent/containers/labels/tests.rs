//! Labels and what becomes of them, case by case.

use proptest::prelude::*;
use serde_json::json;

use super::super::super::services::schema;
use super::*;

/// A container `web` with these labels, whose port 8080 the host publishes as 32768.
fn container(labels: &[(&str, &str)]) -> Container {
    let labels: BTreeMap<&str, &str> = labels.iter().copied().collect();
    let bindings = json!([{"HostIp": "0.0.0.0", "HostPort": "32768"}]);
    serde_json::from_value(json!({"Name": "/web", "State": {"Status": "running"}, "Config": {"Labels": labels},
        "HostConfig": {"NetworkMode": "bridge"}, "NetworkSettings": {"Ports": {"8080/tcp": bindings, "9090/tcp": null},
        "Networks": {"bridge": {"IPAddress": "172.17.0.2"}}}}))
    .expect("a container")
}

fn planned(labels: &[(&str, &str)]) -> Vec<Planned> {
    let container = container(labels);
    plan(&container, &container, "host-17.example.org").expect("labels that are right")
}

fn wrong(labels: &[(&str, &str)]) -> Vec<String> {
    let container = container(labels);
    let findings = plan(&container, &container, "host-17").expect_err("labels that are wrong");
    findings.iter().map(ToString::to_string).collect()
}

const SEARCH: (&str, &str) = ("zonebeat.service", "search");

#[test]
fn one_label_is_enough() {
    let planned = planned(&[SEARCH, ("com.example.other", "x")]);
    assert_eq!(planned.len(), 1);
    assert_eq!(planned[0].key.to_string(), "search/host-17-web");
    assert_eq!((planned[0].registration.port, &planned[0].registration.addresses), (32768, &None));
    assert_eq!(&*planned[0].file, "container web");
}

#[test]
fn every_key_has_its_label() {
    let planned = planned(&[
        SEARCH,
        ("zonebeat.id", "A1"),
        ("zonebeat.port", "9090"),
        ("zonebeat.proto", "udp"),
        ("zonebeat.addresses", "192.0.2.7, 2001:db8::7"),
        ("zonebeat.site", "lon"),
        ("zonebeat.priority", "5"),
        ("zonebeat.weight", "50"),
        ("zonebeat.tags", "canary, blue"),
        ("zonebeat.metadata.version", "2.4.1 \"beta\"\u{7f}\n"),
        ("zonebeat.metadata.build.host", "ci"),
        ("zonebeat.check", "http:/health"),
        ("zonebeat.check.interval", "2s"),
        ("zonebeat.check.fall", "1"),
        ("zonebeat.check.2", "tcp"),
        ("zonebeat.check.2.timeout", "1s"),
    ]);
    let Planned { key, registration, checks, .. } = &planned[0];
    assert_eq!(key.to_string(), "search/a1");
    assert_eq!((registration.port, registration.proto.as_deref()), (9090, Some("udp")));
    let texts = |list: &[&str]| -> Vec<String> { list.iter().map(|text| (*text).to_owned()).collect() };
    assert_eq!(registration.addresses, Some(texts(&["192.0.2.7", "2001:db8::7"])));
    assert_eq!(
        (registration.site.as_deref(), registration.priority, registration.weight),
        (Some("lon"), Some(5), Some(50))
    );
    assert_eq!(registration.tags, texts(&["canary", "blue"]));
    assert_eq!(registration.metadata["version"], "2.4.1 \"beta\"\u{7f}\n");
    assert_eq!(registration.metadata["build.host"], "ci");
    let checks: Vec<_> = checks.iter().map(|spec| (spec.text.as_str(), spec.interval.as_secs(), spec.fall)).collect();
    assert_eq!(checks, [("http://172.17.0.2:9090/health", 2, 1), ("tcp:172.17.0.2:9090", 5, 3)]);
}

#[test]
fn a_target_takes_the_place_of_addresses() {
    let planned = planned(&[SEARCH, ("zonebeat.target", "edge.example.org.")]);
    assert_eq!(planned[0].registration.target.as_deref(), Some("edge.example.org."));
    assert_eq!(planned[0].registration.port, 32768);
}

#[test]
fn a_container_has_several_services() {
    let planned = planned(&[
        ("zonebeat.web.service", "search"),
        ("zonebeat.web.port", "8080"),
        ("zonebeat.admin.port", "9090"),
        ("zonebeat.admin.addresses", "container"),
        ("zonebeat.admin.check", "grpc:health.v1"),
    ]);
    let keys: Vec<String> = planned.iter().map(|one| one.key.to_string()).collect();
    assert_eq!(keys, ["admin/host-17-web", "search/host-17-web"]);
    assert_eq!(planned[0].registration.addresses.as_deref(), Some(&["172.17.0.2".to_owned()][..]));
    assert_eq!(planned[0].checks[0].text, "grpc://172.17.0.2:9090/health.v1");
}

#[test]
fn checks_ask_this_host_where_it_publishes_the_port() {
    let planned = planned(&[SEARCH, ("zonebeat.check", "http:/health")]);
    assert_eq!(planned[0].checks[0].text, "http:/health");
}

#[test]
fn what_is_wrong_names_the_label() {
    let cases: [(&[(&str, &str)], &str); 17] = [
        (&[SEARCH, ("zonebeat.prot", "tcp")], "label \"zonebeat.prot\": unknown key \"prot\"; did you mean"),
        (&[SEARCH, ("zonebeat.meta.version", "1")], "unknown key \"version\"; did you mean \"metadata\"?"),
        (&[SEARCH, ("zonebeat.check.intervall", "1s")], "unknown key \"intervall\"; did you mean \"interval\"?"),
        (&[SEARCH, ("zonebeat.metadata", "1")], "unknown key \"metadata\"; did you mean \"metadata.NAME\"?"),
        (&[SEARCH, ("zonebeat.port.x", "1")], "unknown key \"port.x\""),
        (&[SEARCH, ("zonebeat.", "1")], "unknown key \"\""),
        (&[("zonebeat.port", "8080")], "label \"zonebeat.service\": is missing"),
        (&[("zonebeat.service", "-x-")], "label \"zonebeat.service\": service label \"-x-\" has a hyphen"),
        (&[SEARCH, ("zonebeat.port", "http")], "label \"zonebeat.port\": "),
        (&[SEARCH, ("zonebeat.port", "0")], "label \"zonebeat.port\": the service has no port from 1 to 65535"),
        (&[SEARCH, ("zonebeat.port", "9090")], "label \"zonebeat.port\": port 9090 is not published; publish it"),
        (&[SEARCH, ("zonebeat.addresses", "here")], "label \"zonebeat.addresses\": "),
        (&[SEARCH, ("zonebeat.tags", "a b")], "label \"zonebeat.tags\": tag label \"a b\" has the character"),
        (&[SEARCH, ("zonebeat.check", "exec:rm -r /")], "label \"zonebeat.check\": exec is for files of services"),
        (&[SEARCH, ("zonebeat.check.ca", "/x")], "label \"zonebeat.check.ca\": is for files of services"),
        (&[SEARCH, ("zonebeat.check", "http://192.0.2.9/")], "names a host; checks of labels ask the container itself"),
        (&[SEARCH, ("zonebeat.check", "htp:/")], "label \"zonebeat.check\": \"htp:/\" is not a check; write"),
    ];
    for (labels, part) in cases {
        let found = wrong(labels);
        assert!(found.len() == 1 && found[0].contains(part), "{labels:?}: {found:?}");
        assert!(found[0].starts_with("container web: error: label \"zonebeat."), "{found:?}");
    }
}

#[test]
fn one_wrong_label_leaves_the_whole_container_out() {
    let found = wrong(&[SEARCH, ("zonebeat.admin.port", "9090"), ("zonebeat.web.prot", "tcp")]);
    assert_eq!(found.len(), 2, "{found:?}");
    let found = wrong(&[SEARCH, ("zonebeat.web.service", "search")]);
    assert!(found[0].contains("its labels name instance search/host-17-web twice"), "{found:?}");
}

#[test]
fn labels_know_the_keys_of_a_file() {
    let properties = |part: &serde_json::Value| -> Vec<String> {
        part["properties"].as_object().expect("properties").keys().cloned().collect()
    };
    let schema = schema();
    let sorted = |list: &[&str], more: &[&str], less: &[&str]| -> Vec<String> {
        let list = list.iter().chain(more).filter(|key| !less.contains(key));
        let mut list: Vec<String> = list.map(|key| (*key).to_owned()).collect();
        list.sort();
        list
    };
    let mut of_file = properties(&schema);
    of_file.sort();
    assert_eq!(of_file, sorted(&KEYS, &["instance"], &["network"]));
    let mut of_check = properties(&schema["$defs"]["CheckTable"]);
    of_check.sort();
    assert_eq!(of_check, sorted(&CHECK_KEYS, &["ca"], &[]));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn a_value_stays_a_value(name in text(), value in text()) {
        let label = format!("zonebeat.metadata.{name}");
        let container = container(&[SEARCH, (&label, &value)]);
        match plan(&container, &container, "host-17") {
            Ok(planned) => prop_assert_eq!(&planned[0].registration.metadata, &BTreeMap::from([(name, value)])),
            Err(_) => prop_assert!(name.is_empty()),
        }
    }

    #[test]
    fn whatever_labels_say_is_planned_or_told(labels in proptest::collection::vec((key(), text()), 0..8)) {
        let labels: Vec<(&str, &str)> = labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let container = container(&labels);
        if let Err(findings) = plan(&container, &container, "host-17") {
            prop_assert!(findings.iter().all(|found| found.to_string().starts_with("container web: error: ")));
        }
    }
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<char>(), 0..12).prop_map(|chars| chars.into_iter().collect())
}

/// Labels that are ours, right and nearly right.
fn key() -> impl Strategy<Value = String> {
    let word =
        prop_oneof![prop::sample::select(KEYS.to_vec()), prop::sample::select(vec!["", "x", "2", "probe", "ca"])];
    proptest::collection::vec(word, 1..4).prop_map(|words| format!("{PREFIX}{}", words.join(".")))
}
