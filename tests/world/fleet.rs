//! Many sessions in one process in the namespace of the hosts: this binary again, with the session code of the agent
//! and, for lone instances, the client library. It is told over its standard input what each session wants, one line of
//! JSON for each wish, and does nothing else.

use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::net::IpAddr;
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use zonebeat::agent::Client;
use zonebeat::agent::servers::{Servers, parse_server};
use zonebeat::agent::session::{self, Identity, State, Wanted};
use zonebeat::agent::set::{HttpSession, Member};
use zonebeat::client::{Beating, Instance};
use zonebeat::model::api::Registration;

use crate::namespaces::{HOSTS, Lab};
use crate::support::signal;
use crate::{LEASE, ROLE, play_command};

/// Where the process finds the server, and its token.
const SERVER: &str = "ZONEBEAT_WORLD_SERVER";
const TOKEN: &str = "ZONEBEAT_WORLD_TOKEN";
/// What stands in `ROLE` for it.
pub(crate) const FLEET: &str = "fleet";
/// Wishes that may wait.
const WISHES: usize = 1024;

/// The process, as the world sees it.
pub(crate) struct Fleet {
    child: Child,
    input: ChildStdin,
}

impl Fleet {
    pub(crate) fn start(lab: &Lab, server: &str, token: &str) -> Self {
        let mut plain = play_command();
        plain.env(ROLE, FLEET).env(SERVER, server).env(TOKEN, token);
        let mut command: Command = lab.enter(HOSTS, &plain);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let mut child = child.expect("this binary starts again");
        let input = child.stdin.take().expect("standard input is piped");
        Self { child, input }
    }

    /// The set of a session from now on; a session that is not there begins.
    pub(crate) fn set(&mut self, session: &str, members: &[Value]) {
        self.tell(&json!({"set": session, "members": members}));
    }

    /// Ends a session as death does: nothing is said to anybody.
    pub(crate) fn kill(&mut self, session: &str) {
        self.tell(&json!({"kill": session}));
    }

    /// Registers a lone instance by the client library.
    pub(crate) fn enter(&mut self, member: &Value) {
        self.tell(&json!({"enter": member}));
    }

    /// Lets a lone instance leave.
    pub(crate) fn leave(&mut self, member: &Value) {
        self.tell(&json!({"leave": member}));
    }

    fn tell(&mut self, wish: &Value) {
        writeln!(self.input, "{wish}").expect("the fleet reads");
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What runs in that process.
pub(crate) fn play() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime");
    let (send, mut wishes) = mpsc::channel(WISHES);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let wish: Value = serde_json::from_str(&line).expect("a wish is JSON");
            if send.blocking_send(wish).is_err() {
                return;
            }
        }
    });
    runtime.block_on(async {
        let mut sessions = Sessions::default();
        while let Some(wish) = wishes.recv().await {
            sessions.obey(&wish);
        }
    });
}

#[derive(Default)]
struct Sessions {
    running: HashMap<String, (watch::Sender<Wanted>, AbortHandle)>,
    lone: HashMap<String, Beating>,
    started: u32,
}

impl Sessions {
    fn obey(&mut self, wish: &Value) {
        let text = |key: &str| wish[key].as_str();
        if let Some(session) = text("set") {
            let members = wish["members"].as_array().expect("a set has members");
            let mut members: Vec<Member> = members.iter().map(member).collect();
            members.sort_by_key(Member::key);
            let wanted = Wanted { set: Some(members.into()), end: false, reason: None };
            self.session(session).send_replace(wanted);
        } else if let Some(session) = text("kill") {
            self.running.remove(session).into_iter().for_each(|(_, task)| task.abort());
        } else if wish["enter"].is_object() {
            let Member { service, id, registration } = member(&wish["enter"]);
            let mut lone = Instance::new(service, id.clone(), u16::try_from(registration.port).expect("a port"));
            for address in registration.addresses.unwrap_or_default() {
                lone = lone.address(address.parse::<IpAddr>().expect("an address"));
            }
            for (key, value) in registration.metadata {
                lone = lone.metadata(key, value);
            }
            let beating = lone.server(of_world(SERVER)).token(of_world(TOKEN)).lease(LEASE).start();
            self.lone.insert(id, beating.expect("server and token can be sent"));
        } else {
            self.lone.remove(&member(&wish["leave"]).id);
        }
    }

    /// The wishes of a session, which begins if it is not there.
    fn session(&mut self, name: &str) -> &watch::Sender<Wanted> {
        self.started += 1;
        let epoch = format!("e{}", self.started);
        let (wanted, _) = self.running.entry(name.to_owned()).or_insert_with(|| {
            let (wanted, wishes) = watch::channel(Wanted::default());
            let (states, _) = watch::channel(State::default());
            let servers = Servers::new([parse_server(&of_world(SERVER)).expect("a URL")]);
            let client = Client::new(servers, Some(&of_world(TOKEN)), 1).expect("a client");
            let carrier = HttpSession { client, session: name.to_owned() };
            let identity = Identity { session: name.to_owned(), epoch, lease_seconds: LEASE.as_secs() as i64 };
            let task = tokio::spawn(async move { session::run(&carrier, identity, wishes, states).await });
            (wanted, task.abort_handle())
        });
        wanted
    }
}

fn of_world(variable: &str) -> String {
    std::env::var(variable).expect("the world says where the server is")
}

/// A member as the world writes it.
fn member(value: &Value) -> Member {
    let text = |key: &str| value[key].as_str().expect("a member has labels").to_owned();
    let number = |key: &str| value[key].as_i64().expect("a member has numbers");
    let registration = Registration {
        port: number("port"),
        weight: Some(number("weight")),
        addresses: Some(vec![text("address")]),
        metadata: [("v".to_owned(), number("version").to_string())].into(),
        out: value["out"].as_str().map(str::to_owned),
        ..Registration::default()
    };
    Member { service: text("service"), id: text("id"), registration }
}
