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

/// What an agent leaves behind that had `a1` as this, and a report of it.
fn legacy(out: Option<&str>, blamed: Option<&str>) -> Legacy {
    let registration = Registration { out: out.map(str::to_owned), ..planned(TWO)[0].registration.clone() };
    let member = Member { service: "search".into(), id: "a1".into(), registration };
    let key = member.key();
    let one = Published { member, blamed: blamed.map(str::to_owned) };
    let report = Report { passing: true, note: String::new(), at: Instant::now() };
    Legacy { epoch: None, published: [(key.clone(), one)].into(), reports: [(key, report)].into() }
}

const TCP: &str = "id = \"a1\"\nport = 80\n[[check]]\nprobe = \"tcp\"\n";

#[tokio::test(start_paused = true)]
async fn what_another_agent_published_stays_until_the_checks_have_spoken() {
    let (mut roster, _) = Roster::new();
    roster.inherit(legacy(None, None));
    roster.plan(planned(TCP));
    roster.forget();
    assert_eq!(out(&mut roster), Some(None), "it is there at once");
    tokio::time::sleep(SETTLE_TIME * 2).await;
    assert_eq!(out(&mut roster), Some(None), "and for as long as it takes");
    for _ in 0..2 {
        say(&mut roster, 1, 0, Err("refused".into()));
        assert_eq!(out(&mut roster), Some(None), "a failure is not yet a verdict");
    }
    say(&mut roster, 1, 0, Err("refused".into()));
    assert_eq!(out(&mut roster), Some(Some("refused, 3 times".into())));
}

#[tokio::test(start_paused = true)]
async fn the_reason_of_another_agent_stays_while_the_same_check_fails() {
    let (mut roster, _) = Roster::new();
    roster.inherit(legacy(Some("refused, 3 times"), Some("tcp")));
    roster.plan(planned(TCP));
    roster.forget();
    assert_eq!(out(&mut roster), Some(Some("refused, 3 times".into())));
    say(&mut roster, 1, 0, Err("refused".into()));
    assert_eq!(out(&mut roster), Some(Some("refused, 3 times".into())));
    say(&mut roster, 1, 0, Ok(String::new()));
    assert_eq!(out(&mut roster), Some(None));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_planned_goes_when_all_plans_are_known() {
    let (mut roster, _) = Roster::new();
    roster.inherit(legacy(None, None));
    roster.plan(Vec::new());
    assert_eq!(out(&mut roster), Some(None), "its file may be broken");
    assert_eq!(roster.published().count(), 1, "the next agent goes on from it, too");
    roster.forget();
    assert!(roster.members(Instant::now()).expect("a set").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_report_outlives_the_agent_and_a_changed_check_but_not_its_time() {
    let (mut roster, mut seen) = Roster::new();
    roster.inherit(legacy(None, None));
    let text = "id = \"a1\"\nport = 80\n[[check]]\nprobe = \"ttl\"\nttl = \"20s\"\n";
    roster.plan(planned(text));
    let first = seen.recv().await.expect("an outcome");
    assert_eq!(first.outcome, Ok("reported itself well".into()));
    tokio::time::sleep(Duration::from_secs(15)).await;
    roster.plan(planned(&text.replace("20s", "25s")));
    let second = seen.recv().await.expect("an outcome");
    assert!(second.outcome.is_ok() && second.subject.generation == 2, "{second:?}");
    let began = Instant::now();
    let third = seen.recv().await.expect("an outcome");
    assert!(third.outcome.is_err() && began.elapsed().as_secs() == 10, "{third:?} after {:?}", began.elapsed());
    assert_eq!(roster.reports().count(), 1);
}
