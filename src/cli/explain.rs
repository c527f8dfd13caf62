//! `zonebeat explain`: why a name answers as it does.

use clap::Args;

use super::connection::ConnectionArgs;
use super::output::{print, printable, table};
use super::{Failure, examples};
use crate::agent::ClientError;
use crate::model::explanation::{Explained, Explanation, RefusedAttempt};

/// Explain an answer: which instances a name was considered for, which are in, and what keeps the others out
///
/// Names end at the zone: a final dot is not needed. Without a type, the one that such a name is asked for.
#[derive(Debug, Clone, Args)]
#[command(after_help = examples![
    "zonebeat explain _search._tcp.sd.example.org",
    "zonebeat explain search.sd.example.org AAAA",
    "zonebeat explain a4.search.sd.example.org --json",
])]
pub struct ExplainArgs {
    /// Name as DNS is asked for it
    name: String,

    /// Type of record
    #[arg(value_name = "TYPE")]
    rtype: Option<String>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Prints the explanation.
pub async fn run(args: &ExplainArgs) -> Result<(), Failure> {
    let reply = args.connection.client()?.explain(&args.name, args.rtype.as_deref()).await.map_err(failure)?;
    if args.connection.json {
        return Ok(print(&reply.text)?);
    }
    Ok(print(&page(&reply.body))?)
}

/// What is no name or no type is wrong usage, as where a command can tell by itself.
fn failure(error: ClientError) -> Failure {
    match error {
        ClientError::Refused(refused) if refused.status == 400 => Failure::Usage(refused.to_string()),
        other => other.into(),
    }
}

fn page(explanation: &Explanation) -> String {
    let mut parts = vec![head(explanation)];
    if !explanation.instances.is_empty() {
        let several = explanation.instances.iter().any(|row| row.service != explanation.instances[0].service);
        parts.push(table(["INSTANCE", "", "WHY"], explanation.instances.iter().map(|row| line(row, several))));
    }
    if explanation.omitted > 0 {
        parts.push(format!("and {} more; GET /v1/explain with limit shows up to 1000", explanation.omitted));
    }
    if !explanation.refused.is_empty() {
        let line = |row: &RefusedAttempt| [format!("{}/{}", row.service, row.id), row.words()];
        parts.push(table(["INSTANCE", "REFUSED"], explanation.refused.iter().map(line)));
    }
    if !explanation.nearest.is_empty() {
        parts.push(format!("there are: {}", explanation.nearest.join(" ")));
    }
    parts.join("\n\n")
}

fn head(explanation: &Explanation) -> String {
    let Explanation { name, rtype, answer, summary, .. } = explanation;
    let summary = printable(summary);
    let Some(said) = answer else { return summary };
    format!("{summary}\nDNS answers {name} {rtype}: {}", printable(&said.to_string()))
}

fn line(row: &Explained, several: bool) -> [String; 3] {
    [row.label(several), if row.is_in { "in" } else { "out" }.to_owned(), row.words()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::explanation::Said;
    use crate::model::{Revision, Timestamp};

    #[test]
    fn a_page_has_what_dns_says_and_a_line_for_each_instance() {
        let row = |id: &str, is_in: bool, why: &str, advice: Option<&str>| Explained {
            service: "search".into(),
            id: id.into(),
            is_in,
            state: String::new(),
            why: why.into(),
            advice: advice.map(Into::into),
            since: Timestamp(0),
            revision: Revision(7),
        };
        let drained = row("a2", false, "drained by token ops 3 s ago", Some("zonebeat undrain search a2"));
        let explanation = Explanation {
            name: "search.sd.example.org.".into(),
            rtype: "A".into(),
            answer: Some(Said { rcode: "NOERROR".into(), records: 1, ede: None }),
            summary: "1 of 4 instances".into(),
            static_record: None,
            instances: vec![drained, row("a1", true, "serving for 4 s", None)],
            omitted: 2,
            refused: Vec::new(),
            nearest: Vec::new(),
        };
        let expected = "\
1 of 4 instances
DNS answers search.sd.example.org. A: NOERROR, 1 record

INSTANCE       WHY
a2        out  drained by token ops 3 s ago; zonebeat undrain search a2
a1        in   serving for 4 s

and 2 more; GET /v1/explain with limit shows up to 1000";
        assert_eq!(page(&explanation), expected);
    }
}
