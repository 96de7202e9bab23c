//! A host has one owner: who comes later is refused before anything is written, and of two at once one wins.

use std::time::Duration;

use e2e::{Outcome, Person, Stage, eventually, rounds};

/// A host of somebody else is refused, and nothing was written.
#[track_caller]
fn is_refused(person: &Person, refused: Outcome, host: &str, before: &[String]) {
    refused
        .fails(1, &format!("host {host} is already in use"))
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

/// Some rounds, each at a host of its own: who wins has the host, who does not has nothing left.
fn race(alices: &str, bobs: &str) {
    let mut stage = Stage::new();
    let people = [stage.person("alice"), stage.person("bob")];
    let greetings = [alices, bobs];
    for (person, greeting) in people.iter().zip(greetings) {
        person.deploys_web("web", &[("TITLE", "Shop"), ("GREETING", greeting)]);
    }
    for round in 0..rounds(3, 20) {
        let host = stage.host(&format!("shop-{round}"));
        let before = people.each_ref().map(Person::belongings);
        let [winner, loser] = of_two(&people, round, &host, greetings, |person, _| {
            person.expose_app(&["web", "--host", &host])
        });
        assert_eq!(
            people[loser].belongings(),
            before[loser],
            "round {round}: the loser has nothing left"
        );
        people[winner].expose_app(&["remove", "web"]).ok();
    }
}

#[test]
fn of_two_who_deploy_at_once_exactly_one_gets_the_host() {
    let mut stage = Stage::new();
    let people = [stage.person("alice"), stage.person("bob")];
    let greetings = ["the shop of Alice", "a page of Bob"];
    for round in 0..rounds(1, 8) {
        let host = stage.host(&format!("shop-{round}"));
        let expose = format!("--expose={host}");
        let [_, loser] = of_two(&people, round, &host, greetings, |person, greeting| {
            let greeting = format!("GREETING={greeting}");
            person.deploy_app(&[
                "web", "--image", "web:1", "--port", "8000", "--env", &greeting, &expose,
            ])
        });
        assert_eq!(
            people[loser].ours("deployments,services,ingresses"),
            ["deployment.apps/web", "service/web"],
            "round {round}: the loser's app runs, without an address"
        );
        for person in &people {
            person.deploy_app(&["delete", "web"]).ok();
        }
    }
}

/// Both do it at once: who wins and who loses. The winner has the host.
fn of_two(
    people: &[Person; 2],
    round: usize,
    host: &str,
    greetings: [&str; 2],
    does: impl Fn(&Person, &str) -> Outcome + Sync,
) -> [usize; 2] {
    let does = &does;
    let outcomes = std::thread::scope(|scope| {
        [0, 1]
            .map(|who| scope.spawn(move || does(&people[who], greetings[who])))
            .map(|racer| racer.join().unwrap_or_else(|_| panic!("a racer fell")))
    });
    let winners: Vec<usize> = (0..2).filter(|who| outcomes[*who].code == 0).collect();
    let [winner] = winners[..] else {
        panic!("round {round} was won by {winners:?}: {outcomes:?}");
    };
    let loser = 1 - winner;
    outcomes[loser]
        .clone()
        .fails(1, &format!("host {host} is already in use"));
    eventually("the winner has the host", Duration::from_secs(5), || {
        let page = people[loser].fetch(&format!("https://{host}")).body;
        page.contains(&format!("<p>{}</p>", greetings[winner]))
    });
    [winner, loser]
}
