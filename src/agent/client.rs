//! The typed calls of HTTP version 1: one method for each, with the bodies of `model::api`.

use hyper::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::exchange::{Call, Exchange, not_understood};
use super::outcome::{ClientError, Reply, Unreachable};
use super::servers::Servers;
use super::set::Set;
use crate::model::api::{
    Applied, Beat, Beaten, ChangeList, HeldList, InstanceInfo, InstanceList, ManyBeaten, ManyBeats, Order, Ordered,
    Registered, Registration, ReleaseOrder, ServiceInfo, ServiceList, SessionBeat, SessionSet, SessionStored,
    SiteOrdered, Status, TokenCreated, TokenList, TokenRequest, WeightOrder, ZoneList,
};
use crate::model::explanation::Explanation;
use crate::model::{Declaration, Revision};

/// A client of one set of servers.
#[derive(Debug)]
pub struct Client {
    pub(super) exchange: Exchange,
}

impl Client {
    /// A client of these servers. `rounds` is how often all of them are asked before a call fails.
    pub fn new(servers: Servers, token: Option<&str>, rounds: u32) -> Result<Self, String> {
        Ok(Self { exchange: Exchange::new(servers, token, rounds)? })
    }

    /// Adds servers that a reply named to those that are asked.
    pub fn learn(&self, named: &[String]) {
        self.exchange.learn(named);
    }

    /// Registers or updates an instance, and beats for it.
    pub async fn register(
        &self,
        service: &str,
        id: &str,
        body: &Registration,
    ) -> Result<Reply<Registered>, ClientError> {
        let path = ["v1", "services", service, "instances", id];
        self.exchange.call(&Call::new(Method::PUT, &path).json(body).pressing()).await
    }

    /// Beats for a lone instance.
    pub async fn beat(&self, service: &str, id: &str, body: &Beat) -> Result<Reply<Beaten>, ClientError> {
        let path = ["v1", "services", service, "instances", id, "heartbeat"];
        self.exchange.call(&Call::new(Method::POST, &path).json(body).pressing()).await
    }

    /// Takes an instance out now.
    pub async fn deregister(
        &self,
        service: &str,
        id: &str,
        incarnation: Option<u64>,
        reason: Option<&str>,
    ) -> Result<Reply<Applied>, ClientError> {
        let path = ["v1", "services", service, "instances", id];
        let call = Call::new(Method::DELETE, &path)
            .query("incarnation", incarnation.map(|number| number.to_string()))
            .reason(reason)
            .pressing();
        self.exchange.call(&call).await
    }

    /// Takes an instance out now, also where its service would have fewer serving than its `min`.
    pub async fn deregister_anyway(
        &self,
        service: &str,
        id: &str,
        incarnation: Option<u64>,
        reason: Option<&str>,
    ) -> Result<Reply<Applied>, ClientError> {
        let path = ["v1", "services", service, "instances", id];
        let call = Call::new(Method::DELETE, &path)
            .query("incarnation", incarnation.map(|number| number.to_string()))
            .query("force", Some("true".to_owned()))
            .reason(reason);
        self.exchange.call(&call).await
    }

    /// Orders about an instance: `drain` or `undrain`.
    pub async fn order(
        &self,
        service: &str,
        id: &str,
        what: &str,
        body: &Order,
    ) -> Result<Reply<Ordered>, ClientError> {
        let path = ["v1", "services", service, "instances", id, what];
        self.exchange.call(&Call::new(Method::POST, &path).json(body)).await
    }

    /// Orders about all instances of a site: `drain` or `undrain`. Repeats the call while something is left to do; each is
    /// sent once, because it takes its time.
    pub async fn order_site(&self, site: &str, what: &str, body: &Order) -> Result<Reply<SiteOrdered>, ClientError> {
        let path = ["v1", "sites", site, what];
        let call = Call::new(Method::POST, &path).json(body).once();
        let mut done: Reply<SiteOrdered> = self.exchange.call(&call).await?;
        while done.body.left > 0 {
            let next: Reply<SiteOrdered> = self.exchange.call(&call).await?;
            let body = next.body.after(done.body);
            let text = serde_json::to_string(&body).unwrap_or(next.text);
            done = Reply { body, text, ..done };
        }
        Ok(done)
    }

    /// Gives an instance another weight.
    pub async fn set_weight(&self, service: &str, id: &str, body: &WeightOrder) -> Result<Reply<Ordered>, ClientError> {
        let path = ["v1", "services", service, "instances", id, "weight"];
        self.exchange.call(&Call::new(Method::POST, &path).json(body)).await
    }

    /// Everything that the guard holds.
    pub async fn held(&self) -> Result<Reply<HeldList>, ClientError> {
        self.list(&["v1", "held"], &[], "instances").await
    }

    /// Lets what the guard holds lapse.
    pub async fn release(&self, body: &ReleaseOrder) -> Result<Reply<Applied>, ClientError> {
        self.exchange.call(&Call::new(Method::POST, &["v1", "held", "release"]).json(body)).await
    }

    /// Replaces everything that a session beats for.
    pub async fn set_session(&self, session: &str, body: &SessionSet) -> Result<Reply<SessionStored>, ClientError> {
        self.exchange.call(&Call::new(Method::PUT, &["v1", "sessions", session]).json(body)).await
    }

    /// The same for the set of an agent.
    pub async fn send_set(&self, session: &str, set: &Set) -> Result<Reply<SessionStored>, ClientError> {
        let path = ["v1", "sessions", session];
        let call = Call::new(Method::PUT, &path).json(set).reason(set.reason.as_deref());
        self.exchange.call(&call.pressing()).await
    }

    /// Takes everything out that a session beats for, also below the `min` of a service: whoever calls this is gone or
    /// going. Refused if another epoch has sent its set since.
    pub async fn end_session(&self, session: &str, epoch: &str, reason: &str) -> Result<Reply<Applied>, ClientError> {
        let path = ["v1", "sessions", session];
        let call = Call::new(Method::DELETE, &path)
            .query("epoch", Some(epoch.to_owned()))
            .query("force", Some("true".to_owned()))
            .reason(Some(reason))
            .pressing();
        self.exchange.call(&call).await
    }

    /// Beats for everything in a session.
    pub async fn beat_session(&self, session: &str, body: &SessionBeat) -> Result<Reply<Beaten>, ClientError> {
        let path = ["v1", "sessions", session, "heartbeat"];
        self.exchange.call(&Call::new(Method::POST, &path).json(body).pressing()).await
    }

    /// Beats for many instances and sessions, at most 1,000. What came of each stands in the reply, in the same order.
    pub async fn beat_many(&self, body: &ManyBeats) -> Result<Reply<ManyBeaten>, ClientError> {
        self.exchange.call(&Call::new(Method::POST, &["v1", "heartbeats"]).json(body)).await
    }

    /// All services.
    pub async fn services(&self) -> Result<Reply<ServiceList>, ClientError> {
        self.list(&["v1", "services"], &[], "services").await
    }

    /// One service.
    pub async fn service(&self, service: &str) -> Result<Reply<ServiceInfo>, ClientError> {
        self.exchange.call(&Call::new(Method::GET, &["v1", "services", service])).await
    }

    /// All zones.
    pub async fn zones(&self) -> Result<Reply<ZoneList>, ClientError> {
        self.exchange.call(&Call::new(Method::GET, &["v1", "zones"])).await
    }

    /// How the server is that answers first.
    pub async fn status(&self) -> Result<Reply<Status>, ClientError> {
        self.exchange.call(&Call::new(Method::GET, &["v1", "status"])).await
    }

    /// Why a name answers as it does; without a type for the one that such a name is asked for.
    pub async fn explain(&self, name: &str, rtype: Option<&str>) -> Result<Reply<Explanation>, ClientError> {
        let call = Call::new(Method::GET, &["v1", "explain"])
            .query("name", Some(name.to_owned()))
            .query("type", rtype.map(str::to_owned));
        self.exchange.call(&call).await
    }

    /// The instances of a service.
    pub async fn instances(&self, service: &str) -> Result<Reply<InstanceList>, ClientError> {
        self.list(&["v1", "services", service, "instances"], &[], "instances").await
    }

    /// One instance.
    pub async fn instance(&self, service: &str, id: &str) -> Result<Reply<InstanceInfo>, ClientError> {
        self.exchange.call(&Call::new(Method::GET, &["v1", "services", service, "instances", id])).await
    }

    /// Says something about a service.
    pub async fn declare(&self, service: &str, body: &Declaration) -> Result<Reply<Applied>, ClientError> {
        self.exchange.call(&Call::new(Method::PUT, &["v1", "services", service]).json(body)).await
    }

    /// Takes a declaration back and gives the name up.
    pub async fn undeclare(&self, service: &str) -> Result<Reply<Applied>, ClientError> {
        self.exchange.call(&Call::new(Method::DELETE, &["v1", "services", service])).await
    }

    /// Changes after `since` (the oldest that are kept without it), oldest first; one page of at most `limit`.
    pub async fn changes(&self, since: Option<Revision>, limit: usize) -> Result<Reply<ChangeList>, ClientError> {
        let path = ["v1", "changes"];
        let call = Call::new(Method::GET, &path)
            .query("since", since.map(|revision| revision.to_string()))
            .query("limit", Some(limit.to_string()));
        self.exchange.call(&call).await
    }

    /// Creates a token. Sent once only: a second attempt could make a second token.
    pub async fn create_token(&self, body: &TokenRequest) -> Result<Reply<TokenCreated>, ClientError> {
        self.exchange.call(&Call::new(Method::POST, &["v1", "tokens"]).json(body).once()).await
    }

    /// All tokens, without their secrets.
    pub async fn tokens(&self) -> Result<Reply<TokenList>, ClientError> {
        self.exchange.call(&Call::new(Method::GET, &["v1", "tokens"])).await
    }

    /// Revokes a token by its id or name.
    pub async fn revoke_token(&self, token: &str) -> Result<Reply<Applied>, ClientError> {
        self.exchange.call(&Call::new(Method::DELETE, &["v1", "tokens", token])).await
    }

    /// All pages of a list as one: `next` of a page is `after` of the following one. A list of one page is the server's
    /// own text; of several, their entries joined.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&'static str, &str)],
        entries: &str,
    ) -> Result<Reply<T>, ClientError> {
        let call = || {
            let plain = Call::new(Method::GET, path);
            query.iter().fold(plain, |call, (name, value)| call.query(name, Some((*value).to_owned())))
        };
        let mut list: Reply<Object> = self.exchange.call(&call()).await?;
        let mut after = String::new();
        while let Some(next) = next_page(&list.body).filter(|next| *next > after) {
            let page: Reply<Object> = self.exchange.call(&call().query("after", Some(next.clone()))).await?;
            append(&mut list.body, page.body, entries);
            after = next;
        }
        let Reply { body, mut text, server, dns } = list;
        let body = Value::Object(body);
        if !after.is_empty() {
            text = body.to_string();
        }
        match serde_json::from_value(body) {
            Ok(body) => Ok(Reply { body, text, server, dns }),
            Err(error) => Err(Unreachable { servers: vec![(server, not_understood(&error))] }.into()),
        }
    }
}

/// A page of a list as it came: what this version does not know is kept.
type Object = serde_json::Map<String, Value>;

fn next_page(page: &Object) -> Option<String> {
    page.get("next").and_then(Value::as_str).map(str::to_owned)
}

/// Joins a further page to what there is, and takes over whether there is more.
fn append(list: &mut Object, mut page: Object, entries: &str) {
    if let (Some(Value::Array(all)), Some(Value::Array(more))) = (list.get_mut(entries), page.get_mut(entries)) {
        all.append(more);
    }
    match page.remove("next") {
        Some(next) => list.insert("next".to_owned(), next),
        None => list.remove("next"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> Object {
        serde_json::from_str(text).expect("object")
    }

    #[test]
    fn pages_are_joined_and_the_last_ends_the_list() {
        let mut list = object(r#"{"revision":5,"services":[{"a":1}],"next":"a"}"#);
        append(&mut list, object(r#"{"revision":6,"services":[{"b":2}],"next":"b"}"#), "services");
        assert_eq!(next_page(&list).as_deref(), Some("b"));
        append(&mut list, object(r#"{"revision":7,"services":[]}"#), "services");
        assert_eq!(list, object(r#"{"revision":5,"services":[{"a":1},{"b":2}]}"#));
    }
}
