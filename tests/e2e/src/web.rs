//! Web applications of people, and what they answer.

use crate::outcome::run;
use crate::person::Person;

/// The kinds of all that an address or an app can consist of.
const KINDS: &str = "deployments,services,ingresses,httproutes,networkpolicies,jobs,configmaps,secrets,roles,rolebindings";

/// What came back for a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status; 0 where there was no answer at all.
    pub status: u16,
    /// The body, or why there was no answer.
    pub body: String,
}

impl Person {
    /// Opens a URL as a browser does that trusts the certificates which it should; redirects are not followed.
    pub fn fetch(&self, url: &str) -> Answer {
        let mut curl = self.machine.command("curl");
        curl.args(["-sS", "--noproxy", "*", "--max-time", "10"]);
        curl.args(["-w", "\n%{http_code}", url]);
        if let Some(trusted) = self.machine.trusted() {
            curl.arg("--cacert").arg(trusted);
        }
        let outcome = run(&mut curl);
        let (body, status) = outcome.stdout.rsplit_once('\n').unwrap_or_default();
        match status.parse() {
            Ok(status) if status > 0 => Answer {
                status,
                body: body.to_owned(),
            },
            _ => Answer {
                status: 0,
                body: outcome.stderr,
            },
        }
    }

    /// Deploys the app `web:1` under this name, with these variables, and waits until it runs. It has no Service.
    ///
    /// # Panics
    /// When it does not run in time.
    #[track_caller]
    pub fn deploys_web(&self, name: &str, variables: &[(&str, &str)]) {
        self.starts_web(name, variables);
        let deployment = format!("deployment/{name}");
        self.kubectl(&["rollout", "status", &deployment, "--timeout=10m"])
            .ok();
    }

    /// Deploys the app `web:1` as [`Person::deploys_web`] does, without waiting for it.
    #[track_caller]
    pub fn starts_web(&self, name: &str, variables: &[(&str, &str)]) {
        let env: Vec<String> = variables
            .iter()
            .map(|(name, value)| format!("{{name: {name}, value: {value:?}}}"))
            .collect();
        let env = env.join(", ");
        self.applies(&format!(
            "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: {name}
          image: web:1
          imagePullPolicy: IfNotPresent
          ports: [{{containerPort: 8000}}]
          env: [{env}]
"
        ));
    }

    /// Has what a platform's charts put into a namespace: an Ingress at this host, by the controller's class and certificate,
    /// and its Service, for the pods `app: ide`, which are away.
    pub fn has_a_neighbour(&self, host: &str) {
        self.applies(&format!(
            "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: ide-ui}}
spec:
  ingressClassName: traefik
  tls: [{{hosts: [{host}]}}]
  rules:
    - host: {host}
      http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: ide, port: {{number: 80}}}}}}}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: ide}}
spec:
  selector: {{app: ide}}
  ports: [{{port: 80, targetPort: 8888}}]
"
        ));
    }

    /// Everything in their namespace of which an address or an app can consist: names, identities, labels and specs.
    pub fn belongings(&self) -> Vec<String> {
        let each = "{range .items[*]}{.kind}/{.metadata.name} {.metadata.uid} {.metadata.labels} {.spec}{\"\\n\"}{end}";
        let found = self
            .kubectl(&["get", KINDS, "-o", &format!("jsonpath={each}")])
            .ok();
        found.stdout.lines().map(str::to_owned).collect()
    }

    /// Has a pod in the namespace from which commands can be run.
    pub fn has_a_shell(&self) {
        self.applies(
            "
apiVersion: v1
kind: Pod
metadata: {name: shell}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - {name: shell, image: busybox:1, imagePullPolicy: IfNotPresent, command: [sleep, \"600\"]}
",
        );
        self.kubectl(&[
            "wait",
            "pod/shell",
            "--for=condition=Ready",
            "--timeout=10m",
        ])
        .ok();
    }

    /// Whether a pod of theirs, the shell, can open a connection to this address and port.
    pub fn pods_reach(&self, (address, port): (&str, u16)) -> bool {
        let connect = format!("nc -w 2 {address} {port} </dev/null");
        self.kubectl(&["exec", "shell", "--", "sh", "-c", &connect])
            .code
            == 0
    }

    /// The address of the pod of an app from [`Person::deploys_web`].
    pub fn pod_address(&self, app: &str) -> String {
        let selector = format!("app={app}");
        let address = "jsonpath={.items[0].status.podIP}";
        let found = self.kubectl(&["get", "pods", "-l", &selector, "-o", address]);
        found.ok().stdout
    }
}
