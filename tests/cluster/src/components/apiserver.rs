//! The API server. It announces itself to pods at the pod gateway: an address that is never cut off with the link to the host.

use serde_json::{Value, json};

use super::{CommandLine, Setup};
use crate::{
    error::Result,
    issuer::{CLIENT, Realm},
    layout::{POD_GATEWAY, inside},
    programs::Program,
    users::PREFIX,
};

/// Trusts these realms of the issuer whose certificate `authority` (PEM) signed. The API server reads the file again when it changes.
pub(super) fn trust(setup: &Setup, realms: &[Realm], authority: &str) -> Result<String> {
    let configuration = authentication(realms, authority);
    setup.configuration("authentication.yaml", &configuration.to_string())
}

fn authentication(realms: &[Realm], authority: &str) -> Value {
    let issuers: Vec<_> = realms
        .iter()
        .map(|realm| {
            json!({
                "issuer": {"url": realm.url(), "audiences": [CLIENT], "certificateAuthority": authority},
                "claimMappings": {
                    "username": {"claim": "preferred_username", "prefix": PREFIX},
                    "groups": {"claim": "groups", "prefix": PREFIX},
                },
            })
        })
        .collect();
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": issuers,
    })
}

/// Bearer tokens that never end, as the API server reads them: token, user, UID, groups.
const TOKENS: &str = "\
alice-token,oidc-alice,alice
bob-token,oidc-bob,bob
root-token,kubernetes-admin,root,system:masters
";

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
            "--authentication-config",
            &trust(setup, &[], "")?,
            "--token-auth-file",
            &setup.configuration("tokens.csv", TOKENS)?,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_issuer_names_users_and_groups_with_the_same_prefix() {
        let configuration = authentication(&[Realm::Sspcloud, Realm::Short], "authority");
        let issuers = configuration["jwt"].as_array().unwrap();
        assert_eq!(issuers.len(), 2);
        for issuer in issuers {
            assert_eq!(issuer["claimMappings"]["username"]["prefix"], "oidc-");
            assert_eq!(issuer["claimMappings"]["groups"]["prefix"], "oidc-");
            assert_eq!(
                issuer["issuer"]["audiences"],
                json!(["onyxia-k8s-apiserver"])
            );
        }
        assert_eq!(
            issuers[0]["issuer"]["url"],
            "https://auth.example.test:8443/realms/sspcloud"
        );
    }
}
