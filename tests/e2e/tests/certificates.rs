//! Certificates from cert-manager: issued and proven, or explained.

use std::time::Duration;

use e2e::{Stage, eventually};

#[test]
fn a_certificate_is_issued_proven_and_removed() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    let host = stage.host("shop");
    alice.deploys_web("web", &[("TITLE", "Shop")]);
    let before = alice.belongings();
    let exposed = alice
        .expose_app(&["web", "--host", &host, "--tls", "issuer=ca"])
        .ok();
    assert_eq!(exposed.stdout, format!("https://{host}\n"));
    let answer = alice.fetch(&format!("https://{host}"));
    assert!(
        answer.body.contains("<title>Shop</title>"),
        "{}",
        answer.body
    );
    let secret = alice
        .kubectl(&["get", "secret", "-o", "jsonpath={.items[*].type}"])
        .ok();
    assert_eq!(secret.stdout, "kubernetes.io/tls");

    let made = alice.belongings();
    alice.expose_app(&["web"]).ok().says("expose-web unchanged");
    assert_eq!(alice.belongings(), made, "again changes nothing");

    alice.expose_app(&["remove", "web"]).ok();
    let certificates = || {
        let found = alice.kubectl(&["get", "certificates,certificaterequests", "-o", "name"]);
        found.ok().stdout
    };
    eventually("the certificate is gone", Duration::from_secs(10), || {
        certificates().is_empty() && alice.belongings() == before
    });
}

#[test]
fn an_end_takes_the_certificate_too() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    let host = stage.host("shop");
    alice.deploys_web("web", &[]);
    let before = alice.belongings();
    alice
        .expose_app(&["web", "--host", &host, "--tls", "issuer=ca", "--for", "20s"])
        .ok();
    eventually("nothing is left", Duration::from_secs(23), || {
        alice.belongings() == before
    });
}

#[test]
fn how_neighbours_have_their_certificates_is_learned() {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    alice.has_a_neighbour(&stage.host("ide"));
    alice
        .kubectl(&[
            "annotate",
            "ingress",
            "ide-ui",
            "cert-manager.io/cluster-issuer=ca",
        ])
        .ok();
    let named = r#"{"spec":{"tls":[{"hosts":["HOST"],"secretName":"ide-tls"}]}}"#;
    alice
        .kubectl(&[
            "patch",
            "ingress",
            "ide-ui",
            "-p",
            &named.replace("HOST", &stage.host("ide")),
        ])
        .ok();
    alice.deploys_web("web", &[]);
    let url = alice.expose_app(&["web"]).ok().says("issuer ca").stdout;
    assert_eq!(alice.fetch(url.trim_end()).status, 200);
    assert!(
        alice
            .kubectl(&["get", "certificate", "expose-web-tls", "-o", "name"])
            .ok()
            .stdout
            .contains("expose-web-tls")
    );
}

/// What cannot be issued is explained in the issuer's words, soon, and names a way out.
#[track_caller]
fn is_explained(issuer: &str, cause: &str) {
    let mut stage = Stage::new();
    let alice = stage.person("alice");
    let host = stage.host("shop");
    alice.deploys_web("web", &[]);
    let refused = alice
        .expose_app(&["web", "--host", &host, "--tls", &format!("issuer={issuer}")])
        .within(Duration::from_secs(10));
    let refused = refused
        .fails(1, &format!("no certificate for {host} was issued"))
        .says(cause)
        .says("hint: ");
    assert_eq!(refused.stdout, "");
    assert!(refused.stderr.lines().count() <= 24, "one screen");
    // The way out that does not need an issuer.
    alice.expose_app(&["web", "--tls", "wildcard"]).ok();
    assert_eq!(alice.fetch(&format!("https://{host}")).status, 200);
}

#[test]
fn an_issuer_without_its_key_is_explained() {
    is_explained("broken", "issuer `broken`");
}

#[test]
fn an_authority_that_nobody_reaches_is_explained() {
    is_explained("acme-broken", "issuer `acme-broken`");
}

#[test]
fn an_issuer_that_there_is_not_is_explained() {
    is_explained("typo", "there is no issuer `typo`");
}
