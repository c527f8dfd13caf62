//! The servers that a client may ask, in order.
//!
//! Shape: the configured servers first, then those that a server named in its replies, at most [`MAX_SERVERS`] in all.
//! A call starts with the server that worked last and goes round from there. Only [`Servers::worked`] and
//! [`Servers::learn`] change it; nothing of it is kept on disk.

use url::Url;

/// The server that is asked when none is named.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:8053";

/// The most servers that one client keeps, so that a reply cannot make a call endless.
pub const MAX_SERVERS: usize = 16;

/// Servers and the one that worked last.
#[derive(Debug, Clone)]
pub struct Servers {
    list: Vec<Url>,
    preferred: usize,
}

impl Servers {
    /// The configured servers, in order, without repetition; [`DEFAULT_SERVER`] if there are none.
    pub fn new(configured: impl IntoIterator<Item = Url>) -> Self {
        let mut servers = Self { list: Vec::new(), preferred: 0 };
        configured.into_iter().for_each(|server| servers.add(server));
        if servers.list.is_empty() {
            servers.add(parse_server(DEFAULT_SERVER).expect("the default server is a valid URL"));
        }
        servers
    }

    /// All servers, beginning with the one that worked last.
    pub fn in_order(&self) -> Vec<Url> {
        let (before, from) = self.list.split_at(self.preferred);
        from.iter().chain(before).cloned().collect()
    }

    /// Remembers that this server answered.
    pub fn worked(&mut self, server: &Url) {
        if let Some(at) = self.list.iter().position(|known| known == server) {
            self.preferred = at;
        }
    }

    /// Adds servers that a reply named, behind the known ones. What is not a server URL is passed over.
    pub fn learn(&mut self, named: &[String]) {
        named.iter().filter_map(|text| parse_server(text).ok()).for_each(|server| self.add(server));
    }

    fn add(&mut self, server: Url) {
        if self.list.len() < MAX_SERVERS && !self.list.contains(&server) {
            self.list.push(server);
        }
    }
}

/// Parses the base URL of a server. A text without a scheme is taken as `http://`.
pub fn parse_server(text: &str) -> Result<Url, String> {
    let example = "write it as http://192.0.2.1:8053";
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&full).map_err(|error| format!("\"{text}\" is not a server URL ({error}); {example}"))?;
    match url.scheme() {
        "http" => {}
        "https" => return Err(format!("\"{text}\": https is not supported by this version; {example}")),
        other => return Err(format!("\"{text}\" has the scheme {other}; {example}")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a server URL must not hold a user or password; pass a token with --token".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("\"{text}\" has a query or fragment; {example}"));
    }
    Ok(url)
}

/// A server as people write it: without the slash at the end.
pub fn shown(server: &Url) -> String {
    server.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(texts: &[&str]) -> Servers {
        Servers::new(texts.iter().map(|text| parse_server(text).expect(text)))
    }

    fn order(servers: &Servers) -> Vec<String> {
        servers.in_order().iter().map(shown).collect()
    }

    #[test]
    fn the_one_that_worked_is_asked_first() {
        let mut all = servers(&["192.0.2.1:8053", "192.0.2.2:8053", "192.0.2.3:8053"]);
        all.worked(&parse_server("http://192.0.2.2:8053").expect("URL"));
        assert_eq!(order(&all), ["http://192.0.2.2:8053", "http://192.0.2.3:8053", "http://192.0.2.1:8053"]);
    }

    #[test]
    fn named_servers_come_last_once_and_in_bounds() {
        let mut all = servers(&["192.0.2.1:8053"]);
        all.learn(&["http://192.0.2.1:8053/".into(), "ftp://192.0.2.9".into(), "http://192.0.2.2:8053".into()]);
        assert_eq!(order(&all), ["http://192.0.2.1:8053", "http://192.0.2.2:8053"]);
        all.learn(&(0..100).map(|n| format!("http://198.51.100.{n}:8053")).collect::<Vec<_>>());
        assert_eq!(all.in_order().len(), MAX_SERVERS);
    }

    #[test]
    fn nothing_configured_means_this_machine() {
        assert_eq!(order(&servers(&[])), [DEFAULT_SERVER]);
    }

    #[test]
    fn bad_urls_say_what_would_be_right() {
        for bad in ["https://192.0.2.1", "ftp://192.0.2.1", "http://", "http://u:p@192.0.2.1", "http://192.0.2.1/?a=b"]
        {
            let error = parse_server(bad).expect_err(bad);
            assert!(error.contains("http://192.0.2.1:8053") || error.contains("--token"), "{error}");
        }
    }
}
