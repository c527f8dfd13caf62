//! `zonebeat deps`: what a service depends on, or who depends on it, as a tree.

use clap::Args;

use super::connection::ConnectionArgs;
use super::output::{print, table};
use super::{Failure, examples, values};
use crate::model::api::{Dependencies, Dependency};

/// Show what a service depends on, as a tree; with --reverse who depends on it
///
/// As the owners declared it (zonebeat declare --dependency), with what those services need in turn. Marked are cycles,
/// services that nobody has declared or registered, and services whose own tree is shown further up.
#[derive(Debug, Clone, Args)]
#[command(after_help = examples![
    "zonebeat deps search",
    "zonebeat deps search --reverse",
    "zonebeat deps search --json",
])]
pub struct DepsArgs {
    /// Service at the root of the tree
    #[arg(value_parser = values::service)]
    service: String,

    /// Who depends on it, instead of what it depends on
    #[arg(long)]
    reverse: bool,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Prints the tree.
pub async fn run(args: &DepsArgs) -> Result<(), Failure> {
    let reply = args.connection.client()?.dependencies(&args.service, args.reverse).await?;
    if args.connection.json {
        return Ok(print(&reply.text)?);
    }
    Ok(print(&tree(&reply.body))?)
}

fn tree(tree: &Dependencies) -> String {
    let header = ["SERVICE", "SERVING", "TIER", "OWNER", "NOTE"];
    let branches = branches(&tree.services);
    let row = |(place, branch): (&Dependency, String)| {
        [
            format!("{branch}{}", place.service),
            if place.known { place.serving.to_string() } else { String::new() },
            place.tier.map(|tier| tier.to_string()).unwrap_or_default(),
            place.owner.clone().unwrap_or_default(),
            note(place).to_owned(),
        ]
    };
    let mut text = table(header, tree.services.iter().zip(branches).map(row));
    if let ([root], false) = (tree.services.as_slice(), tree.truncated) {
        text.push_str(&match tree.reverse {
            true => format!("\n\nno service declares that it depends on {}", root.service),
            false => {
                format!("\n\n{0} declares no dependencies: zonebeat declare {0} --dependency SERVICE", root.service)
            }
        });
    }
    if tree.truncated {
        text.push_str(&format!("\n\nthe tree is larger; these are its first {} places", tree.services.len()));
    }
    text
}

fn note(place: &Dependency) -> &'static str {
    match place {
        Dependency { cycle: true, .. } => "cycle: it stands above itself",
        Dependency { known: false, .. } => "unknown: neither declared nor registered",
        Dependency { repeated: true, .. } => "see above",
        _ => "",
    }
}

/// The lines that lead to each place. Whether a place is the last of its parent's is known from the end.
fn branches(places: &[Dependency]) -> Vec<String> {
    let mut branches = vec![String::new(); places.len()];
    let mut open: Vec<bool> = Vec::new(); // for each depth whether a place of it follows below
    for (place, branch) in places.iter().zip(&mut branches).rev() {
        open.resize(place.depth + 1, false);
        for depth in 1..place.depth {
            branch.push_str(if open[depth] { "│  " } else { "   " });
        }
        if place.depth > 0 {
            branch.push_str(if open[place.depth] { "├─ " } else { "└─ " });
        }
        open[place.depth] = true;
    }
    branches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(depth: usize, service: &str) -> Dependency {
        Dependency { depth, service: service.into(), known: true, serving: 2, ..Dependency::default() }
    }

    #[test]
    fn a_tree_has_branches_and_marks() {
        let services = vec![
            Dependency { owner: Some("squad-web".into()), tier: Some(1), ..place(0, "web") },
            place(1, "index"),
            Dependency { known: false, ..place(2, "disk") },
            place(1, "search"),
            Dependency { repeated: true, ..place(2, "index") },
            Dependency { cycle: true, ..place(2, "web") },
        ];
        let body = Dependencies { revision: Default::default(), reverse: false, services, truncated: false };
        let expected = "\
SERVICE      SERVING  TIER  OWNER      NOTE
web          2        1     squad-web
├─ index     2
│  └─ disk                             unknown: neither declared nor registered
└─ search    2
   ├─ index  2                         see above
   └─ web    2                         cycle: it stands above itself";
        assert_eq!(tree(&body), expected);
    }

    #[test]
    fn a_lone_root_says_what_to_do() {
        let mut body = Dependencies { reverse: true, services: vec![place(0, "web")], ..Default::default() };
        assert!(tree(&body).ends_with("no service declares that it depends on web"), "{}", tree(&body));
        body.reverse = false;
        assert!(tree(&body).ends_with("zonebeat declare web --dependency SERVICE"), "{}", tree(&body));
    }
}
