use prometheus::{Registry, TextEncoder};

use super::*;

fn scrape(counters: &Arc<DnsCounters>) -> String {
    let registry = Registry::new();
    registry.register(Box::new(DnsCollector::new(counters.clone()).unwrap())).unwrap();
    TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
}

#[test]
fn the_blocks_of_all_workers_are_added_up() {
    let counters = Arc::new(DnsCounters::default());
    let (one, two, tcp) = (counters.block_of_one("udp"), counters.block_of_one("udp"), counters.block("tcp"));
    one.answered(0, 33);
    two.answered(0, 33);
    tcp.answered(3, 65_280);
    one.dropped(Dropped::Response, 2);
    tcp.dropped(Dropped::Response, 1);
    two.truncated();
    one.cookie(CookieOutcome::Renewed);
    tcp.cookie(CookieOutcome::Renewed);
    let text = scrape(&counters);
    for line in [
        r#"zonebeat_dns_queries_total{rcode="NOERROR",transport="udp",type="SRV"} 2"#,
        r#"zonebeat_dns_queries_total{rcode="NXDOMAIN",transport="tcp",type="OTHER"} 1"#,
        r#"zonebeat_dns_dropped_total{reason="response"} 3"#,
        r#"zonebeat_dns_truncated_total{transport="udp"} 1"#,
        r#"zonebeat_dns_cookies_total{outcome="renewed"} 2"#,
        r#"zonebeat_dns_cookies_total{outcome="bad"} 0"#,
        "zonebeat_dns_panics_total 0",
        "# TYPE zonebeat_dns_queries_total counter",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn the_time_of_a_batch_counts_for_each_of_its_answers() {
    let counters = Arc::new(DnsCounters::default());
    let block = counters.block("udp");
    block.observe(Duration::from_micros(30), 64);
    block.observe(Duration::from_secs(5), 1);
    let text = scrape(&counters);
    for line in [
        r#"zonebeat_dns_latency_seconds_bucket{transport="udp",le="0.000025"} 0"#,
        r#"zonebeat_dns_latency_seconds_bucket{transport="udp",le="0.00005"} 64"#,
        r#"zonebeat_dns_latency_seconds_bucket{transport="udp",le="+Inf"} 65"#,
        r#"zonebeat_dns_latency_seconds_count{transport="udp"} 65"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn connections_and_transfers_are_counted_once_for_all() {
    let counters = Arc::new(DnsCounters::default());
    counters.connected();
    counters.connected();
    counters.disconnected();
    counters.refused(Refused::Client);
    counters.transferred(TransferOutcome::NotAuthoritative);
    let text = scrape(&counters);
    for line in [
        "zonebeat_tcp_connections 1",
        r#"zonebeat_tcp_refused_total{reason="client"} 1"#,
        r#"zonebeat_tcp_refused_total{reason="descriptors"} 0"#,
        r#"zonebeat_dns_transfers_total{outcome="not-authoritative"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}
