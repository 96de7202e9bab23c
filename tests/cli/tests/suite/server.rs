//! The API server of these tests keeps its promises: what the plugins are told is what Kubernetes would say.

use std::io::{Read, Write};
use std::net::TcpStream;

use cli_tests::{Addon, ApiServer, Fate, fixtures};
use serde_json::{Value, json};

/// Sends one request as Alice; the code of the answer and what it holds.
fn ask(server: &ApiServer, method: &str, path: &str, kind: &str, body: &Value) -> (u16, Value) {
    let mut stream = TcpStream::connect(server.authority()).unwrap();
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer alice-token\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut answer: Value = serde_json::from_str(body).unwrap_or_default();
    if let Some(warning) = head.lines().find_map(|line| line.strip_prefix("warning: ")) {
        answer["warning"] = json!(warning);
    }
    (code, answer)
}

fn get(server: &ApiServer, path: &str) -> (u16, Value) {
    ask(server, "GET", path, "", &Value::Null)
}

fn create(server: &ApiServer, path: &str, object: &Value) -> (u16, Value) {
    ask(server, "POST", path, "application/json", object)
}

fn apply(server: &ApiServer, path: &str, object: &Value) -> (u16, Value) {
    ask(
        server,
        "PATCH",
        path,
        "application/apply-patch+yaml",
        object,
    )
}

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/user-alice/deployments";
const INGRESSES: &str = "/apis/networking.k8s.io/v1/namespaces/user-alice/ingresses";

#[test]
fn what_is_served_is_what_discovery_says() {
    let server = ApiServer::start_in_the_clear();
    let (_, groups) = get(&server, "/apis");
    assert!(!groups.to_string().contains("gateway.networking.k8s.io"));
    assert_eq!(get(&server, "/apis/gateway.networking.k8s.io/v1").0, 404);
    // Who may not is not told that there is none.
    let routes = "/apis/gateway.networking.k8s.io/v1/namespaces/user-alice/httproutes";
    assert_eq!(get(&server, routes).0, 403);
    server.serve(Addon::GatewayApi);
    assert_eq!(get(&server, routes).0, 200);
    assert_eq!(get(&server, "/apis/gateway.networking.k8s.io/v1").0, 200);
    let (_, core) = get(&server, "/api/v1");
    assert!(
        core["resources"]
            .to_string()
            .contains("\"pods/portforward\"")
    );
    assert_eq!(
        get(&server, "/api/v1/namespaces/user-alice").0,
        200,
        "one's own namespace may be read"
    );
    assert_eq!(get(&server, "/api/v1/namespaces/user-bob").0, 403);
}

#[test]
fn dry_runs_store_nothing_and_tell_what_would_be() {
    let server = ApiServer::start_in_the_clear();
    server.default_ingress_class("traefik");
    let ingress = fixtures::ingress("web", "web.kub.example.test", "web");
    let before = server.versions();
    let (code, answer) = create(&server, &format!("{INGRESSES}?dryRun=All"), &ingress);
    assert_eq!(
        (code, &answer["spec"]["ingressClassName"]),
        (201, &json!("traefik"))
    );
    let [deployment, _] = fixtures::app("web", 80);
    let (code, answer) = apply(
        &server,
        &format!("{DEPLOYMENTS}/web?fieldManager=us&dryRun=All"),
        &deployment,
    );
    assert_eq!(
        (code, &answer["spec"]["progressDeadlineSeconds"]),
        (201, &json!(600))
    );
    assert_eq!(server.versions(), before);
}

#[test]
fn applying_twice_changes_nothing_and_others_fields_conflict() {
    let server = ApiServer::start_in_the_clear();
    let [deployment, _] = fixtures::app("web", 80);
    let path = |manager: &str| format!("{DEPLOYMENTS}/web?fieldManager={manager}");
    assert_eq!(apply(&server, &path("us"), &deployment).0, 201);
    server.settle();
    let before = server.versions();
    assert_eq!(apply(&server, &path("us"), &deployment).0, 200);
    assert_eq!(server.versions(), before);
    let mut theirs = deployment.clone();
    theirs["spec"]["replicas"] = json!(3);
    let (code, refusal) = apply(&server, &path("them"), &theirs);
    let words = "Apply failed with 1 conflict: conflict with \"us\": .spec.replicas";
    assert_eq!((code, &refusal["message"]), (409, &json!(words)));
    assert_eq!(
        apply(&server, &(path("them") + "&force=true"), &theirs).0,
        200
    );
    assert_eq!(
        server.object("deployments", "user-alice", "web")["spec"]["replicas"],
        3
    );
}

#[test]
fn the_webhook_of_ingress_nginx_speaks_as_itself() {
    let server = ApiServer::start_in_the_clear();
    server.nginx_webhook();
    let mut theirs = fixtures::ingress("shop", "shop.kub.example.test", "shop");
    theirs["metadata"]["namespace"] = json!("user-bob");
    server.put(theirs);
    let ours = fixtures::ingress("web", "shop.kub.example.test", "web");
    let (code, refusal) = create(&server, &format!("{INGRESSES}?dryRun=All"), &ours);
    let words = "admission webhook \"validate.nginx.ingress.kubernetes.io\" denied the request: host \"shop.kub.example.test\" and path \"/\" is already defined in ingress user-bob/shop";
    assert_eq!((code, &refusal["message"]), (400, &json!(words)));
}

fn events(server: &ApiServer, reason: &str) -> Vec<String> {
    let names = server.names("events");
    let events = names
        .iter()
        .map(|name| server.object("events", "user-alice", name));
    events
        .filter(|event| event["reason"] == reason)
        .map(|event| event["message"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn quotas_and_pod_security_stop_pods_and_not_deployments() {
    let server = ApiServer::start_in_the_clear();
    server.put(json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"namespace": "user-alice", "name": "onyxia-quota"},
        "spec": {"hard": {"requests.cpu": "1", "count/deployments.apps": "2"}}, "status": {"used": {"requests.cpu": "800m", "count/deployments.apps": "0"}},
    }));
    let deploy = |name: &str, cpu: &str| {
        let [mut deployment, _] = fixtures::app(name, 80);
        if !cpu.is_empty() {
            deployment["spec"]["template"]["spec"]["containers"][0]["resources"] =
                json!({"requests": {"cpu": cpu}});
        }
        let answer = create(&server, DEPLOYMENTS, &deployment);
        server.settle();
        answer
    };
    assert_eq!(deploy("a", "500m").0, 201);
    assert_eq!(deploy("b", "").0, 201);
    let (code, refusal) = deploy("c", "100m");
    let words = "deployments.apps \"c\" is forbidden: exceeded quota: onyxia-quota, requested: count/deployments.apps=1, used: count/deployments.apps=2, limited: count/deployments.apps=2";
    assert_eq!((code, &refusal["message"]), (403, &json!(words)));
    let said = events(&server, "FailedCreate");
    assert!(said[0].ends_with("is forbidden: exceeded quota: onyxia-quota, requested: requests.cpu=500m, used: requests.cpu=800m, limited: requests.cpu=1"), "{said:?}");
    assert!(
        said[1].ends_with(
            "is forbidden: failed quota: onyxia-quota: must specify requests.cpu for: b"
        ),
        "{said:?}"
    );
    let server = ApiServer::start_in_the_clear();
    server.label_namespace("pod-security.kubernetes.io/enforce", "restricted");
    let [deployment, _] = fixtures::app("web", 80);
    let (code, answer) = create(&server, DEPLOYMENTS, &deployment);
    assert_eq!(code, 201);
    assert!(answer["warning"].as_str().unwrap().starts_with("299 - \"would violate PodSecurity \\\"restricted:latest\\\": allowPrivilegeEscalation != false"));
    server.settle();
    assert_eq!(server.names("pods"), ["pg-0"]);
}

#[test]
fn deployments_become_pods_and_roll() {
    let server = ApiServer::start_in_the_clear();
    for object in fixtures::app("web", 80) {
        server.submit(object);
    }
    let deployment = || server.object("deployments", "user-alice", "web");
    assert_eq!(deployment()["status"]["readyReplicas"], 1);
    let first = server.names("pods");
    let address =
        server.object("endpoints", "user-alice", "web")["subsets"][0]["addresses"][0]["targetRef"]
            ["name"]
            .clone();
    assert!(first.contains(&address.as_str().unwrap().to_owned()));
    // New pods that do not come up leave the old ones alone.
    server.fate_of_new("web", Fate::crash(1, "no\n"));
    let mut changed = deployment();
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = json!("web:2");
    server.submit(changed);
    assert_eq!(deployment()["status"]["readyReplicas"], 1);
    assert_eq!(server.names("pods").len(), first.len() + 1);
    server.fate("web", Fate::Ready);
    server.settle();
    assert_eq!(deployment()["status"]["updatedReplicas"], 1);
    assert_eq!(server.names("pods").len(), first.len());
    assert_ne!(server.names("pods"), first);
    server.submit({
        let mut none = deployment();
        none["spec"]["replicas"] = json!(0);
        none
    });
    assert!(server.object("endpoints", "user-alice", "web")["subsets"].is_null());
}

#[test]
fn what_is_invalid_is_refused_in_kubernetes_words() {
    let server = ApiServer::start_in_the_clear();
    let message = |path: &str, object: &Value| {
        let (code, refusal) = create(&server, path, object);
        assert_eq!(code, 422, "{refusal}");
        refusal["message"].as_str().unwrap().to_owned()
    };
    let [mut deployment, mut service] = fixtures::app("web", 80);
    deployment["spec"]["selector"]["matchLabels"] = json!({"app": "shop"});
    assert_eq!(
        message(DEPLOYMENTS, &deployment),
        "Deployment.apps \"web\" is invalid: spec.template.metadata.labels: Invalid value: map[string]string{\"app\":\"web\"}: `selector` does not match template `labels`"
    );
    service["metadata"]["name"] = json!("1web");
    assert!(message("/api/v1/namespaces/user-alice/services", &service).starts_with("Service \"1web\" is invalid: metadata.name: Invalid value: \"1web\": a DNS-1035 label must consist of"));
    let (code, refusal) = get(
        &server,
        "/api/v1/namespaces/user-alice/pods?fieldSelector=spec.image%3Dx",
    );
    assert_eq!(
        (code, refusal["reason"].as_str()),
        (400, Some("BadRequest"))
    );
}
