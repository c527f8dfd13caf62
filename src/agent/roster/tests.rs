//! Rosters in time that the test winds, whose checks say what the test says.

use super::super::check::Outcome;
use super::super::services::parse;
use super::*;

const TWO: &str = "id = \"a1\"\nport = 80\n[[check]]\nprobe = \"ttl\"\nfall = 2\n[[check]]\nprobe = \"ttl\"\n";

fn planned(text: &str) -> Vec<Planned> {
    parse("search.toml", "search", "host", text).expect("a service")
}

/// A roster with one instance, and nobody who listens to its real checks.
fn roster(text: &str) -> Roster {
    let (mut roster, _) = Roster::new();
    roster.plan(planned(text));
    roster
}

fn say(roster: &mut Roster, generation: u64, check: usize, outcome: Outcome) -> bool {
    let key = Key { service: "search".into(), id: "a1".into() };
    roster.take(Seen { subject: Subject { key, port: 80, check, generation }, outcome })
}

/// What is published: nothing yet, or the reason why `a1` is out.
fn out(roster: &mut Roster) -> Option<Option<String>> {
    let members = roster.members(Instant::now())?;
    assert_eq!(members.len(), 1);
    Some(members[0].out().map(str::to_owned))
}

#[tokio::test(start_paused = true)]
async fn nothing_is_published_before_every_check_has_spoken() {
    let mut roster = roster(TWO);
    assert!(say(&mut roster, 1, 0, Ok(String::new())));
    assert_eq!(out(&mut roster), None);
    assert!(say(&mut roster, 1, 1, Ok(String::new())));
    assert_eq!(out(&mut roster), Some(None));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_says_nothing_is_not_waited_for_for_ever() {
    let mut roster = roster(TWO);
    let settles = roster.next_settling(Instant::now()).expect("it is not settled");
    assert_eq!(settles, Instant::now() + SETTLE_TIME);
    tokio::time::sleep(SETTLE_TIME).await;
    assert_eq!(out(&mut roster), Some(Some("no result of the check ttl yet".into())));
    say(&mut roster, 1, 0, Err("full".into()));
    assert_eq!(out(&mut roster), Some(Some("full".into())), "a reason replaces the want of one");
}

#[tokio::test(start_paused = true)]
async fn the_reason_stays_while_the_same_check_fails() {
    let mut roster = roster(TWO);
    say(&mut roster, 1, 1, Ok(String::new()));
    say(&mut roster, 1, 0, Err("full".into()));
    assert_eq!(out(&mut roster), Some(Some("full".into())));
    assert!(!say(&mut roster, 1, 0, Err("still full".into())), "no verdict has turned");
    assert_eq!(out(&mut roster), Some(Some("full".into())));
    say(&mut roster, 1, 1, Err("slow".into()));
    say(&mut roster, 1, 0, Ok(String::new()));
    assert_eq!(out(&mut roster), Some(Some("slow".into())), "another check is to blame now");
    say(&mut roster, 1, 1, Ok(String::new()));
    assert_eq!(out(&mut roster), Some(None));
}

#[tokio::test(start_paused = true)]
async fn a_changed_check_changes_nothing_until_it_has_spoken() {
    let mut roster = roster(TWO);
    say(&mut roster, 1, 0, Ok(String::new()));
    say(&mut roster, 1, 1, Ok(String::new()));
    assert_eq!(out(&mut roster), Some(None));
    roster.plan(planned(&TWO.replace("fall = 2", "fall = 3").replace("port = 80", "port = 81")));
    let members = roster.members(Instant::now()).expect("a set");
    assert_eq!(members[0].registration.port, 80, "the new port has not been checked yet");
    assert!(!say(&mut roster, 1, 0, Err("old".into())), "the old checks are no longer heard");
    say(&mut roster, 2, 0, Ok(String::new()));
    say(&mut roster, 2, 1, Ok(String::new()));
    assert_eq!(roster.members(Instant::now()).expect("a set")[0].registration.port, 81);
    roster.plan(planned(&TWO.replace("port = 80", "port = 81\nsite = \"lon\"").replace("fall = 2", "fall = 3")));
    let members = roster.members(Instant::now()).expect("a set");
    assert_eq!(members[0].registration.site.as_deref(), Some("lon"), "the checks are the same and go on");
}

#[tokio::test(start_paused = true)]
async fn an_instance_may_wait_for_its_first_pass() {
    let mut roster = roster(TWO);
    roster.wait_for_passing();
    say(&mut roster, 1, 0, Err("starting".into()));
    assert!(roster.members(Instant::now()).expect("a set").is_empty());
    say(&mut roster, 1, 0, Ok(String::new()));
    say(&mut roster, 1, 1, Ok(String::new()));
    assert_eq!(out(&mut roster), Some(None));
    say(&mut roster, 1, 1, Err("ill".into()));
    assert_eq!(out(&mut roster), Some(Some("ill".into())), "then it stays, and is out");
}
