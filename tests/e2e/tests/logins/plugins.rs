//! A credential plugin is started once for a command, and once more for each end of its token.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use e2e::{Outcome, Person, Stage, eventually, free_port, run};

use crate::logins::plugin::{ByPlugin, Special};
use crate::logins::token::LIFETIME;

/// Times of a script and of the issuer's are in whole seconds, and a token may be replaced a second before its end.
const ROUNDED: f64 = 3.0;

/// Between two connections, or several at once.
const INTERVAL: Duration = Duration::from_secs(5);

fn with_postgres(stage: &mut Stage) -> Person {
    let alice = stage.person("alice");
    alice.deploys_postgres();
    alice
}

/// psql through a tunnel of its own.
fn psql(person: &Person) -> Outcome {
    person.sql("pg", "select 1")
}

#[test]
fn once_for_a_command() {
    let mut stage = Stage::new();
    let alice = with_postgres(&mut stage);
    let carol = ByPlugin::new(&mut stage, "carol", &alice.namespace(), &Special::default());
    let commands: [(&str, &dyn Fn() -> Outcome); 4] = [
        ("share-db list", &|| carol.person.share_db(&["list"])),
        ("proxy-db pg -- psql", &|| psql(&carol.person)),
        ("expose-app list", &|| carol.person.expose_app(&["list"])),
        ("deploy-app list", &|| carol.person.deploy_app(&["list"])),
    ];
    for (title, command) in commands {
        command().ok();
        assert_eq!(carol.starts().len(), 1, "{title}");
    }
}

#[test]
fn once_for_each_end_of_a_token() {
    let mut stage = Stage::new();
    let alice = with_postgres(&mut stage);
    let silent = Special {
        tells_end: false,
        ..Special::default()
    };
    let namespace = alice.namespace();
    let people = [
        ByPlugin::new(&mut stage, "carol", &namespace, &Special::default()),
        ByPlugin::new(&mut stage, "silent", &namespace, &silent),
    ];
    thread::scope(|scope| {
        for one in &people {
            scope.spawn(|| twice_ended(one));
        }
    });
}

/// Five connections at once every 5 s, until the token has ended twice.
fn twice_ended(one: &ByPlugin) {
    let mut proxy = one.person.proxy("pg");
    let mut starts = one.starts();
    while starts.len() < 3 {
        let last = Instant::now();
        let commands = std::iter::repeat_with(|| proxy.psql("select 1")).take(5);
        let outcomes: Vec<Outcome> = thread::scope(|scope| {
            let start = |mut psql: Command| scope.spawn(move || run(&mut psql));
            let running: Vec<_> = commands.map(start).collect();
            running.into_iter().map(|one| one.join().unwrap()).collect()
        });
        for outcome in outcomes {
            let said = proxy.said().to_owned();
            assert_eq!(
                outcome.code, 0,
                "{}: {}{said}",
                one.person.name, outcome.stderr
            );
        }
        starts.extend(one.starts());
        eventually("it is time for the next connections", INTERVAL * 2, || {
            last.elapsed() > INTERVAL
        });
    }
    for pair in starts.windows(2) {
        assert!(
            pair[1] - pair[0] > LIFETIME.as_secs_f64() - ROUNDED,
            "{}: started before its token had ended: {starts:?}",
            one.person.name
        );
    }
}

/// It may open a browser: nobody wants that at night because of a tunnel in another window.
#[test]
fn not_for_a_tunnel_that_nobody_uses() {
    let mut stage = Stage::new();
    let alice = with_postgres(&mut stage);
    let carol = ByPlugin::new(&mut stage, "carol", &alice.namespace(), &Special::default());
    let proxy = carol.person.proxy("pg");
    let started = Instant::now();
    assert_eq!(carol.starts().len(), 1);
    // What proxy-db does from time to time, it does every 20 s.
    let idle = LIFETIME + Duration::from_secs(22);
    eventually("the token has ended for a while", idle * 2, || {
        started.elapsed() > idle
    });
    assert_eq!(carol.starts().len(), 0, "nothing was connected");
    assert_eq!(proxy.sql("select 1").ok().stdout, "1\n");
    assert_eq!(carol.starts().len(), 1);
}

#[test]
fn as_long_as_a_person_takes_to_log_in() {
    let mut stage = Stage::new();
    let alice = with_postgres(&mut stage);
    let slow = Special {
        first: "sleep 35",
        ..Special::default()
    };
    let people =
        ["carol", "dave"].map(|name| ByPlugin::new(&mut stage, name, &alice.namespace(), &slow));
    thread::scope(|scope| {
        scope.spawn(|| people[0].person.share_db(&["list"]).ok());
        scope.spawn(|| psql(&people[1].person).ok());
    });
    for one in &people {
        assert_eq!(one.starts().len(), 1, "{}", one.person.name);
    }
}

#[test]
fn an_interrupt_ends_both() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    let endless = Special {
        first: "echo $$ > FOLDER/new && mv FOLDER/new FOLDER/pid && exec sleep 600",
        ..Special::default()
    };
    let carol = ByPlugin::new(&mut stage, "carol", &alice.namespace(), &endless);
    let port = free_port().to_string();
    for (plugin, args) in [
        ("share-db", ["list"].as_slice()),
        ("proxy-db", &["pg", "--port", &port, "--", "psql"]),
    ] {
        let mut child = carol.person.plugin(plugin).args(args).spawn().unwrap();
        let pid = plugin_runs(&carol);
        run(Command::new("kill").args(["-INT", &child.id().to_string()])).ok();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{plugin}");
        plugin_ends(&pid);
        // At a terminal both get it.
        let line = format!(
            "exec kubectl-{} {}",
            plugin.replace('-', "_"),
            args.join(" ")
        );
        let mut terminal = carol.person.at_terminal(&line);
        let pid = plugin_runs(&carol);
        terminal.presses("\x03");
        assert_eq!(terminal.end(), 130, "{plugin}: {}", terminal.shown());
        assert!(!terminal.shown().contains("error"), "{}", terminal.shown());
        plugin_ends(&pid);
    }
    assert_eq!(carol.starts().len(), 4);
}

/// The process of the plugin, once it runs.
fn plugin_runs(one: &ByPlugin) -> String {
    let path = one.file("pid");
    eventually("the plugin runs", Duration::from_mins(1), || path.exists());
    let pid = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    pid.trim().to_owned()
}

fn plugin_ends(pid: &str) {
    let process = format!("/proc/{pid}");
    eventually("the plugin has ended", Duration::from_secs(30), || {
        !std::path::Path::new(&process).exists()
    });
}

#[test]
fn one_that_is_not_there_says_how_to_install_it() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    let absent = Special {
        fields: "interactiveMode: Never\ninstallHint: \"ask the platform team\\nfor sign-in 2\"",
        ..Special::default()
    };
    let carol = ByPlugin::new(&mut stage, "carol", &alice.namespace(), &absent);
    std::fs::remove_file(carol.file("sign-in")).unwrap();
    for outcome in [
        carol.person.share_db(&["list"]),
        carol.person.proxy_db(&["pg"]),
    ] {
        let outcome = outcome.fails(1, "error: cannot get credentials for the cluster");
        let outcome = outcome.says("sign-in` is not on this machine");
        outcome.says("ask the platform team").says("for sign-in 2");
    }
}
