//! Whom a plugin asks from the machine of its user is said by manifests and Ingresses of others: this machine is not among them.

use e2e::Stage;

/// The node's API server is at an address of its own, so nothing that the cluster serves is at this machine.
#[test]
fn this_machine_is_not_asked_for_an_ingress() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    alice.deploys_web("web", &[]);
    let service = [
        "expose",
        "deployment",
        "web",
        "--port=80",
        "--target-port=8000",
    ];
    alice.kubectl(&service).ok();
    alice.applies(INGRESS);
    alice
        .deploy_app_from(&["-f", "-", "--dry-run=client"], INGRESS)
        .ok()
        .says("not checked in a dry run");
    let listed = alice.expose_app(&["list"]).ok().stdout;
    assert!(listed.contains("not asked: this machine"), "{listed}");
}

const INGRESS: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: here
  labels: {app.kubernetes.io/managed-by: kubectl-expose-app}
  annotations: {kube-commons/app: deployment/web, kube-commons/tls: 'off'}
spec:
  rules:
  - host: localhost
    http:
      paths:
      - path: /api/shutdown
        pathType: Prefix
        backend: {service: {name: web, port: {number: 80}}}
";
