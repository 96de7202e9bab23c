//! Databases as people and charts deploy them: how each is found, at which port, and with which login, by all who use one.
//!
//! The manifests are those that the scenarios on the real node deploy.

use cli_tests::{ApiServer, Response, Run, Session};
use serde_json::{Value, json};

use crate::deploy::web;
use crate::platform::Platform;
use crate::proxy::ready;

/// The manifests of `tests/e2e/manifests/databases`.
macro_rules! manifests {
    ($name:literal) => {
        include_str!(concat!("../../../e2e/manifests/databases/", $name, ".yaml"))
    };
}

fn objects(manifests: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(manifests).expect("YAML")
}

/// Deploys them as Alice would, with `kubectl apply`.
fn apply(server: &ApiServer, manifests: &str) {
    let (pods, rest): (Vec<Value>, Vec<Value>) = objects(manifests)
        .into_iter()
        .partition(|object| object["kind"] == "Pod");
    for mut object in rest.into_iter().chain(pods) {
        object["metadata"]["namespace"] = json!("user-alice");
        server.submit(object);
    }
    server.settle();
    server.forget_requests();
}

fn with(manifests: &str) -> (ApiServer, Session) {
    let server = ApiServer::start();
    apply(&server, manifests);
    let session = Session::alice(&server);
    (server, session)
}

/// The name of the objects of a share with Bob.
fn share_of(server: &ApiServer, database: &str) -> String {
    let name = format!("share-{}-bob-", database.rsplit('/').next().unwrap());
    let mut names = server.names("configmaps").into_iter();
    names
        .find(|found| found.starts_with(&name))
        .expect("a card")
}

/// What a share of this database tells Bob to log in as.
fn shared(server: &ApiServer, session: &Session, database: &str) -> (Run, String) {
    let run = session.share_db([database, "--with", "bob"]).success();
    let card = server.object("configmaps", "user-alice", &share_of(server, database));
    let told = |key: &str| card["data"][key].as_str().unwrap_or("-").to_owned();
    (run, format!("{} {}", told("username"), told("dbname")))
}

/// The variables of an app that uses this database, and what is said of it.
fn used(manifests: &str, database: &str) -> Run {
    let platform = Platform::new();
    apply(&platform.server, manifests);
    platform.deploy(&web(&["--use", database, "--dry-run=client", "-o", "yaml"]))
}

/// Those of the variables that `--use` sets, as they are printed.
fn variables(run: &Run) -> String {
    let objects: Vec<Value> = serde_saphyr::from_multiple(&run.stdout).expect("YAML");
    let deployment = objects
        .into_iter()
        .find(|object| object["kind"] == "Deployment")
        .unwrap_or_else(|| panic!("a Deployment in: {run}"));
    let env = &deployment["spec"]["template"]["spec"]["containers"][0]["env"];
    let entries = env.as_array().into_iter().flatten().map(|entry| {
        let plain = entry["value"].as_str().map(str::to_owned);
        let value = plain.unwrap_or_else(|| entry["valueFrom"].to_string());
        format!("{}={value}", entry["name"].as_str().unwrap())
    });
    let warnings = run
        .stderr
        .lines()
        .filter(|line| line.starts_with("warning"));
    let lines: Vec<String> = entries.chain(warnings.map(str::to_owned)).collect();
    lines.join("\n") + "\n"
}

#[test]
fn logins_in_configmaps() {
    let (server, mut session) = with(manifests!("login-in-configmap"));
    let proxy = ready(&mut session, "shelf");
    let (share, told) = shared(&server, &session, "shelf");
    assert_eq!(told, "clerk stock");
    let (server, mut session) = with(manifests!("login-by-envfrom"));
    let by_env_from = ready(&mut session, "store");
    assert_eq!(shared(&server, &session, "store").1, "clerk stock");
    snapshot!(proxy, share, by_env_from);
    insta::assert_snapshot!(
        "logins_in_configmaps_of_apps",
        [
            variables(&used(manifests!("login-in-configmap"), "shelf")),
            variables(&used(manifests!("login-by-envfrom"), "store")),
        ]
        .join("\n")
    );
}

/// The images' own names are only told where nothing else can be meant.
#[test]
fn logins_that_are_not_known() {
    let (server, mut session) = with(manifests!("login-in-configmap"));
    let refused = |server: &ApiServer, plural: &'static str| {
        server.on("GET", plural, || {
            Response::status(403, "Forbidden", "no", &Value::Null)
        });
    };
    refused(&server, "*/configmaps/shelf-settings");
    let settings = ready(&mut session, "shelf");
    let (share, told) = shared(&server, &session, "shelf");
    assert_eq!(told, "- -", "nothing is made up");
    refused(&server, "*/secrets/*");
    let nothing = ready(&mut session, "shelf");
    snapshot!(settings, share, nothing);
    let manifests = manifests!("login-in-configmap").replace(
        "configMapKeyRef: {name: shelf-settings, key: owner}",
        "fieldRef: {fieldPath: metadata.name}",
    );
    insta::assert_snapshot!(
        "logins_that_are_not_known_of_apps",
        variables(&used(&manifests, "shelf"))
    );
}

#[test]
fn passwords_in_files() {
    let (_server, mut session) = with(manifests!("password-in-file"));
    let found = ready(&mut session, "vault");
    let in_memory = manifests!("password-in-file")
        .replace("secret: {secretName: vault-postgresql}", "emptyDir: {}");
    let (_server, mut session) = with(&in_memory);
    let unknown = ready(&mut session, "vault");
    snapshot!(found, unknown);
    insta::assert_snapshot!(
        "passwords_in_files_of_apps",
        [
            variables(&used(manifests!("password-in-file"), "vault")),
            variables(&used(&in_memory, "vault")),
        ]
        .join("\n")
    );
}

#[test]
fn line_breaks_at_the_end() {
    let (_server, mut session) = with(manifests!("password-with-line-break"));
    let password = ready(&mut session, "tail");
    let (server, mut session) = with(manifests!("names-with-line-break"));
    let names = ready(&mut session, "echo");
    let (share, _) = shared(&server, &session, "echo");
    snapshot!(password, names, share);
    insta::assert_snapshot!(
        "line_breaks_at_the_end_of_apps",
        [
            variables(&used(manifests!("password-with-line-break"), "tail")),
            variables(&used(manifests!("names-with-line-break"), "echo")),
            // A password that only a URL must quote.
            variables(&used(manifests!("odd-password"), "odd")),
        ]
        .join("\n")
    );
}

/// `deploy-app -f` of such a Secret tells before.
#[test]
fn line_breaks_in_manifests() {
    let platform = Platform::new();
    let run = |manifests: &str| {
        platform.alice.write("db.yaml", manifests);
        platform.deploy(&["-f", "db.yaml", "--dry-run=client", "-o", "name"])
    };
    snapshot!(
        run(manifests!("names-with-line-break")),
        run(manifests!("login-in-configmap")),
    );
}

#[test]
fn services_of_every_shape() {
    let (server, mut session) = with(manifests!("ports"));
    let ways = [
        "front",
        "byname",
        "several",
        "nodeport",
        "headless",
        "ports",
        "sts/ports",
        "pod/ports-0",
    ];
    let runs: Vec<Run> = ways.map(|way| ready(&mut session, way)).into();
    // The colleague's way is the Service's.
    let (_, told) = shared(&server, &session, "headless");
    assert_eq!(told, "clerk stock");
    let mut bob = Session::with_token(&server, "bob-token");
    let of_bob = ready(&mut bob, "user-alice/headless");
    snapshot_all!(
        "services_of_every_shape",
        runs.into_iter().chain([of_bob]).collect::<Vec<Run>>()
    );
}

#[test]
fn deployments() {
    let (server, mut session) = with(manifests!("login-in-configmap"));
    let kind = ready(&mut session, "deployment/shelf");
    server.remove("services", "user-alice", "shelf");
    server.settle();
    let bare = ready(&mut session, "shelf");
    let of_kind = ready(&mut session, "deploy/shelf");
    let share = session.share_db(["shelf", "--with", "bob"]).success();
    let absent = session.run("proxy-db", ["deployment/stock"]);
    let mut empty = server.object("deployments", "user-alice", "shelf");
    empty["spec"]["replicas"] = json!(0);
    server.submit(empty);
    let none = session.run("proxy-db", ["deployment/shelf"]);
    let other = session.run("proxy-db", ["cronjob/shelf"]);
    snapshot!(kind, bare, of_kind, share, absent, none, other);
}

#[test]
fn addresses_by_hand() {
    // Operators write down which address the cluster gave to another Service.
    let given = "clusterIP: 10.43.0.77, ";
    let (before, endpoints) = manifests!("addresses")
        .split_once("apiVersion: v1\nkind: Endpoints\n")
        .expect("Endpoints");
    let (endpoints, after) = endpoints.split_once("---\n").expect("more");
    let (server, mut session) = with(&format!("{}{after}", before.replace(given, "")));
    let address = server.object("services", "user-alice", "hippo-ha")["spec"]["clusterIP"].take();
    let endpoints = format!("apiVersion: v1\nkind: Endpoints\n{endpoints}");
    let address = address.as_str().expect("an address");
    apply(&server, &endpoints.replace("10.43.0.77", address));
    session.hide(address, "10.43.0.77");
    let ports = json!([{"name": "postgres", "port": 5432}]);
    let endpoints = |name: &str, address: Value| {
        server.put(json!({
            "apiVersion": "v1", "kind": "Endpoints", "metadata": {"namespace": "user-alice", "name": name},
            "subsets": [{"addresses": [address], "ports": ports}],
        }));
    };
    let pod = server.object("pods", "user-alice", "hippo-0");
    let address = pod["status"]["podIP"].clone();
    let target = json!({"kind": "Pod", "name": "hippo-0", "namespace": "user-alice"});
    endpoints("hippo-ha", json!({"ip": address, "targetRef": target}));
    endpoints("hippo-bare", json!({"ip": address}));
    let names = ["hippo-ha", "hippo-primary", "hippo-bare"];
    let mut runs: Vec<Run> = names.map(|name| ready(&mut session, name)).into();
    runs.push(session.run("proxy-db", ["hippo-nowhere"]));
    // It is offered where it leads to a pod by its own Endpoints.
    runs.push(session.run("proxy-db", ["hippo"]));
    runs.push(
        session
            .share_db(["hippo-primary", "--with", "bob"])
            .success(),
    );
    snapshot_all!("addresses_by_hand", runs);
}

#[test]
fn outside_the_cluster() {
    let (server, session) = with(manifests!("outside"));
    server.submit(json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "user-alice", "name": "bobs"},
        "spec": {"type": "ExternalName", "externalName": "pg.user-bob.svc.cluster.local", "ports": [{"port": 5432}]},
    }));
    let run = |name: &str| session.run("proxy-db", [name]);
    snapshot!(
        run("outside"),
        run("rds"),
        run("rds-noport"),
        run("bobs"),
        session.share_db(["rds", "--with", "bob"]),
        // They are not offered.
        run("redis"),
    );
    insta::assert_snapshot!(
        "outside_the_cluster_of_apps",
        [
            variables(&used(manifests!("outside"), "outside")),
            variables(&used(manifests!("outside"), "rds")),
            used(manifests!("outside"), "rds-noport").stderr,
        ]
        .join("\n")
    );
}

/// INSEE's chart: the database that is used is not the one that the operator made.
#[test]
fn of_the_operators_chart() {
    let (server, mut session) = with(manifests!("insee-chart"));
    let by_cluster = ready(&mut session, "shop-postgresql-cnpg");
    let (_, told) = shared(&server, &session, "shop-postgresql-cnpg");
    assert_eq!(told, "alice defaultdb");
    // Without Onyxia's Secret, where the `Database` objects may be read.
    server.remove("secrets", "user-alice", "discoverable-shop-postgresql-cnpg");
    let guess = ready(&mut session, "shop-postgresql-cnpg-rw");
    server.on("GET", "*/databases", || {
        let spec = json!({"name": "defaultdb", "owner": "alice", "cluster": {"name": "shop-postgresql-cnpg"}});
        let metadata = json!({"name": "shop-postgresql-cnpg", "namespace": "user-alice"});
        Response::json(200, &json!({
            "apiVersion": "postgresql.cnpg.io/v1", "kind": "DatabaseList", "metadata": {},
            "items": [{"apiVersion": "postgresql.cnpg.io/v1", "kind": "Database", "metadata": metadata, "spec": spec}],
        }))
    });
    let by_object = ready(&mut session, "shop-postgresql-cnpg-rw");
    // The operator alone.
    server.on("GET", "*/databases", || {
        Response::status(403, "Forbidden", "no", &Value::Null)
    });
    server.remove("secrets", "user-alice", "shop-postgresql-cnpg-user");
    let plain = ready(&mut session, "shop-postgresql-cnpg-rw");
    snapshot!(by_cluster, guess, by_object, plain);
    insta::assert_snapshot!(
        "of_the_operators_chart_of_apps",
        variables(&used(manifests!("insee-chart"), "shop-postgresql-cnpg"))
    );
}

/// What is read of a cluster's login is read at once.
#[test]
fn how_many_requests() {
    let (server, session) = with(manifests!("insee-chart"));
    let reads = |args: &[&str]| -> Vec<String> {
        server.forget_requests();
        let _ = session.share_db(args).success();
        let requests = server.requests();
        let reads = requests.iter().filter(|request| {
            let is_read = ["secrets", "pods", "databases", "statefulsets"];
            request.method == "GET"
                && request
                    .segments()
                    .iter()
                    .any(|part| is_read.contains(&part.as_str()))
        });
        reads
            .map(|request| request.path.rsplit('/').next().unwrap().to_owned())
            .collect()
    };
    let mut read = reads(&[
        "svc/shop-postgresql-cnpg-rw",
        "--with",
        "bob",
        "--dry-run=client",
    ]);
    read.sort();
    assert_eq!(
        read,
        [
            "databases",
            "discoverable-shop-postgresql-cnpg",
            "pods",
            "shop-postgresql-cnpg",
            "shop-postgresql-cnpg-app",
            "shop-postgresql-cnpg-user",
        ]
    );
}

/// The pods that a share names, and no others.
#[test]
fn names_that_others_have() {
    let shared = |server: &ApiServer, session: &Session| {
        let run = session.share_db(["stock-rw", "--with", "bob"]).success();
        let role = server.object("roles", "user-alice", &share_of(server, "stock-rw"));
        let names = role["rules"][0]["resourceNames"].clone();
        let _ = session.share_db(["revoke", "stock-rw"]).success();
        (run, names)
    };
    let (server, session) = with(manifests!("taken-names"));
    let (left_out, names) = shared(&server, &session);
    assert_eq!(
        names,
        json!([
            "stock-2", "stock-3", "stock-4", "stock-5", "stock-6", "stock-7", "stock-8"
        ])
    );
    let template = json!({"metadata": {"labels": {"app": "other"}}, "spec": {"containers": [{"name": "other", "image": "busybox:1"}]}});
    // One of its names is taken: it never gets there.
    server.put(json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"namespace": "user-alice", "name": "stock"},
        "spec": {"replicas": 2, "serviceName": "other", "selector": {"matchLabels": {"app": "other"}}, "template": template},
    }));
    let (of_set, names) = shared(&server, &session);
    assert_eq!(names, json!(["stock-3"]));
    server.remove("statefulsets", "user-alice", "stock");
    server.remove("pods", "user-alice", "stock-1");
    let (alone, names) = shared(&server, &session);
    assert_eq!(names.as_array().unwrap().len(), 8, "{names}");
    snapshot!(left_out, of_set, alone);
}

/// What `kubectl run cache --image=redis` and `kubectl expose` make.
#[test]
fn a_pod_that_nothing_makes_again() {
    let pod = "
apiVersion: v1
kind: Pod
metadata: {name: cache, labels: {run: cache}}
spec: {containers: [{name: cache, image: 'redis:7'}]}
---
apiVersion: v1
kind: Service
metadata: {name: cache}
spec: {selector: {run: cache}, ports: [{port: 6379}]}
";
    let (_server, mut session) = with(pod);
    snapshot!(
        ready(&mut session, "cache"),
        session.share_db(["cache", "--with", "bob"]).success(),
    );
}
