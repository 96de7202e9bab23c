//! The API server. It announces itself to pods at the pod gateway: an address that is never cut off with the link to the host.

use super::{CommandLine, Setup};
use crate::{
    error::Result,
    layout::{POD_GATEWAY, inside},
    programs::Program,
};

pub(super) fn prepare(setup: &Setup) -> Result<CommandLine> {
    let pki = |name: &str| inside(&format!("pki/{name}"));
    Ok(CommandLine::new(
        setup.program(Program::Kubenode)?,
        &[
            "apiserver",
            "--etcd-servers",
            "http://127.0.0.1:2379",
            "--bind-address",
            "0.0.0.0",
            "--secure-port",
            "6443",
            "--advertise-address",
            &POD_GATEWAY.to_string(),
            "--tls-cert-file",
            &pki("apiserver.crt"),
            "--tls-private-key-file",
            &pki("apiserver.key"),
            "--client-ca-file",
            &pki("ca.crt"),
            "--authorization-mode",
            "Node,RBAC",
            "--enable-admission-plugins",
            "NodeRestriction",
            "--allow-privileged",
            "--service-cluster-ip-range",
            "10.96.0.0/16",
            "--service-account-issuer",
            "https://kubernetes.default.svc",
            "--service-account-key-file",
            &pki("tokens.pub"),
            "--service-account-signing-key-file",
            &pki("tokens.key"),
            "--kubelet-client-certificate",
            &pki("kubelet-client.crt"),
            "--kubelet-client-key",
            &pki("kubelet-client.key"),
            "--kubelet-preferred-address-types",
            "InternalIP",
        ],
    ))
}
