//! A tunnel outlives the login with which it was opened.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use e2e::{Person, Stage, eventually, rounds};
use test_cluster::{Login, Realm};

use crate::logins::kubeconfig::with_user;
use crate::logins::token::{self, LIFETIME};
use crate::logins::{grant, report};

/// Between two connections.
const INTERVAL: Duration = Duration::from_secs(5);

#[test]
fn every_connection_opens_whatever_the_login() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    alice.deploys_postgres();
    let namespace = alice.namespace();
    let database = format!("{namespace}/pg");
    let onyxia = stage.person_by("onyxia", Login::Onyxia(Realm::SingleUse));
    let kubelogin = stage.person_by("kubelogin", Login::Kubelogin(Realm::Short));
    let account = stage.person_by("account", Login::ServiceAccount);
    let mut file = stage.person_by("file", Login::Onyxia(Realm::Short));
    for person in [&onyxia, &kubelogin, &file] {
        grant(&stage, &format!("--user=oidc-{}", person.name), &namespace);
    }
    let subject = format!("--serviceaccount={}:{}", account.namespace(), account.name);
    grant(&stage, &subject, &namespace);

    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    let user = format!("tokenFile: {}", token_file.display());
    let kubeconfig = folder.path().join("config");
    fs::write(&kubeconfig, with_user(&file, &namespace, &user)).unwrap();
    file.kubeconfig = kubeconfig;

    let (stage, database) = (&stage, database.as_str());
    thread::scope(|scope| {
        scope.spawn(|| carries(&onyxia, database, || {}));
        scope.spawn(|| carries(&kubelogin, database, || {}));
        scope.spawn(|| {
            let (first, mut last) = (account_token(&account), Instant::now());
            carries(&account, database, || {
                if last.elapsed() >= LIFETIME {
                    last = Instant::now();
                    let renewed = stage.cluster.renew_token(&account.name, LIFETIME * 20);
                    renewed.unwrap_or_else(|error| panic!("{error}"));
                }
            });
            let old = ["get", "pods", "--token", &first];
            // It is not in the API server's memory any more either.
            eventually("the first token has ended", Duration::from_mins(1), || {
                account.kubectl(&old).code != 0
            });
            assert_eq!(account.sql(database, "select 1").ok().stdout, "1\n");
        });
        scope.spawn(|| {
            let issuer = stage.cluster.issuer().unwrap();
            carries(&file, database, || {
                let old = fs::read_to_string(&token_file);
                if old.is_ok_and(|token| token::left(&token) > LIFETIME / 3) {
                    return;
                }
                let tokens = issuer.log_in(Realm::Short, &file.name).unwrap();
                let next = token_file.with_file_name("next");
                fs::write(&next, tokens.id_token).unwrap();
                fs::rename(&next, &token_file).unwrap();
            });
        });
    });
}

/// Opens a connection every 5 s until the first token has ended; until 2 min past the end of the second in the long form.
/// Before each of them somebody else may renew the login.
fn carries(person: &Person, database: &str, mut renew: impl FnMut()) {
    renew();
    let mut proxy = person.proxy(database);
    let after = Duration::from_secs(if rounds(1, 2) == 1 { 10 } else { 120 });
    let until = LIFETIME * u32::try_from(rounds(1, 2)).unwrap() + after;
    let started = Instant::now();
    let mut opened = 0;
    loop {
        renew();
        let outcome = proxy.sql("select 1");
        opened += 1;
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (0, "1\n"),
            "{}: connection {opened}, after {:?}: {}{}",
            person.name,
            started.elapsed(),
            outcome.stderr,
            proxy.said()
        );
        if started.elapsed() > until {
            break;
        }
        eventually("it is time for the next connection", INTERVAL * 2, || {
            started.elapsed() > INTERVAL * opened
        });
    }
    report(&format!(
        "{}: {opened} connections in {:?}, none failed",
        person.name,
        started.elapsed()
    ));
}

fn account_token(person: &Person) -> String {
    let text = fs::read_to_string(&person.kubeconfig).unwrap();
    let path = text.split('"').find(|part| Path::new(part).is_file());
    fs::read_to_string(path.expect("a token file")).unwrap()
}

#[test]
fn a_token_that_nothing_renews() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    alice.deploys_postgres();
    let namespace = alice.namespace();
    let database = format!("{namespace}/pg");
    let mut bob = stage.person_by("bob", Login::Onyxia(Realm::Short));
    grant(&stage, &format!("--user=oidc-{}", bob.name), &namespace);
    let issuer = stage.cluster.issuer().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("config");
    let empty = with_user(&bob, &namespace, "token: TOKEN");
    let logs_in = || {
        let token = issuer.log_in(Realm::Short, &bob.name).unwrap().id_token;
        fs::write(&kubeconfig, empty.replace("TOKEN", &token)).unwrap();
        token
    };
    let token = logs_in();
    bob.kubeconfig.clone_from(&kubeconfig);

    let mut proxy = bob.proxy(&database);
    proxy.says("Your login ends at ");
    assert_eq!(proxy.sql("select 1").ok().stdout, "1\n");
    proxy.says("log in again");
    token::wait_until_left(&token, Duration::ZERO);
    // The API server may take it for 10 s more.
    eventually(
        "no connection opens any more",
        Duration::from_mins(1),
        || proxy.sql("select 1").code != 0,
    );
    proxy.says("your login has ended");
    let next = logs_in();
    assert_eq!(
        proxy.sql("select 1").ok().stdout,
        "1\n",
        "it goes on with the next login"
    );
    assert!(
        !token::left(&next).is_zero(),
        "that was no proof: the next token had ended too"
    );
}
