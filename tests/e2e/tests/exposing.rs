//! An app gets an address that answers with it; again changes nothing; `remove` leaves the namespace as it was.

use std::time::Duration;

use e2e::{Person, Stage, eventually};

/// Exposes and proves: the URL alone is printed, and it answers with this title.
#[track_caller]
fn exposes(person: &Person, args: &[&str], title: &str) -> String {
    let exposed = person.expose_app(args).ok();
    let url = exposed.stdout.trim_end().to_owned();
    assert_eq!(exposed.stdout, format!("{url}\n"), "the URL alone");
    assert!(url.starts_with("https://"), "{url}");
    let answer = person.fetch(&url);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(
        answer.body.contains(&format!("<title>{title}</title>")),
        "{}",
        answer.body
    );
    url
}

#[test]
fn apps_of_every_kind_get_a_url_and_leave_nothing() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    alice.has_a_neighbour(&stage.host("ide"));
    alice.deploys_web("web", &[("TITLE", "Deployed")]);
    alice.applies(STATEFUL);
    alice.applies(POD);
    alice
        .kubectl(&["rollout", "status", "statefulset/db-ui", "--timeout=10m"])
        .ok();
    alice
        .kubectl(&[
            "wait",
            "pod/alone",
            "--for=condition=Ready",
            "--timeout=10m",
        ])
        .ok();
    let before = alice.belongings();

    for (app, title, made) in [
        ("web", "Deployed", "service/expose-web"),
        ("deployment/web", "Deployed", "service/expose-web"),
        ("deploy/web", "Deployed", "service/expose-web"),
        ("db-ui", "Stateful", "service/expose-db-ui"),
        ("statefulset/db-ui", "Stateful", "service/expose-db-ui"),
        ("alone", "Alone", "service/expose-alone"),
        ("pod/alone", "Alone", "service/expose-alone"),
    ] {
        let url = exposes(&alice, &[app], title);
        let name = made.trim_start_matches("service/expose-");
        assert_eq!(
            url,
            format!("https://{name}-{}", stage.host("alice")),
            "one label below the neighbours' domain"
        );
        let mut ours = alice.ours("ingresses,services,networkpolicies,httproutes,jobs,secrets");
        ours.sort();
        assert_eq!(
            ours,
            [
                format!("ingress.networking.k8s.io/expose-{name}"),
                made.to_owned()
            ]
        );
        alice.expose_app(&["remove", name]).ok();
        assert_eq!(alice.belongings(), before, "as before {app}");
        is_closed(&alice, &url);
    }
}

/// Nobody answers there any more, as soon as the controller has seen it.
#[track_caller]
fn is_closed(person: &Person, url: &str) {
    eventually("nobody answers any more", Duration::from_secs(5), || {
        person.fetch(url).status == 404
    });
}

#[test]
fn the_service_that_there_is_is_used() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    let host = stage.host("shop");
    alice.deploys_web("web", &[("TITLE", "Shop")]);
    alice
        .kubectl(&[
            "expose",
            "deployment",
            "web",
            "--port=80",
            "--target-port=8000",
        ])
        .ok();
    let before = alice.belongings();
    for app in ["web", "svc/web", "service/web", "deployment/web"] {
        let url = exposes(&alice, &[app, "--host", &host], "Shop");
        assert_eq!(
            alice.ours("ingresses,services"),
            ["ingress.networking.k8s.io/expose-web"],
            "no Service beside the one that there is"
        );
        alice.expose_app(&["remove", "web"]).ok();
        assert_eq!(alice.belongings(), before);
        is_closed(&alice, &url);
    }
}

#[test]
fn again_changes_nothing_and_another_host_moves_it() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    let (one, two) = (stage.host("one"), stage.host("two"));
    alice.deploys_web("web", &[("TITLE", "Shop")]);
    exposes(&alice, &["web", "--host", &one], "Shop");
    let made = alice.belongings();
    let again = alice.expose_app(&["web"]).ok();
    assert_eq!(
        again.stdout,
        format!("https://{one}\n"),
        "the host stays without being named"
    );
    for object in ["service/expose-web", "ingress.networking.k8s.io/expose-web"] {
        assert!(
            again.stderr.contains(&format!("{object} unchanged")),
            "{}",
            again.stderr
        );
    }
    assert_eq!(alice.belongings(), made);

    let moved = alice.expose_app(&["web", "--host", &two]).ok();
    assert_eq!(moved.stdout, format!("https://{two}\n"));
    moved.says(&format!("https://{one} is no longer exposed."));
    assert_eq!(alice.fetch(&format!("https://{two}")).status, 200);
    is_closed(&alice, &format!("https://{one}"));
    assert_eq!(alice.ours("ingresses").len(), 1);
}

/// The controller may go on with what was there before: that proves nothing.
#[test]
fn a_change_that_does_not_work_leaves_all_as_it_was() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    let host = stage.host("shop");
    let url = format!("https://{host}");
    alice.deploys_web("web", &[("TITLE", "Shop")]);
    exposes(&alice, &["web", "--host", &host], "Shop");
    let before = alice.belongings();
    let as_it_was = format!("restored the previous address: {url}");
    for change in [
        &["--class", "nope"][..],
        &[
            "--parent",
            "nowhere/gateway",
            "--host",
            "shop.gw.example.test",
        ],
    ] {
        let failed = alice.expose_app(&[&["web"], change].concat());
        assert_eq!(failed.code, 1, "{}", failed.stderr);
        failed.says(&as_it_was);
        assert_eq!(alice.belongings(), before, "{change:?}");
        eventually("it answers as before", Duration::from_secs(5), || {
            alice.fetch(&url).status == 200
        });
    }
}

#[test]
fn an_app_that_is_starting_is_waited_for() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    alice.starts_web("web", &[("TITLE", "Shop"), ("READY_AFTER", "3")]);
    exposes(&alice, &["web", "--host", &stage.host("shop")], "Shop");
}

#[test]
fn what_is_exposed_is_listed_with_whether_it_answers() {
    let mut stage = Stage::new();
    let (alice, bob) = (stage.person("alice"), stage.person("bob"));
    let host = stage.host("shop");
    alice
        .expose_app(&["list"])
        .ok()
        .says("Nothing is exposed from namespace");
    alice.deploys_web("web", &[("TITLE", "Shop")]);
    alice.expose_app(&["web", "--host", &host]).ok();
    let listed = alice.expose_app(&["list"]).ok().stdout;
    let line = listed.lines().nth(1).unwrap_or_default();
    for text in [&*format!("https://{host}"), "deployment/web", "200"] {
        assert!(line.contains(text), "{text} in:\n{listed}");
    }
    let names = alice.expose_app(&["list", "-o", "name"]).ok().stdout;
    assert_eq!(names, "ingress.networking.k8s.io/expose-web\n");

    // Without pods it is listed as what does not answer.
    alice
        .kubectl(&["scale", "deployment/web", "--replicas=0"])
        .ok();
    alice
        .kubectl(&[
            "wait",
            "pod",
            "-l",
            "app=web",
            "--for=delete",
            "--timeout=10m",
        ])
        .ok();
    eventually(
        "it is listed as what does not answer",
        Duration::from_secs(10),
        || {
            let listed = alice.expose_app(&["list"]).ok().stdout;
            listed.contains("   no (")
        },
    );

    bob.expose_app(&["list", "-n", &alice.namespace()])
        .fails(1, "not allowed to list ingresses in namespace");
    bob.expose_app(&["remove", "web", "-n", &alice.namespace()])
        .fails(1, "not allowed to list ingresses in namespace");
    alice
        .expose_app(&["remove", "wbe"])
        .fails(1, "`wbe` is not exposed from namespace")
        .says("there are: `web`");
}

#[test]
fn what_is_not_ours_is_refused_and_stays() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    let host = stage.host("shop");
    alice.deploys_web("web", &[]);
    let create: [(&str, &[&str]); 3] = [
        (
            "ingress",
            &[
                "create",
                "ingress",
                "expose-web",
                "--rule=x.example.test/=web:80",
            ],
        ),
        (
            "service",
            &[
                "create",
                "service",
                "clusterip",
                "expose-web",
                "--tcp=80:80",
            ],
        ),
        ("job", &["create", "job", "expose-web", "--image=busybox:1"]),
    ];
    for (kind, create) in create {
        alice.kubectl(create).ok();
        let before = alice.belongings();
        alice
            .expose_app(&["web", "--host", &host, "--for", "1h"])
            .fails(
                1,
                &format!("{kind} `expose-web` exists already and is not this command's"),
            );
        alice
            .expose_app(&["remove", "web"])
            .fails(1, "`web` is not exposed");
        alice.expose_app(&["remove", "--all"]).ok();
        let after = alice.belongings();
        assert_eq!(after, before, "{kind}");
        alice.kubectl(&["delete", kind, "expose-web"]).ok();
    }
    assert_eq!(alice.fetch(&format!("https://{host}")).status, 404);
}

const STATEFUL: &str = "
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db-ui}
spec:
  serviceName: db-ui
  selector: {matchLabels: {app: db-ui}}
  template:
    metadata: {labels: {app: db-ui}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: ui
          image: web:1
          imagePullPolicy: IfNotPresent
          ports: [{containerPort: 8000}]
          env: [{name: TITLE, value: Stateful}]
";

const POD: &str = "
apiVersion: v1
kind: Pod
metadata: {name: alone, labels: {run: alone}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: alone
      image: web:1
      imagePullPolicy: IfNotPresent
      ports: [{containerPort: 8000}]
      env: [{name: TITLE, value: Alone}]
";
