//! `deploy-app -f`: the manifests of a course, right and with its usual mistakes.

use cli_tests::{Addon, Fate, Run};
use serde_json::{Value, json};

use crate::platform::Platform;
use crate::together;

/// A Deployment with a ConfigMap, a Service and an Ingress, as a course has them.
const COURSE: &str = "apiVersion: v1
kind: ConfigMap
metadata:
  name: web-config
data:
  LOG: debug
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  labels:
    app: web
spec:
  replicas: 1
  selector:
    matchLabels:
      app: web
  template:
    metadata:
      labels:
        app: web
    spec:
      containers:
      - name: web
        image: registry.example.test/shop/web:1
        envFrom:
        - configMapRef:
            name: web-config
        ports:
        - containerPort: 8000
        resources:
          limits:
            memory: 200Mi
            cpu: 300m
---
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  selector:
    app: web
  ports:
  - port: 80
    targetPort: 8000
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
spec:
  tls:
  - hosts:
    - shop.kub.example.test
  rules:
  - host: shop.kub.example.test
    http:
      paths:
      - path: /
        pathType: Prefix
        backend:
          service:
            name: web
            port:
              number: 80
";

/// Deploys the course's manifests, with one thing changed.
fn course(from: &str, to: &str, args: &[&str]) -> Run {
    let platform = Platform::new();
    assert!(COURSE.contains(from), "{from}");
    platform.alice.write("app.yaml", COURSE.replace(from, to));
    platform.deploy(&[&["-f", "app.yaml"], args].concat())
}

#[test]
fn from_the_first_to_the_last() {
    let platform = Platform::for_web();
    platform.alice.write("app.yaml", COURSE);
    let run = |args: &[&str]| platform.deploy(args).success();
    let first = run(&["-f", "app.yaml"]);
    platform.server.settle();
    let before = platform.server.versions();
    let again = run(&["-f", "app.yaml"]);
    assert_eq!(platform.server.versions(), before);
    let image = run(&[
        "-f",
        "app.yaml",
        "--image",
        "registry.example.test/shop/web:2",
        "--no-wait",
    ]);
    let dry = run(&["-f", "app.yaml", "--dry-run=server"]);
    let yaml = run(&[
        "-f",
        "app.yaml",
        "--image",
        "web=registry.example.test/shop/web:2",
        "--dry-run",
        "-o",
        "yaml",
    ]);
    platform
        .alice
        .write("app.yaml", COURSE.replace("  LOG: debug", "  LOG: info"));
    let config = run(&["-f", "app.yaml", "--no-wait"]);
    snapshot!(first, again, image, dry, yaml, config);
}

/// The usual mistakes: each names the object and the field to change.
#[test]
fn mistakes() {
    let selector = || {
        course(
            "  selector:\n    app: web\n",
            "  selector:\n    app: wep\n",
            &["--strict"],
        )
    };
    let target = || course("targetPort: 8000", "targetPort: 8080", &["--strict"]);
    let config = || {
        course(
            "            name: web-config",
            "            name: web-conf",
            &["--strict"],
        )
    };
    let backend = || {
        course(
            "              number: 80",
            "              number: 8000",
            &["--strict"],
        )
    };
    let host = || {
        course(
            "host: shop.kub.example.test",
            "host: grafana.kub.example.test",
            &["--strict"],
        )
    };
    let image = || course("shop/web:1", "shop/wep:1", &["--strict"]);
    let tag = || course("shop/web:1", "shop/web:9", &["--strict"]);
    let latest = || course("shop/web:1", "shop/web", &["--strict"]);
    let password = || {
        course(
            "  LOG: debug",
            "  DATABASE_URL: postgresql://shop:hunter2@pg:5432/shop",
            &["--strict"],
        )
    };
    let labels = || {
        course(
            "    matchLabels:\n      app: web",
            "    matchLabels:\n      app: shop",
            &[],
        )
    };
    let number = || course("  LOG: debug", "  LOG: 1", &[]);
    let version = || {
        course(
            "apiVersion: networking.k8s.io/v1",
            "apiVersion: extensions/v1beta1",
            &[],
        )
    };
    snapshot_all!(together(&[
        &selector, &target, &config, &backend, &host, &image, &tag, &latest, &password, &labels,
        &number, &version
    ]));
}

/// Without `--strict` it goes on, and what does not run is explained.
#[test]
fn mistakes_that_are_met() {
    let config = || {
        let platform = Platform::new();
        let missing = "configmap \"web-conf\" not found".to_owned();
        let waits = Fate::Waiting("CreateContainerConfigError".into(), missing);
        platform.server.fate("web", waits);
        let manifests =
            COURSE.replace("            name: web-config", "            name: web-conf");
        platform.alice.write("app.yaml", manifests);
        platform.deploy(&["-f", "app.yaml"])
    };
    let indent = || course("    app: web\n  ports:", "   app: web\n  ports:", &[]);
    let quota = || course("cpu: 300m", "cpu: 300x", &[]);
    let host = || {
        course(
            "host: shop.kub.example.test\n",
            "host: Shop_1.kub.example.test\n",
            &[],
        )
    };
    let path = || course("        pathType: Prefix\n", "", &[]);
    let kind = || course("kind: Ingress", "kind: Ingres", &[]);
    let namespace = || {
        course(
            "  name: web-config\ndata",
            "  name: web-config\n  namespace: user-bob\ndata",
            &[],
        )
    };
    let name = || course("  name: web-config\ndata", "  name: Web_Config\ndata", &[]);
    snapshot_all!(together(&[
        &config, &indent, &quota, &host, &path, &kind, &namespace, &name
    ]));
}

/// What is no manifest.
#[test]
fn files() {
    let platform = Platform::new();
    let alice = &platform.alice;
    alice.write("empty.yaml", "");
    alice.write("comments.yaml", "# nothing yet\n---\n");
    alice.write("broken.yaml", "apiVersion: v1\n kind: Service\n");
    alice.write(
        "tabs.yaml",
        "apiVersion: v1\nkind: Service\nmetadata:\n\tname: web\n",
    );
    alice.write("list.yaml", "- a\n- b\n");
    alice.write("other.yaml", "hello: world\n");
    alice.write(
        "hostile.yaml",
        "apiVersion: v1\nkind: \"\\e[31mService\"\nmetadata: {name: \"\\e]0;owned\\a\"}\n",
    );
    alice.write("bytes.yaml", b"apiVersion: v\xff1\n");
    alice.write("bomb.yaml", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: [*g,*g,*g,*g,*g,*g,*g,*g,*g]\n");
    alice.write("nothing/readme.md", "none");
    alice.write("kustomize/kustomization.yaml", "resources: []\n");
    let names = [
        "empty.yaml",
        "comments.yaml",
        "broken.yaml",
        "tabs.yaml",
        "list.yaml",
        "other.yaml",
        "hostile.yaml",
        "bytes.yaml",
        "bomb.yaml",
        "nothing",
        "kustomize",
        "absent.yaml",
        "https://example.test/app.yaml",
        "-",
    ];
    snapshot_all!(
        names
            .map(|name| platform.not_deployed(&["-f", name]))
            .to_vec()
    );
}

/// `--image` in a pipeline.
#[test]
fn images() {
    let platform = Platform::new();
    platform.alice.write("app.yaml", COURSE);
    let two = COURSE.replace(
        "      containers:\n",
        "      containers:\n      - name: proxy\n        image: docker.io/library/envoy:1\n",
    );
    platform.alice.write("two.yaml", two);
    let run = |args: &[&str]| platform.not_deployed(args);
    snapshot!(
        run(&["-f", "app.yaml", "--image", ""]),
        run(&[
            "-f",
            "app.yaml",
            "--image",
            "wep=registry.example.test/shop/web:2"
        ]),
        run(&["-f", "two.yaml", "--image", "ghcr.io/alice/other:2"]),
        run(&["-f", "app.yaml", "--image", "Web:\u{1b}[31m", "--strict"]),
    );
}

/// Somebody else manages a field; somebody else's namespace; somebody with other rights.
/// Something else in the place of what leads to an image.
#[test]
fn images_of_nothing() {
    let platform = Platform::new();
    let alice = &platform.alice;
    let odd = [
        "spec: hello",
        "spec: [1]",
        "spec: 7",
        "spec: ~",
        "spec: {template: hello}",
        "spec: {template: {metadata: hello, spec: {containers: {web: 1}}}}",
    ];
    let run = |spec: &str| {
        let object =
            format!("apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: x}}\n{spec}\n");
        alice.write("app.yaml", object);
        alice.run("deploy-app", ["-f", "app.yaml", "--image", "web:1"])
    };
    snapshot_all!(odd.map(run));
}

/// Links in a repository of others: what is read is told.
#[test]
fn links() {
    use std::os::unix::fs::symlink;
    let platform = Platform::new();
    let alice = &platform.alice;
    let config = alice.write("repository/k8s/app.yaml", COURSE);
    let repository = config.ancestors().nth(2).unwrap();
    symlink("../.kube/config", repository.join("app.toml")).unwrap();
    let other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n";
    alice.write("other.yaml", other);
    symlink("../../other.yaml", repository.join("k8s/other.yaml")).unwrap();
    symlink("app.yaml", repository.join("k8s/same.yaml")).unwrap();
    let dry = ["--dry-run=client", "-o", "name"];
    let run = |args: &[&str]| platform.deploy(&[args, &dry].concat());
    let config = ["--config", "repository/app.toml"];
    snapshot!(
        run(&[&super::web(&config)[..], &[]].concat()),
        run(&["-f", "repository/k8s/other.yaml"]),
    );
}

/// A dry run asks the API server alone.
#[test]
fn dry() {
    let platform = Platform::new();
    platform.alice.write("app.yaml", COURSE);
    let run = |args: &[&str]| platform.deploy(&[&["-f", "app.yaml"], args].concat());
    let client = run(&["--dry-run"]).success();
    let server = run(&["--dry-run=server"]).success();
    assert!(platform.internet.requests().is_empty(), "nobody is asked");
    snapshot!(client, server);
}

#[test]
fn others() {
    let platform = Platform::for_web();
    platform.alice.write("app.yaml", COURSE);
    let _ = platform.deploy(&["-f", "app.yaml", "--no-wait"]).success();
    let mut deployment = platform.server.object("deployments", "user-alice", "web");
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] =
        json!("registry.example.test/shop/web:2");
    platform.server.put(deployment);
    let conflict = platform.deploy(&["-f", "app.yaml"]);
    let forced = platform
        .deploy(&["-f", "app.yaml", "--force-conflicts", "--no-wait"])
        .success();
    platform.alice.write(
        "app.yaml",
        COURSE
            .replace("app: web\n    spec", "app: shop\n    spec")
            .replace(
                "    matchLabels:\n      app: web",
                "    matchLabels:\n      app: shop",
            ),
    );
    let immutable = platform.deploy(&["-f", "app.yaml"]);
    let ide = platform.session("ide-token");
    ide.write("app.yaml", COURSE);
    let view = ide.run("deploy-app", ["-f", "app.yaml"]);
    let by_name = platform.deploy(&["web", "--replicas", "2"]);
    let listed = platform.deploy(&["list", "-o", "wide"]);
    let deleted = platform.deploy(&["delete", "web"]);
    snapshot!(conflict, forced, immutable, view, by_name, listed, deleted);
}

/// An Ingress as its namespace's owner wrote it is proven, and stays as it was written.
#[test]
fn certificates_by_another_name() {
    let platform = Platform::for_web();
    platform.internet.no_wildcard();
    let host = "shop.kub.example.test";
    let secret = platform.internet.certificate_in_secret("shop-cert", host);
    platform.server.put(secret);
    platform.server.serve(Addon::CertManager);
    platform.server.put(json!({
        "apiVersion": "cert-manager.io/v1", "kind": "Certificate",
        "metadata": {"namespace": "user-alice", "name": "shop-cert"},
        "spec": {"secretName": "shop-cert", "dnsNames": [host], "issuerRef": {"name": "letsencrypt", "kind": "ClusterIssuer"}},
        "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "Certificate is up to date and has not expired"}]},
    }));
    let issued = COURSE
        .replace(
            "  name: web\nspec:\n  tls:\n  - hosts:\n    - shop.kub.example.test\n",
            "  name: web\n  annotations: {cert-manager.io/cluster-issuer: letsencrypt}\nspec:\n  tls:\n  - hosts:\n    - shop.kub.example.test\n    secretName: shop-cert\n",
        );
    assert!(issued.contains("shop-cert"));
    platform.alice.write("app.yaml", issued);
    let run = platform.deploy(&["-f", "app.yaml"]).success();
    let secret = platform.server.object("secrets", "user-alice", "shop-cert");
    assert!(
        secret["metadata"].get("ownerReferences").is_none(),
        "it is not ours: {secret}"
    );
    snapshot!(run);
}

/// What cannot be compared, or not be looked at, is said and is no failure.
#[test]
fn not_looked_at() {
    let with = |from: &str, to: &str| {
        let platform = Platform::for_web();
        assert!(COURSE.contains(from), "{from}");
        platform.alice.write("app.yaml", COURSE.replace(from, to));
        platform.deploy(&["-f", "app.yaml"]).success()
    };
    let rewritten = with(
        "kind: Ingress\nmetadata:\n",
        "kind: Ingress\nmetadata:\n  annotations: {nginx.ingress.kubernetes.io/rewrite-target: /}\n",
    );
    let stopped = with("replicas: 1", "replicas: 0");
    snapshot!(rewritten, stopped);
}

/// Several workloads: the first that cannot come up ends it.
#[test]
fn several() {
    let platform = Platform::for_web();
    let object = |kind: &str, name: &str| -> Value {
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": {"app": name}}, "template": {
                "metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": name, "image": super::IMAGE}]},
            }},
        });
        if kind == "StatefulSet" {
            object["spec"]["serviceName"] = json!(name);
        }
        object
    };
    platform
        .alice
        .write("k8s/1.json", object("StatefulSet", "db").to_string());
    platform
        .alice
        .write("k8s/2.json", object("DaemonSet", "agent").to_string());
    platform.alice.write("k8s/3.yaml", COURSE);
    let all = platform.deploy(&["-f", "k8s"]).success();
    platform
        .server
        .fate("db", Fate::crash(2, "no such directory\n"));
    platform.alice.write(
        "k8s/1.json",
        object("StatefulSet", "db")
            .to_string()
            .replace("web:1", "web:2"),
    );
    let one = platform.deploy(&["-f", "k8s"]);
    snapshot!(all, one);
}

/// The API server refuses the last one: what is new is taken back.
#[test]
fn taken_back() {
    let platform = Platform::new();
    platform.host_is_bobs("shop.kub.example.test");
    platform.alice.write("app.yaml", COURSE);
    let before = platform.server.names("services");
    let run = platform.deploy(&["-f", "app.yaml"]);
    assert_eq!(platform.server.names("services"), before);
    assert_eq!(platform.server.names("deployments"), [""; 0]);
    snapshot!(run);
}
