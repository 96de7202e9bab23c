//! Every way in which an app does not get a URL, or does not run: each is told in one sentence, with what to change, and nothing
//! that is final keeps anybody waiting.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use e2e::{Alone, Outcome, Person, Stage, eventually};

/// How long a command may take that fails for a cause that is final.
const FINAL: Duration = Duration::from_secs(10);
/// How many cases go on at once: they mostly wait.
const AT_ONCE: usize = 6;

/// One failure, and how it is told.
struct Case {
    /// What is wrong.
    what: &'static str,
    /// The first line of the error, whole. `{host}`, `{namespace}` and `{registry}` stand for this case's own.
    sentence: &'static str,
    /// The exit code.
    code: i32,
    /// What the causes and hints name: what to change, or what was seen.
    names: &'static [&'static str],
    /// Brings it about.
    happens: fn(&mut Scene) -> Outcome,
}

/// Where a case happens: with people, a host and a registry of its own.
struct Scene {
    stage: Stage,
    alice: Person,
    host: String,
    registry: String,
}

impl Scene {
    fn exposes(&self, args: &[&str]) -> Outcome {
        let mut all = vec!["web", "--host", &self.host];
        all.extend(args);
        self.alice.expose_app(&all)
    }

    fn deploys(&self, args: &[&str]) -> Outcome {
        let mut all = vec!["web", "--port", "8000"];
        all.extend(args);
        self.alice.deploy_app(&all)
    }

    fn deploys_image(&mut self, image: &str) -> Outcome {
        self.registry = self.stage.registry();
        let image = image.replace("REGISTRY", &self.registry);
        self.deploys(&["--image", &image])
    }

    /// Deploys a container that is `web:1` with this beside it.
    fn deploys_container(&self, fields: &str, args: &[&str]) -> Outcome {
        let mut all = vec!["-f", "-"];
        all.extend(args);
        self.alice.deploy_app_from(&all, &deployment(fields))
    }

    /// Deploys `web:1` with a Service that sends to this port and an Ingress that has these fields.
    fn deploys_site(&self, fields: &str, target: u16, ingress: &str) -> Outcome {
        let host = &self.host;
        let manifests = format!(
            "{}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{selector: {{app: web}}, ports: [{{port: 80, targetPort: {target}}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: web}}
spec:
  {ingress}
  rules:
    - host: {host}
      http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: web, port: {{number: 80}}}}}}}}]}}
  tls: [{{hosts: [{host}]}}]
",
            deployment(fields)
        );
        self.alice.deploy_app_from(&["-f", "-"], &manifests)
    }

    /// Has the admin say something about the namespace.
    fn admin(&self, manifest: &str) {
        let named = manifest.replace("NAMESPACE", &self.alice.namespace());
        self.stage.admin().applies(&named);
    }
}

fn deployment(fields: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: web
          image: web:1
          imagePullPolicy: IfNotPresent
          ports: [{{containerPort: 8000}}]
          {fields}
"
    )
}

const CASES: &[Case] = &[
    // No way from the address to the app.
    Case {
        what: "the port is wrong, and another one listens",
        sentence: "nothing listens on port 9000 in the pods of deployment/web",
        code: 1,
        names: &["listens on 8000", "--port 8000"],
        happens: |scene| {
            scene.alice.deploys_web("web", &[]);
            scene.exposes(&["--port", "9000"])
        },
    },
    Case {
        what: "the app listens on 127.0.0.1 only",
        sentence: "the controller cannot reach the pods of deployment/web",
        code: 1,
        names: &["listens on 127.0.0.1 only", "0.0.0.0"],
        happens: |scene| {
            scene.alice.deploys_web("web", &[("ADDRESS", "127.0.0.1")]);
            scene.exposes(&[])
        },
    },
    Case {
        what: "the app redirects to itself",
        sentence: "deployment/web answers, and redirects in a circle",
        code: 1,
        names: &["X-Forwarded-Proto"],
        happens: |scene| {
            scene.alice.deploys_web("web", &[("REDIRECT", "loop")]);
            scene.exposes(&[])
        },
    },
    Case {
        what: "the app redirects from https to http",
        sentence: "deployment/web answers, and redirects from https to http",
        code: 1,
        names: &["it leads to http://{host}", "X-Forwarded-Proto"],
        happens: |scene| {
            scene.alice.deploys_web("web", &[("REDIRECT", "http")]);
            scene.exposes(&[])
        },
    },
    Case {
        what: "the Service has no pods",
        sentence: "service `web` leads to no pods",
        code: 1,
        names: &[
            "spec.selector",
            "app=wbe",
            "app=web",
            "kubectl set selector service web app=web",
        ],
        happens: |scene| {
            scene.alice.deploys_web("web", &[]);
            scene
                .alice
                .kubectl(&[
                    "expose",
                    "deployment",
                    "web",
                    "--port=80",
                    "--selector=app=wbe",
                ])
                .ok();
            scene.exposes_as("svc/web")
        },
    },
    Case {
        what: "the app is scaled to nothing",
        sentence: "deployment/web is stopped: it has 0 replicas",
        code: 1,
        names: &["spec.replicas", "kubectl scale deployment/web"],
        happens: |scene| {
            scene.alice.applies(&deployment(""));
            scene
                .alice
                .kubectl(&["scale", "deployment/web", "--replicas=0"])
                .ok();
            scene.exposes(&[])
        },
    },
    Case {
        what: "no pod is ready",
        sentence: "deployment/web is not ready after 3s",
        code: 1,
        names: &["does not pass its readiness probe", "GET /healthz", "503"],
        happens: |scene| {
            scene.alice.applies(&deployment(
                "env: [{name: READY_AFTER, value: '600'}]
          readinessProbe: {httpGet: {path: /healthz, port: 8000}, periodSeconds: 1}",
            ));
            eventually("the probe has failed", Duration::from_secs(20), || {
                let events =
                    scene
                        .alice
                        .kubectl(&["get", "events", "-o", "jsonpath={.items[*].reason}"]);
                events.stdout.contains("Unhealthy")
            });
            scene.exposes(&["--timeout", "3s"])
        },
    },
    Case {
        what: "no controller has this class",
        sentence: "the controller does not know the host {host}",
        code: 1,
        names: &["none serves its class `nginx`", "--class"],
        happens: |scene| {
            scene.alice.deploys_web("web", &[]);
            scene.exposes(&["--class", "nginx"])
        },
    },
    Case {
        what: "the host has two labels under the wildcard",
        sentence: "the certificate at a.{host} is not valid",
        code: 1,
        names: &["*.kub.example.test", "one label below"],
        happens: |scene| {
            scene.alice.deploys_web("web", &[]);
            let host = format!("a.{}", scene.host);
            scene.alice.expose_app(&["web", "--host", &host])
        },
    },
    Case {
        what: "DNS does not know the host",
        sentence: "the name shop.cluster.local does not exist",
        code: 1,
        names: &["DNS knows no address for it", "--host NAME"],
        happens: |scene| {
            scene.alice.deploys_web("web", &[]);
            scene
                .alice
                .expose_app(&["web", "--host", "shop.cluster.local"])
        },
    },
    Case {
        what: "policies isolate the pods, and nothing tells where the controller is",
        sentence: "the controller cannot reach the pods of deployment/web",
        code: 1,
        names: &[
            "network policy `web` lets nobody in who is not named there",
            "--controller NAMESPACE",
        ],
        happens: |scene| {
            scene.alice.applies(
                "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec: {podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}
",
            );
            scene.alice.deploys_web("web", &[]);
            scene.exposes(&[])
        },
    },
    Case {
        what: "a database is no web app",
        sentence: "port 5432 of statefulset/pg does not speak HTTP",
        code: 1,
        names: &["PostgreSQL has this port", "kubectl share-db"],
        happens: |scene| {
            scene.alice.deploys_postgres();
            scene.alice.expose_app(&["pg", "--host", &scene.host])
        },
    },
    Case {
        what: "the host is somebody else's",
        sentence: "host {host} is already in use",
        code: 1,
        names: &["it answers 200, \"Bob\"", "--host", "--take"],
        happens: |scene| {
            let bob = scene.stage.person("bob");
            bob.deploys_web("web", &[("TITLE", "Bob")]);
            bob.expose_app(&["web", "--host", &scene.host]).ok();
            scene.alice.deploys_web("web", &[]);
            scene.exposes(&[])
        },
    },
    Case {
        what: "the host is one's own already, by another address",
        sentence: "{host} is the host of another address of yours already",
        code: 1,
        names: &[
            "ingress/ide-ui leads there to service `ide`",
            "kubectl delete ingress ide-ui",
        ],
        happens: |scene| {
            scene.alice.has_a_neighbour(&scene.host);
            scene.alice.deploys_web("web", &[]);
            scene.exposes(&[])
        },
    },
    Case {
        what: "the rights are missing",
        sentence: "your rights in namespace `{namespace}` do not allow exposing",
        code: 1,
        names: &[
            "you may not create ingresses, services",
            "`edit` or `admin`",
        ],
        happens: |scene| {
            scene.alice = scene.stage.person_with("viewer", "view", &[]);
            scene
                .admin(&deployment("").replace("{name: web}", "{name: web, namespace: NAMESPACE}"));
            scene.exposes(&[])
        },
    },
    Case {
        what: "there is no such app",
        sentence: "no app `wbe` in namespace `{namespace}`",
        code: 1,
        names: &["there are: `web`"],
        happens: |scene| {
            scene.alice.applies(&deployment(""));
            scene.alice.expose_app(&["wbe", "--host", &scene.host])
        },
    },
    Case {
        what: "the Secret of the certificate is missing",
        sentence: "secret `shop-tls` not found in namespace `{namespace}`",
        code: 1,
        names: &["kubectl create secret tls shop-tls --cert=FILE --key=FILE"],
        happens: |scene| {
            scene.alice.deploys_web("web", &[]);
            scene.exposes(&["--tls", "secret=shop-tls"])
        },
    },
    Case {
        what: "nothing tells the domain",
        sentence: "the host's domain cannot be learned here: nothing in the namespace has an address yet",
        code: 2,
        names: &["--host shop.DOMAIN"],
        happens: |scene| {
            scene.alice.deploys_web("web", &[]);
            scene.alice.expose_app(&["web", "--host", "shop"])
        },
    },
    Case {
        what: "the host is a URL",
        sentence: "invalid value 'https://shop.example.org/' for '--host <HOST>': `https://shop.example.org/` is a URL; a host is only the name in it, such as `web.example.org`",
        code: 2,
        names: &[],
        happens: |scene| {
            scene
                .alice
                .expose_app(&["web", "--host", "https://shop.example.org/"])
        },
    },
    Case {
        what: "the port is no port",
        sentence: "invalid value '70000' for '--port <PORT>': a port is a number from 1 to 65535, or the name of one",
        code: 2,
        names: &[],
        happens: |scene| scene.exposes(&["--port", "70000"]),
    },
    Case {
        what: "the source of certificates is none",
        sentence: "invalid value 'letsencrypt' for '--tls <SOURCE>': write `off`, `wildcard`, `issuer=NAME` or `secret=NAME`",
        code: 2,
        names: &[],
        happens: |scene| scene.exposes(&["--tls", "letsencrypt"]),
    },
    // The app does not run.
    Case {
        what: "the app crashes",
        sentence: "container `web` of deployment/web crashes: exit code 3 (2 times)",
        code: 1,
        names: &["it wrote last:", "cannot open the model"],
        happens: |scene| {
            scene.deploys(&[
                "--image",
                "web:1",
                "--env",
                "EXIT=3",
                "--env",
                "EXIT_MESSAGE=cannot open the model",
            ])
        },
    },
    Case {
        what: "the app ends by itself",
        sentence: "container `web` of deployment/web exits with code 0 and is restarted (2 times)",
        code: 1,
        names: &["must keep running"],
        happens: |scene| {
            scene.alice.deploy_app(&[
                "web",
                "--image",
                "busybox:1",
                "--run-as",
                "1000",
                "--port",
                "none",
                "--command",
                "--",
                "true",
            ])
        },
    },
    Case {
        what: "the app takes too much memory",
        sentence: "container `web` of deployment/web was OOMKilled (2 times)",
        code: 1,
        names: &["its limit is 64Mi", "kubectl deploy-app web --memory"],
        happens: |scene| {
            scene.deploys(&["--image", "web:1", "--memory", "64Mi", "--env", "EAT=300Mi"])
        },
    },
    Case {
        what: "a variable is missing",
        sentence: "container `web` of deployment/web crashes: exit code 1 (2 times)",
        code: 1,
        names: &["DATABASE_URL is not set"],
        happens: |scene| scene.deploys(&["--image", "web:1", "--env", "REQUIRE=DATABASE_URL"]),
    },
    Case {
        what: "the app listens on another port",
        sentence: "nothing listens on port 9000 of web",
        code: 1,
        names: &["it listens on 8000", "kubectl deploy-app web --port 8000"],
        happens: |scene| {
            scene
                .alice
                .deploy_app(&["web", "--image", "web:1", "--port", "9000"])
        },
    },
    Case {
        what: "the ConfigMap is missing",
        sentence: "configmap `settings`, which deployment/web needs, does not exist",
        code: 1,
        names: &[
            "spec.template.spec.containers[0].envFrom[0]",
            "kubectl create configmap settings",
        ],
        happens: |scene| {
            scene.deploys_container("envFrom: [{configMapRef: {name: settings}}]", &[])
        },
    },
    // What runs, and is not reached as its manifests say.
    Case {
        what: "the Service of the files sends where nothing listens",
        sentence: "nothing listens on port 9000 in the pods of deployment/web",
        code: 1,
        names: &["`spec.ports[0].targetPort` is 9000", "listens on 8000"],
        happens: |scene| scene.deploys_site("", 9000, ""),
    },
    Case {
        what: "the app of the files listens on 127.0.0.1 only",
        sentence: "the controller cannot reach the pods of deployment/web",
        code: 1,
        names: &["listens on 127.0.0.1 only", "0.0.0.0"],
        happens: |scene| scene.deploys_site("env: [{name: ADDRESS, value: 127.0.0.1}]", 8000, ""),
    },
    Case {
        what: "no controller serves the class of the files",
        sentence: "the controller does not know the host {host}",
        code: 1,
        names: &[
            "none serves its class `nginx`",
            "`spec.ingressClassName` of ingress `web`",
        ],
        happens: |scene| scene.deploys_site("", 8000, "ingressClassName: nginx"),
    },
    Case {
        what: "a key of the Secret is missing",
        sentence: "secret `login` has no key `pasword`",
        code: 1,
        names: &[
            "did you mean `password`?",
            "spec.template.spec.containers[0].env[0]",
        ],
        happens: |scene| {
            scene
                .alice
                .kubectl(&[
                    "create",
                    "secret",
                    "generic",
                    "login",
                    "--from-literal=password=x",
                ])
                .ok();
            scene.deploys_container(
                "env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: login, key: pasword}}}]",
                &[],
            )
        },
    },
    Case {
        what: "the image has no such tag",
        sentence: "image `{registry}/public/web:v9` of container `web` of deployment/web does not exist",
        code: 1,
        names: &[
            "no such name or no such tag",
            "kubectl deploy-app web --image IMAGE",
        ],
        happens: |scene| scene.deploys_image("REGISTRY/public/web:v9"),
    },
    Case {
        what: "the registry has no such image",
        sentence: "image `{registry}/nowhere/web:1` of container `web` of deployment/web does not exist",
        code: 1,
        names: &["no such name or no such tag"],
        happens: |scene| scene.deploys_image("REGISTRY/nowhere/web:1"),
    },
    Case {
        what: "the image is private",
        sentence: "image `{registry}/private/web:1` of container `web` of deployment/web is not given out by the registry {registry}",
        code: 1,
        names: &["kubectl create secret docker-registry", "imagePullSecrets"],
        happens: |scene| scene.deploys_image("REGISTRY/private/web:1"),
    },
    Case {
        what: "the registry forbids the image",
        sentence: "image `{registry}/denied/web:1` of container `web` of deployment/web is not given out by the registry {registry}",
        code: 1,
        names: &["kubectl create secret docker-registry"],
        happens: |scene| scene.deploys_image("REGISTRY/denied/web:1"),
    },
    Case {
        what: "the registry gives out no more",
        sentence: "image `{registry}/limited/web:1` of container `web` of deployment/web cannot be pulled",
        code: 1,
        names: &["429", "wait and try again"],
        happens: |scene| scene.deploys_image("REGISTRY/limited/web:1"),
    },
    Case {
        what: "no registry is there",
        sentence: "image `localhost:1/web:1` of container `web` of deployment/web cannot be pulled",
        code: 1,
        names: &["the cluster cannot reach the registry localhost:1"],
        happens: |scene| scene.deploys_image("localhost:1/web:1"),
    },
    Case {
        what: "the image's name cannot be one",
        sentence: "`Web:1` cannot be the name of an image: the name of a repository has no upper-case letters; write `web`",
        code: 1,
        names: &["--image registry.example/web:1.0"],
        happens: |scene| scene.deploys(&["--image", "Web:1"]),
    },
    Case {
        what: "no node has room",
        sentence: "no node matches the pods of deployment/web",
        code: 1,
        names: &[
            "1 node without enough cpu: the pod requests 1000",
            "kubectl deploy-app web --cpu",
        ],
        happens: |scene| scene.deploys(&["--image", "web:1", "--cpu", "1000"]),
    },
    Case {
        what: "the quota is used up",
        sentence: "the pods of deployment/web exceed quota `onyxia-quota`",
        code: 1,
        names: &[
            "memory limits: requested 1Gi, limit 500Mi",
            "kubectl deploy-app web --memory",
        ],
        happens: |scene| {
            scene.admin(QUOTA);
            scene.deploys(&["--image", "web:1", "--memory", "1Gi"])
        },
    },
    Case {
        what: "the quota is used up, by manifests",
        sentence: "the pods of deployment/web exceed quota `onyxia-quota`",
        code: 1,
        names: &[
            "memory limits: requested 1Gi, limit 500Mi",
            "resources.limits.memory",
        ],
        happens: |scene| {
            scene.admin(QUOTA);
            scene.deploys_container(
                "resources: {limits: {memory: 1Gi}, requests: {memory: 1Gi}}",
                &[],
            )
        },
    },
    Case {
        what: "a LimitRange allows less",
        sentence: "deployment/web is outside the namespace's LimitRange",
        code: 1,
        names: &[
            "memory: requested 1Gi, maximum 200Mi",
            "resources.limits.memory",
        ],
        happens: |scene| {
            scene.admin(LIMITS);
            scene.deploys_container(
                "resources: {limits: {memory: 1Gi}, requests: {memory: 1Gi}}",
                &[],
            )
        },
    },
    Case {
        what: "Pod Security forbids it",
        sentence: "the pods of deployment/web violate Pod Security `restricted`",
        code: 1,
        names: &[
            "it wants to be `privileged`",
            "spec.template.spec.containers[0].securityContext",
        ],
        happens: |scene| {
            scene.admin(
                "{apiVersion: v1, kind: Namespace, metadata: {name: NAMESPACE, labels: {pod-security.kubernetes.io/enforce: restricted}}}",
            );
            scene.deploys_container("securityContext: {privileged: true}", &[])
        },
    },
    Case {
        what: "the image runs as root, and may not",
        sentence: "container `web` of deployment/web may not run as root",
        code: 1,
        names: &["runAsNonRoot"],
        happens: |scene| {
            scene.alice.deploy_app(&[
                "web",
                "--image",
                "busybox:1",
                "--port",
                "none",
                "--",
                "sleep",
                "600",
            ])
        },
    },
    Case {
        what: "there is no such command in the image",
        sentence: "container `web` of deployment/web cannot be started",
        code: 1,
        names: &[
            "no program `/bin/serve` in image `web:1`",
            "kubectl deploy-app web --command -- PROGRAM",
        ],
        happens: |scene| scene.deploys(&["--image", "web:1", "--command", "--", "/bin/serve"]),
    },
    Case {
        what: "the readiness probe never succeeds",
        sentence: "deployment/web is not ready after 6s",
        code: 1,
        names: &[
            "does not pass its readiness probe",
            "`GET /ready` on port 8000 is answered with 500",
        ],
        happens: |scene| {
            scene.deploys_container(
                "env: [{name: HEALTH, value: '/ready 500'}]
          readinessProbe: {httpGet: {path: /ready, port: 8000}, periodSeconds: 1}",
                &["--timeout", "6s"],
            )
        },
    },
    Case {
        what: "the manifest is no manifest",
        sentence: "cannot read standard input",
        code: 1,
        names: &["it is not YAML", "caused by: line 2 column 11"],
        happens: |scene| {
            scene
                .alice
                .deploy_app_from(&["-f", "-"], "kind: Deployment\n  metadata: x\n")
        },
    },
    Case {
        what: "the app is somebody else's work",
        sentence: "deployment `web` exists already and is not this command's",
        code: 1,
        names: &[
            "kubectl set image deployment/web",
            "kubectl deploy-app -f FILE",
        ],
        happens: |scene| {
            scene.alice.applies(&deployment(""));
            scene.deploys(&["--image", "web:1"])
        },
    },
    Case {
        what: "a new app without an image",
        sentence: "missing `--image`: there is no app `web` yet",
        code: 2,
        names: &["--image IMAGE"],
        happens: |scene| scene.deploys(&[]),
    },
    Case {
        what: "an address for an app without a port",
        sentence: "an app without a port cannot have an address",
        code: 2,
        names: &["--port 8000"],
        happens: |scene| {
            let expose = format!("--expose={}", scene.host);
            scene
                .alice
                .deploy_app(&["web", "--image", "web:1", "--port", "none", &expose])
        },
    },
];

impl Scene {
    fn exposes_as(&self, app: &str) -> Outcome {
        self.alice.expose_app(&[app, "--host", &self.host])
    }
}

const QUOTA: &str = "
apiVersion: v1
kind: ResourceQuota
metadata: {name: onyxia-quota, namespace: NAMESPACE}
spec: {hard: {requests.memory: 500Mi, limits.memory: 500Mi}}
";

const LIMITS: &str = "
apiVersion: v1
kind: LimitRange
metadata: {name: limits, namespace: NAMESPACE}
spec: {limits: [{type: Container, max: {memory: 200Mi}}]}
";

/// What a case was told, if that is not what it was to be.
fn mismatch(alone: &Alone, case: &Case) -> Option<String> {
    let mut stage = alone.stage();
    let alice = stage.person("alice");
    let host = stage.host("shop");
    let mut scene = Scene {
        stage,
        alice,
        host,
        registry: String::new(),
    };
    let outcome = (case.happens)(&mut scene);
    let own = |text: &str| {
        text.replace("{host}", &scene.host)
            .replace("{namespace}", &scene.alice.namespace())
            .replace("{registry}", &scene.registry)
    };
    let mut wrong = Vec::new();
    if outcome.error() != format!("error: {}", own(case.sentence)) {
        wrong.push(format!("not the sentence: {}", own(case.sentence)));
    }
    if outcome.code != case.code {
        wrong.push(format!(
            "exit code {} instead of {}",
            outcome.code, case.code
        ));
    }
    // Placeholders of hints are the user's to fill in.
    wrong.extend(
        case.names
            .iter()
            .filter(|name| !outcome.stderr.contains(**name) && !outcome.stderr.contains(&own(name)))
            .map(|name| format!("does not name: {name}")),
    );
    if outcome.undisturbed > FINAL {
        wrong.push(format!(
            "took {:?}, and {:?} in all",
            outcome.undisturbed, outcome.took
        ));
    }
    if outcome.stderr.lines().count() > 24 {
        wrong.push("is more than a screen".into());
    }
    (!wrong.is_empty()).then(|| {
        format!(
            "== {}\n{}\n{}{}",
            case.what,
            wrong.join("\n"),
            outcome.stdout,
            outcome.stderr
        )
    })
}

#[test]
fn every_failure_has_its_sentence_and_none_takes_long() {
    let only = std::env::var("COMMONS_TEST_CASE").unwrap_or_default();
    let cases: Vec<&Case> = CASES
        .iter()
        .filter(|case| case.what.contains(&only))
        .collect();
    let alone = Alone::on_the_cluster();
    let next = AtomicUsize::new(0);
    let mismatches = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mismatch = mismatch(&alone, case);
                    mismatches.lock().expect("the list").extend(mismatch);
                }
            });
        }
    });
    let mismatches = mismatches.into_inner().expect("the list");
    assert!(
        mismatches.is_empty(),
        "{} of {}:\n\n{}",
        mismatches.len(),
        cases.len(),
        mismatches.join("\n")
    );
}
