//! The typed calls about who answers for a service, who may write it, and what it needs.

use hyper::Method;

use super::Client;
use super::exchange::Call;
use super::outcome::{ClientError, Reply};
use crate::model::api::{Amendment, Applied, Dependencies, Grantee, ServiceList};

impl Client {
    /// Declares some of a service otherwise; what the body leaves out stays.
    pub async fn amend(
        &self,
        service: &str,
        body: &Amendment,
        reason: Option<&str>,
    ) -> Result<Reply<Applied>, ClientError> {
        let path = ["v1", "services", service];
        self.exchange.call(&Call::new(Method::PATCH, &path).json(body).reason(reason)).await
    }

    /// Takes a declaration back and gives the name up, and says why.
    pub async fn give_up(&self, service: &str, reason: Option<&str>) -> Result<Reply<Applied>, ClientError> {
        self.exchange.call(&Call::new(Method::DELETE, &["v1", "services", service]).reason(reason)).await
    }

    /// Services whose owner nobody has declared.
    pub async fn unowned_services(&self) -> Result<Reply<ServiceList>, ClientError> {
        self.list(&["v1", "services"], &[("unowned", "true")], "services").await
    }

    /// What a service depends on, or who depends on it.
    pub async fn dependencies(&self, service: &str, reverse: bool) -> Result<Reply<Dependencies>, ClientError> {
        let path = ["v1", "services", service, "dependencies"];
        let call = Call::new(Method::GET, &path).query("reverse", reverse.then(|| "true".to_owned()));
        self.exchange.call(&call).await
    }

    /// Lets another token write a service.
    pub async fn grant(&self, service: &str, token: &str, reason: Option<&str>) -> Result<Reply<Applied>, ClientError> {
        let (path, body) = (["v1", "services", service, "grants"], Grantee { token: token.to_owned() });
        self.exchange.call(&Call::new(Method::POST, &path).json(&body).reason(reason)).await
    }

    /// Takes a grant back.
    pub async fn revoke_grant(
        &self,
        service: &str,
        token: &str,
        reason: Option<&str>,
    ) -> Result<Reply<Applied>, ClientError> {
        let path = ["v1", "services", service, "grants", token];
        self.exchange.call(&Call::new(Method::DELETE, &path).reason(reason)).await
    }

    /// Makes a service another token's.
    pub async fn transfer(
        &self,
        service: &str,
        token: &str,
        reason: Option<&str>,
    ) -> Result<Reply<Applied>, ClientError> {
        let (path, body) = (["v1", "services", service, "transfer"], Grantee { token: token.to_owned() });
        self.exchange.call(&Call::new(Method::POST, &path).json(&body).reason(reason)).await
    }
}
