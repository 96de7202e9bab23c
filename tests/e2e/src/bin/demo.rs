//! `make demo`: the main job on the real node, as the users who do it, with every command and what it prints.
//!
//! It fails loudly if anything does not happen as it is told.
#![expect(clippy::print_stdout, reason = "a demonstration is to be read")]

use std::time::{Duration, Instant};

use e2e::{Outcome, Person, Stage, eventually};

#[expect(clippy::too_many_lines, reason = "one story, step by step")]
fn main() {
    let mut stage = Stage::named();
    let (alice, bob, eve) = (
        stage.resident("alice"),
        stage.resident("bob"),
        stage.resident("eve"),
    );
    alice.share_db(&["revoke", "--all", "--quiet"]);
    alice.deploy_app(&["delete", "shop", "--quiet"]);

    say("Alice deploys a PostgreSQL in her namespace, user-alice.");
    type_kubectl(
        &alice,
        &["apply", "-f", "tests/e2e/manifests/postgres.yaml"],
    )
    .ok();
    alice.postgres_is_ready();
    type_kubectl(&alice, &["get", "pods"]).ok();

    say("Bob cannot reach it.");
    type_kubectl(
        &bob,
        &[
            "proxy-db",
            "user-alice/pg",
            "--",
            "psql",
            "-c",
            "select 'hello Bob'",
        ],
    )
    .fails(1, "is yours or shared with you");

    say("Alice shares it with him for two minutes.");
    let start = Instant::now();
    type_kubectl(&alice, &["share-db", "pg", "--with", "bob", "--for", "2m"]).ok();

    say("Now he has a psql, and nothing else.");
    let hello = type_kubectl(
        &bob,
        &[
            "proxy-db",
            "user-alice/pg",
            "--",
            "psql",
            "-c",
            "select 'hello Bob' as greeting, current_user",
        ],
    )
    .ok();
    assert!(
        hello.stdout.contains("hello Bob"),
        "Bob's select did not answer"
    );
    type_kubectl(&bob, &["get", "secrets", "-n", "user-alice"]).fails(1, "forbidden");

    say("Eve stays outside.");
    type_kubectl(
        &eve,
        &["proxy-db", "user-alice/pg", "--", "psql", "-c", "select 1"],
    )
    .fails(1, "is yours or shared with you");

    say("Alice sees what she shares, and whether it is so.");
    let list = type_kubectl(&alice, &["share-db", "list"]).ok();
    assert!(
        list.stdout.contains("bob") && list.stdout.contains("yes"),
        "the list does not show the share"
    );

    say("Meanwhile Alice deploys an app that uses the database, at an address for everybody.");
    let deployed = type_kubectl(
        &alice,
        &[
            "deploy-app",
            "shop",
            "--image",
            "web:1",
            "--port",
            "8000",
            "--env",
            "TITLE=Shop",
            "--use",
            "pg",
            "--expose",
            "shop-alice.kub.example.test",
        ],
    )
    .ok();
    let page = bob.fetch(deployed.stdout.trim());
    assert!(
        page.status == 200 && page.body.contains("Shop"),
        "the address does not answer with the app"
    );

    say("Bob would like that address too.");
    type_kubectl(
        &bob,
        &[
            "deploy-app",
            "mine",
            "--image",
            "web:1",
            "--port",
            "8000",
            "--expose",
            "shop-alice.kub.example.test",
        ],
    )
    .fails(1, "is already in use");

    say("The next version has a mistake. Alice is told which.");
    type_kubectl(
        &alice,
        &["deploy-app", "shop", "--env", "REQUIRE=PAYMENT_KEY"],
    )
    .fails(1, "exit code 1");
    type_kubectl(&alice, &["expose-app", "list"]).ok();
    type_kubectl(&alice, &["deploy-app", "delete", "shop"]).ok();

    say("Nobody does anything now. After two minutes the cluster itself ends the share ...");
    eventually(
        "the share ended by itself",
        Duration::from_secs(125).saturating_sub(start.elapsed()),
        || alice.share_db(&["list"]).stdout.is_empty(),
    );
    assert!(
        start.elapsed() > Duration::from_secs(118),
        "the share ended too early"
    );
    println!(
        "... {} seconds after it was made.",
        start.elapsed().as_secs()
    );
    type_kubectl(&alice, &["share-db", "list"]).ok();
    type_kubectl(
        &bob,
        &["proxy-db", "user-alice/pg", "--", "psql", "-c", "select 1"],
    )
    .fails(1, "is yours or shared with you");
    assert!(
        alice.ours("jobs,roles,rolebindings,configmaps").is_empty(),
        "something of the share is left"
    );

    alice
        .kubectl(&["delete", "-f", "tests/e2e/manifests/postgres.yaml"])
        .ok();
    say("Everything happened as told.");
}

fn say(text: &str) {
    println!("\n# {text}");
}

/// Shows the command as it is typed, runs it through kubectl, and shows what it printed.
fn type_kubectl(person: &Person, args: &[&str]) -> Outcome {
    let quoted: Vec<String> = args
        .iter()
        .map(|arg| {
            if arg.contains(' ') {
                format!("\"{arg}\"")
            } else {
                (*arg).to_owned()
            }
        })
        .collect();
    let who = person.name.split('-').next().unwrap_or_default();
    println!("{who}$ kubectl {}", quoted.join(" "));
    // These look up the address: on a machine that knows the node's names and certificates.
    let outcome = match args {
        ["deploy-app", rest @ ..] => person.deploy_app(rest),
        ["expose-app", rest @ ..] => person.expose_app(rest),
        _ => person.kubectl(args),
    };
    print!("{}{}", outcome.stdout, outcome.stderr);
    outcome
}
