//! A host has one owner: who comes later is refused before anything is written, and of two at once one wins.

use std::time::Duration;

use e2e::{Outcome, Person, Stage, eventually};

/// A host of somebody else is refused, and nothing was written.
#[track_caller]
fn is_refused(person: &Person, refused: Outcome, host: &str, before: &[String]) {
    refused
        .fails(1, &format!("somebody else answers at {host}"))
        .says("--take");
    assert_eq!(person.belongings(), before, "nothing was written");
}

#[test]
fn a_host_of_another_namespace_is_refused_before_anything_is_written() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    let host = stage.host("shop");
    alice.deploys_web("web", &[("TITLE", "Alice")]);
    bob.deploys_web("web", &[("TITLE", "Bob")]);
    alice.expose_app(&["web", "--host", &host]).ok();
    let before = bob.belongings();
    is_refused(
        &bob,
        bob.expose_app(&["web", "--host", &host]),
        &host,
        &before,
    );
    is_refused(
        &bob,
        bob.expose_app(&["web", "--host", &host, "--for", "1h"]),
        &host,
        &before,
    );
    is_refused(
        &bob,
        bob.deploy_app(&[
            "new",
            "--image",
            "web:1",
            "--port",
            "8000",
            &format!("--expose={host}"),
        ]),
        &host,
        &before,
    );
    let answer = bob.fetch(&format!("https://{host}"));
    assert!(
        answer.body.contains("<title>Alice</title>"),
        "{}",
        answer.body
    );
}

#[test]
fn a_host_whose_app_is_broken_is_taken_too() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    let host = stage.host("shop");
    alice.deploys_web("web", &[("STATUS", "503")]);
    bob.deploys_web("web", &[("TITLE", "Bob")]);
    alice.expose_app(&["web", "--host", &host]).ok();
    let before = bob.belongings();
    is_refused(
        &bob,
        bob.expose_app(&["web", "--host", &host]),
        &host,
        &before,
    );
}

#[test]
fn of_two_at_once_exactly_one_wins() {
    race("the shop of Alice", "a page of Bob");
}

#[test]
fn of_two_at_once_exactly_one_wins_though_their_pages_differ_in_a_word() {
    race(
        "Our shop, open from nine to five",
        "Our shop, open from nine to six",
    );
}

/// Six rounds, each at a host of its own: who wins has the host, who does not has nothing left.
fn race(alices: &str, bobs: &str) {
    let mut stage = Stage::new();
    let people = [stage.person("alice"), stage.person("bob")];
    let [alice, bob] = &people;
    alice.deploys_web("web", &[("TITLE", "Shop"), ("GREETING", alices)]);
    bob.deploys_web("web", &[("TITLE", "Shop"), ("GREETING", bobs)]);
    for round in 0..6 {
        let host = stage.host(&format!("shop-{round}"));
        let before = [alice.belongings(), bob.belongings()];
        let outcomes = std::thread::scope(|scope| {
            people
                .each_ref()
                .map(|person| scope.spawn(|| person.expose_app(&["web", "--host", &host])))
                .map(|racer| racer.join().unwrap_or_else(|_| panic!("a racer fell")))
        });
        let winners: Vec<usize> = (0..2).filter(|who| outcomes[*who].code == 0).collect();
        let [winner] = winners[..] else {
            panic!("round {round} was won by {winners:?}: {outcomes:?}");
        };
        let loser = 1 - winner;
        outcomes[loser]
            .clone()
            .fails(1, &format!("somebody else answers at {host}"));
        assert_eq!(
            people[loser].belongings(),
            before[loser],
            "round {round}: the loser has nothing left"
        );
        eventually("the winner has the host", Duration::from_secs(5), || {
            let page = alice.fetch(&format!("https://{host}")).body;
            page.contains(&format!("<p>{}</p>", [alices, bobs][winner]))
        });
        people[winner].expose_app(&["remove", "web"]).ok();
    }
}
