//! Unbound resolves our names, as strictly as it can be told to be.

use std::net::SocketAddr;

use crate::program::{Place, dig, free_port};
use crate::support::{ZONE, eventually};
use crate::{deregister, register, server};

/// QNAME minimisation walks through empty non-terminals, `use-caps-for-id` wants the question back octet by octet, and
/// `harden-below-nxdomain` believes an NXDOMAIN for everything below.
#[test]
fn unbound_resolves_services_their_targets_and_what_is_missing() {
    let primary = server("");
    register(&primary, "a1", r#""192.0.2.1", "2001:db8::1""#, 8080);
    register(&primary, "a2", r#""192.0.2.2""#, 8081);
    let port = free_port();
    let config = format!(
        "server:\n interface: 127.0.0.1@{port}\n do-ip6: no\n username: \"\"\n chroot: \"\"\n directory: \"{{dir}}\"\n\
         \x20pidfile: \"{{dir}}/pid\"\n use-syslog: no\n do-not-query-localhost: no\n module-config: iterator\n\
         \x20num-threads: 1\n cache-max-ttl: 1\n cache-max-negative-ttl: 1\n qname-minimisation: yes\n\
         \x20qname-minimisation-strict: yes\n use-caps-for-id: yes\n harden-below-nxdomain: yes\n harden-glue: yes\n\
         remote-control:\n control-enable: no\n\
         stub-zone:\n name: {ZONE}\n stub-addr: {}@{}\n",
        primary.dns().ip(),
        primary.dns().port()
    );
    let _running = Place::new().start("unbound", &["-d", "-c", "{dir}/config"], &config);
    let resolver = SocketAddr::from(([127, 0, 0, 1], port));
    let short = |name: &str, rtype: &str| dig(resolver, &["+short", &format!("{name}.{ZONE}"), rtype]);
    let services = |instances: [(&str, u16); 2]| {
        let records = short("_web._tcp", "SRV");
        let ends = instances.map(|(id, port)| format!(" {port} {id}.web.{ZONE}."));
        records.len() == 2 && records.iter().zip(ends).all(|(record, end)| record.ends_with(&end))
    };
    eventually("Unbound answers", || services([("a1", 8080), ("a2", 8081)]));
    assert_eq!(short("a1.web", "A"), ["192.0.2.1"]);
    assert_eq!(short("a1.web", "AAAA"), ["2001:db8::1"]);
    assert_eq!(short("web", "A"), ["192.0.2.1", "192.0.2.2"]);
    assert_eq!(short("_web._tcp", "PTR").len(), 2);
    for (name, rtype, status) in [("no-such", "A", "NXDOMAIN"), ("a2.web", "AAAA", "NOERROR"), ("_tcp", "A", "NOERROR")]
    {
        let name = format!("{name}.{ZONE}");
        let comments = dig(resolver, &["+noall", "+comments", &name, rtype]);
        assert!(
            comments.iter().any(|line| line.contains(&format!("status: {status}"))),
            "{name} {rtype}: {comments:?}"
        );
    }
    register(&primary, "a3", r#""192.0.2.3""#, 8082);
    deregister(&primary, "a1");
    eventually("Unbound sees the change", || services([("a2", 8081), ("a3", 8082)]));
}
