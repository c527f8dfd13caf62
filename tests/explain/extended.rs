//! Extended errors, which every client gets: an answer that is empty or held says why, through aliases as well.

use serde_json::json;

use super::put;
use super::support::{Setup, eventually};

const OTHER: &str = "$ORIGIN example.net.\n@ 60 SOA ns1 hostmaster 1 60 60 60 5\n@ 60 NS ns1\nns1 60 A 192.0.2.53\n\
                     www 60 CNAME search.sd.example.org.\nold 60 DNAME sd.example.org.\n";

#[test]
fn an_alias_in_a_zone_of_files_says_what_the_fleet_says() {
    let server = Setup::new().zone_file("example.net", OTHER).start();
    put(&server, "search", "a1", json!({"out": "stopping"}));
    let names = ["search.sd.example.org", "www.example.net", "search.old.example.net"];
    for name in names {
        let empty = server.dig(&[name, "A"]);
        for part in ["status: NOERROR", "EDE: 0", "a1 is out since", "stopping"] {
            assert!(empty.contains(part), "{part} is not in {empty}");
        }
        assert!(!empty.contains("192.0.2.7"), "{empty}");
    }
    put(&server, "search", "a1", json!({"lease_seconds": 2}));
    for name in names {
        eventually("it is held", || server.dig(&[name, "A"]).contains("EDE: 3 (Stale Answer): (a1 is silent and held"));
        assert!(server.dig(&[name, "A"]).contains("192.0.2.7"), "{name}");
    }
}
