//! Where a service of a container is reached: port and addresses, and whom its checks ask.
//!
//! | the container | port | addresses |
//! | --- | --- | --- |
//! | shares the host's network | as the label says | the host's |
//! | publishes the port | that of the host | the one it is published at, or the host's |
//! | `addresses=container` | that of the container | its own, in its only network or the one that `network` names |
//! | `addresses=...`, `target=...` | published or not | these |
//!
//! The port of the container is the one of the label, or the only one that is published or exposed. Everything else is
//! an error that says what would do. Pure.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::facts::{Binding, Container, addresses};

/// What the labels say about it.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    /// The port of the container.
    pub(super) port: Option<u16>,
    /// Whether it is of UDP where both are published.
    pub(super) udp: bool,
    /// Its addresses are to be the container's own.
    pub(super) own: bool,
    /// In which of its networks.
    pub(super) network: Option<String>,
    /// The labels name addresses or a target themselves.
    pub(super) named: bool,
}

/// Where it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The port that is registered.
    pub(super) port: u16,
    /// The addresses that are registered; none for the host's, or those that the labels name.
    pub(super) addresses: Option<Vec<IpAddr>>,
    /// Whom checks ask; none for this host.
    pub(super) probed: Option<IpAddr>,
}

/// A key that is wrong and why.
pub(super) type Wrong = (&'static str, String);

/// Finds it. `network` is the container whose network this one has: itself, unless it shares that of another one.
pub(super) fn find(container: &Container, network: &Container, asked: &Asked) -> Result<Place, Wrong> {
    let mode = network.host_config.network_mode.as_str();
    let port = asked.port.map_or_else(|| only_port(container, network), Ok)?;
    if asked.network.is_some() && !asked.own {
        return Err(("network", "says in which network the addresses are, and needs addresses=container".to_owned()));
    }
    if mode == "host" {
        return match asked.own {
            true => Err(("addresses", "the container has the host's network and no address of its own".to_owned())),
            false => Ok(Place { port, addresses: None, probed: None }),
        };
    }
    if asked.own {
        let addresses = own_addresses(network, asked.network.as_deref())?;
        return Ok(Place { port, probed: addresses.first().copied(), addresses: Some(addresses) });
    }
    match (published(network, port, asked.udp), asked.named) {
        (Some(place), false) => Ok(place),
        (Some(place), true) => Ok(Place { addresses: None, ..place }),
        (None, true) => {
            let own = own_addresses(network, None).ok();
            Ok(Place { port, addresses: None, probed: own.and_then(|own| own.first().copied()) })
        }
        (None, false) => Err((
            "port",
            format!(
                "port {port} is not published; publish it (--publish {port}:{port}), use the host's network, or say \
                 addresses=container where clients reach the container's own address"
            ),
        )),
    }
}

/// The only port that the container publishes, or else exposes.
fn only_port(container: &Container, network: &Container) -> Result<u16, Wrong> {
    let number = |text: &String| text.split('/').next()?.parse().ok();
    let ports = &network.network_settings.ports;
    let published = ports.iter().filter(|(_, bindings)| bindings.as_ref().is_some_and(|list| !list.is_empty()));
    let published: BTreeSet<u16> = published.filter_map(|(text, _)| number(text)).collect();
    let exposed: BTreeSet<u16> = container.config.exposed_ports.keys().chain(ports.keys()).filter_map(number).collect();
    let known = if published.is_empty() { exposed } else { published };
    let list = |ports: &BTreeSet<u16>| ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    match (known.first(), known.len()) {
        (Some(port), 1) => Ok(*port),
        (None, _) => Err(("port", "is missing, and the container exposes none; give it".to_owned())),
        _ => Err(("port", format!("is missing, and the container has several: {}; give one of them", list(&known)))),
    }
}

/// Where the host publishes a port of the container.
fn published(network: &Container, port: u16, udp: bool) -> Option<Place> {
    let transports = if udp { ["udp", "tcp", "sctp"] } else { ["tcp", "udp", "sctp"] };
    let ports = &network.network_settings.ports;
    let bindings: &Vec<Binding> = transports
        .iter()
        .filter_map(|transport| ports.get(&format!("{port}/{transport}"))?.as_ref())
        .find(|bindings| !bindings.is_empty())?;
    let read = |binding: &Binding| Some((binding.host_port.parse::<u16>().ok()?, address(&binding.host_ip)));
    let read: Vec<(u16, Option<IpAddr>)> = bindings.iter().filter_map(read).collect();
    let (port, _) = *read.first()?;
    // One service has one port: what another one leads to is left out.
    let at: Option<Vec<IpAddr>> = read.iter().filter(|(other, _)| *other == port).map(|(_, at)| *at).collect();
    let probed = at.as_ref().and_then(|at| at.first().copied());
    Some(Place { port, addresses: at, probed })
}

/// The address of a binding; none for all of the host's.
fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok().filter(|address: &IpAddr| !address.is_unspecified())
}

/// The container's own addresses in a network, or in its only one.
fn own_addresses(network: &Container, name: Option<&str>) -> Result<Vec<IpAddr>, Wrong> {
    let settings = &network.network_settings;
    let of = |name: &str| {
        let network = settings.networks.get(name);
        network.map(|network| addresses(&network.address, &network.address6)).unwrap_or_default()
    };
    let with: Vec<&String> = settings.networks.keys().filter(|name| !of(name).is_empty()).collect();
    let names = || with.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    match (name, with.as_slice()) {
        (Some(name), _) if !of(name).is_empty() => Ok(of(name)),
        (Some(name), []) => Err(("network", format!("the container has no address in \"{name}\", nor in another"))),
        (Some(name), _) => Err(("network", format!("the container has no address in \"{name}\", but in {}", names()))),
        (None, [one]) => Ok(of(one)),
        (None, []) => match addresses(&settings.address, &settings.address6) {
            none if none.is_empty() => Err(("addresses", "the container has no address of its own".to_owned())),
            some => Ok(some),
        },
        (None, _) => Err(("addresses", format!("the container has several networks: {}; say network=NAME", names()))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn container(value: serde_json::Value) -> Container {
        serde_json::from_value(value).expect("a container")
    }

    fn find_in(value: serde_json::Value, asked: &Asked) -> Result<(u16, Option<String>), String> {
        let container = container(value);
        let place = find(&container, &container, asked).map_err(|(key, why)| format!("{key}: {why}"))?;
        let texts = |list: Vec<IpAddr>| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        Ok((place.port, place.addresses.map(texts)))
    }

    fn port(port: u16) -> Asked {
        Asked { port: Some(port), ..Asked::default() }
    }

    fn published(host_ip: &str) -> serde_json::Value {
        json!({"HostConfig": {"NetworkMode": "bridge"}, "NetworkSettings": {
            "Ports": {"8080/tcp": [{"HostIp": host_ip, "HostPort": "32768"}], "9090/tcp": null},
            "Networks": {"bridge": {"IPAddress": "172.17.0.2", "GlobalIPv6Address": ""}}}})
    }

    #[test]
    fn a_published_port_is_the_hosts() {
        for all in ["", "0.0.0.0", "::"] {
            assert_eq!(find_in(published(all), &port(8080)), Ok((32768, None)));
        }
        assert_eq!(find_in(published("192.0.2.5"), &port(8080)), Ok((32768, Some("192.0.2.5".into()))));
        // The only published one, though another one is exposed.
        assert_eq!(find_in(published(""), &Asked::default()), Ok((32768, None)));
        let named = Asked { named: true, ..port(8080) };
        assert_eq!(find_in(published("192.0.2.5"), &named), Ok((32768, None)));
    }

    #[test]
    fn a_port_that_is_not_published_says_what_would_do() {
        let why = find_in(published(""), &port(9090)).expect_err("not published");
        assert!(why.starts_with("port: port 9090 is not published; publish it"), "{why}");
        let named = Asked { named: true, ..port(9090) };
        assert_eq!(find_in(published(""), &named), Ok((9090, None)));
    }

    #[test]
    fn both_transports_of_a_port_are_told_apart() {
        let both = json!({"NetworkSettings": {"Ports": {
            "53/tcp": [{"HostIp": "", "HostPort": "5301"}], "53/udp": [{"HostIp": "", "HostPort": "5302"}]}}});
        assert_eq!(find_in(both.clone(), &port(53)), Ok((5301, None)));
        assert_eq!(find_in(both, &Asked { udp: true, ..port(53) }), Ok((5302, None)));
    }

    #[test]
    fn the_hosts_network_needs_only_a_port() {
        let host = json!({"HostConfig": {"NetworkMode": "host"}, "NetworkSettings": {"Ports": {}, "Networks": null}});
        assert_eq!(find_in(host.clone(), &port(8080)), Ok((8080, None)));
        let why = find_in(host.clone(), &Asked::default()).expect_err("no port");
        assert_eq!(why, "port: is missing, and the container exposes none; give it");
        assert!(find_in(host, &Asked { own: true, ..port(8080) }).is_err());
        let exposed = json!({"HostConfig": {"NetworkMode": "host"}, "Config": {"ExposedPorts": {"8080/tcp": {}}}});
        assert_eq!(find_in(exposed, &Asked::default()), Ok((8080, None)));
    }

    #[test]
    fn own_addresses_come_from_one_network() {
        let own = Asked { own: true, ..port(8080) };
        assert_eq!(find_in(published(""), &own), Ok((8080, Some("172.17.0.2".into()))));
        let two = json!({"HostConfig": {"NetworkMode": "front"}, "Config": {"ExposedPorts": {"1/tcp": {}, "2/tcp": {}}},
            "NetworkSettings": {"Networks": {
            "front": {"IPAddress": "172.18.0.2", "GlobalIPv6Address": "2001:db8::2"}, "back": {"IPAddress": "172.19.0.2"}}}});
        let why = find_in(two.clone(), &own).expect_err("which?");
        assert_eq!(why, "addresses: the container has several networks: back, front; say network=NAME");
        let front = Asked { network: Some("front".into()), ..own.clone() };
        assert_eq!(find_in(two.clone(), &front), Ok((8080, Some("172.18.0.2 2001:db8::2".into()))));
        let other = Asked { network: Some("x".into()), ..own };
        let why = find_in(two.clone(), &other).expect_err("no such network");
        assert_eq!(why, "network: the container has no address in \"x\", but in back, front");
        let why = find_in(two, &Asked::default()).expect_err("two ports");
        assert_eq!(why, "port: is missing, and the container has several: 1, 2; give one of them");
    }

    #[test]
    fn podmans_own_address_stands_outside_of_networks() {
        let podman = json!({"HostConfig": {"NetworkMode": "bridge"},
            "NetworkSettings": {"IPAddress": "10.88.0.2", "Networks": {}}});
        let own = Asked { own: true, ..port(8080) };
        assert_eq!(find_in(podman, &own), Ok((8080, Some("10.88.0.2".into()))));
    }
}
