//! HAProxy finds its servers in our SRV records and follows them.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::program::{Place, free_port};
use crate::support::{ZONE, eventually};
use crate::{deregister, register, server};

/// A service instance that says its address to everybody who connects, until the test ends.
fn instance(last: u8) -> SocketAddr {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, last], 0))).expect("a loopback address is ours");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let _ = (&client).write_all(address.to_string().as_bytes()); // health checks do not stay to read it
        }
    });
    address
}

/// Who answers behind the balancer, in a few connections; empty if one of them fails.
fn answering(balancer: SocketAddr) -> BTreeSet<String> {
    let ask = |_| {
        let mut stream = TcpStream::connect(balancer).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        let mut said = String::new();
        stream.read_to_string(&mut said).ok()?;
        (!said.is_empty()).then_some(said)
    };
    (0..9).map(ask).collect::<Option<_>>().unwrap_or_default()
}

#[test]
fn haproxy_balances_over_the_instances_of_a_service_and_follows_them() {
    let primary = server("");
    let instances = [11, 12, 13].map(instance);
    let enter = |index: usize| {
        let address = instances[index];
        register(&primary, &format!("a{index}"), &format!("\"{}\"", address.ip()), address.port());
    };
    let named = |indexes: &[usize]| indexes.iter().map(|&index| instances[index].to_string()).collect::<BTreeSet<_>>();
    enter(0);
    enter(1);
    let front = free_port();
    let config = format!(
        "defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 2s\n  timeout server 2s\n\
         resolvers ours\n  nameserver one {}:{}\n  accepted_payload_size 8192\n  timeout resolve 200ms\n\
         \x20 timeout retry 200ms\n  hold valid 200ms\n  hold obsolete 200ms\n  hold nx 200ms\n\
         listen web\n  bind 127.0.0.1:{front}\n  balance roundrobin\n\
         \x20 server-template web 5 _web._tcp.{ZONE} resolvers ours resolve-prefer ipv4 init-addr none check inter 200ms\n",
        primary.dns().ip(),
        primary.dns().port()
    );
    let _running = Place::new().start("haproxy", &["-db", "-f", "{dir}/config"], &config);
    let front = SocketAddr::from(([127, 0, 0, 1], front));
    eventually("both serve", || answering(front) == named(&[0, 1]));
    enter(2);
    eventually("all three serve", || answering(front) == named(&[0, 1, 2]));
    deregister(&primary, "a0");
    eventually("two are left", || answering(front) == named(&[1, 2]));
}
