//! cert-manager: a Certificate for every Ingress that asks for one, and how far it gets.

use base64::Engine as _;
use serde_json::{Value, json};

use super::{controller, key_of, owner};
use crate::store::{Key, State, letters};

/// What comes of requests for certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Issuing {
    /// They are issued at once.
    Issues,
    /// The issuer does not exist.
    NoIssuer,
    /// An ACME challenge stays pending, for this reason.
    Challenge(String),
    /// The ACME order has failed, for this reason.
    Order(String),
}

const ISSUERS: [(&str, &str); 2] = [
    ("cert-manager.io/cluster-issuer", "ClusterIssuer"),
    ("cert-manager.io/issuer", "Issuer"),
];

pub fn reconcile(state: &mut State) {
    let Some((issuing, _)) = state.world.issuing.clone() else {
        return;
    };
    for key in state.cared_for("ingresses") {
        let ingress = state.objects[&key].clone();
        let annotations = &ingress["metadata"]["annotations"];
        let issuer = ISSUERS
            .iter()
            .find_map(|(annotation, kind)| Some((*kind, annotations[*annotation].as_str()?)));
        let Some((kind, name)) = issuer else { continue };
        for tls in ingress["spec"]["tls"].as_array().into_iter().flatten() {
            let Some(secret) = tls["secretName"].as_str() else {
                continue;
            };
            certificate(
                state,
                &key,
                &ingress,
                &issuing,
                secret,
                &tls["hosts"],
                &json!({"kind": kind, "name": name, "group": "cert-manager.io"}),
            );
        }
    }
}

fn certificate(
    state: &mut State,
    key: &Key,
    ingress: &Value,
    issuing: &Issuing,
    secret: &str,
    hosts: &Value,
    issuer: &Value,
) {
    let name_of = |plural: &str, name: &str| (key.0.clone(), plural.to_owned(), name.to_owned());
    let user = controller("cert-manager");
    let make = |state: &mut State,
                api_version: &str,
                kind: &str,
                plural: &str,
                name: &str,
                of: &Value,
                spec: &Value| {
        if !state.objects.contains_key(&name_of(plural, name)) {
            let metadata = json!({"namespace": key.0, "name": name, "ownerReferences": owner(of), "annotations": {"cert-manager.io/certificate-name": secret}});
            let object = json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec});
            let _ = state.submit(&user, "cert-manager", object);
        }
        state.objects[&name_of(plural, name)].clone()
    };
    let spec = json!({"dnsNames": hosts, "secretName": secret, "issuerRef": issuer});
    let certificate = make(
        state,
        "cert-manager.io/v1",
        "Certificate",
        "certificates",
        secret,
        ingress,
        &spec,
    );
    let request_name = format!("{secret}-1");
    let spec = json!({"issuerRef": issuer, "request": "", "usages": ["digital signature"]});
    let request = make(
        state,
        "cert-manager.io/v1",
        "CertificateRequest",
        "certificaterequests",
        &request_name,
        &certificate,
        &spec,
    );
    let now = state.now.to_string();
    let condition = |kind: &str, is_true: bool, reason: &str, message: &str| json!({"type": kind, "status": if is_true { "True" } else { "False" }, "reason": reason, "message": message, "lastTransitionTime": now});
    let status = |state: &mut State, plural: &str, name: &str, status: Value| {
        let is_new = state.objects[&name_of(plural, name)]["status"].is_null();
        state.change(&name_of(plural, name), |object| {
            if is_new {
                object["status"] = status;
            }
        });
    };
    let hosts: Vec<String> = hosts
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let waiting = [
        condition(
            "Issuing",
            true,
            "DoesNotExist",
            "Issuing certificate as Secret does not exist",
        ),
        condition(
            "Ready",
            false,
            "DoesNotExist",
            "Issuing certificate as Secret does not exist",
        ),
    ];
    if let Issuing::Challenge(_) | Issuing::Order(_) = issuing {
        let order_name = format!(
            "{request_name}-{}",
            u32::from_str_radix("4d2f1a3", 16).unwrap_or_default()
        );
        let spec = json!({"dnsNames": hosts, "issuerRef": issuer, "request": ""});
        let order = make(
            state,
            "acme.cert-manager.io/v1",
            "Order",
            "orders",
            &order_name,
            &request,
            &spec,
        );
        if let Issuing::Order(reason) = issuing {
            status(
                state,
                "orders",
                &order_name,
                json!({"state": "errored", "reason": reason, "failureTime": now}),
            );
            let failed = format!(
                "The certificate request has failed to complete and will be retried: Failed to wait for order resource {order_name:?} to become ready: order is in \"errored\" state: {reason}"
            );
            status(
                state,
                "certificaterequests",
                &request_name,
                json!({"conditions": [condition("Ready", false, "Failed", &failed)], "failureTime": now}),
            );
            let conditions = [
                condition("Issuing", false, "Failed", &failed),
                waiting[1].clone(),
            ];
            status(
                state,
                "certificates",
                secret,
                json!({"conditions": conditions, "failedIssuanceAttempts": 1, "lastFailureTime": now}),
            );
            return;
        }
        if let Issuing::Challenge(reason) = issuing {
            let challenge_name = format!("{order_name}-{}", letters(&order_name, 10));
            let spec = json!({"dnsName": hosts.first(), "type": "HTTP-01", "issuerRef": issuer, "token": "", "key": "", "url": "", "authorizationURL": ""});
            make(
                state,
                "acme.cert-manager.io/v1",
                "Challenge",
                "challenges",
                &challenge_name,
                &order,
                &spec,
            );
            status(
                state,
                "challenges",
                &challenge_name,
                json!({"state": "pending", "presented": true, "processing": true, "reason": reason}),
            );
            status(state, "orders", &order_name, json!({"state": "pending"}));
            let said = format!(
                "Waiting on certificate issuance from order {}/{order_name}: \"pending\"",
                key.0
            );
            status(
                state,
                "certificaterequests",
                &request_name,
                json!({"conditions": [condition("Ready", false, "Pending", &said)]}),
            );
        }
    }
    if *issuing == Issuing::NoIssuer {
        let (kind, name) = (
            issuer["kind"].as_str().unwrap_or_default(),
            issuer["name"].as_str().unwrap_or_default(),
        );
        let said = format!(
            "Referenced {kind:?} not found: {}.cert-manager.io {name:?} not found",
            kind.to_lowercase()
        );
        status(
            state,
            "certificaterequests",
            &request_name,
            json!({"conditions": [condition("Ready", false, "Pending", &said)]}),
        );
    }
    if *issuing != Issuing::Issues {
        status(
            state,
            "certificates",
            secret,
            json!({"conditions": waiting}),
        );
        return;
    }
    let Some((_, authority)) = state.world.issuing.clone() else {
        return;
    };
    if !state.objects.contains_key(&name_of("secrets", secret)) {
        let (certificate, private_key) = authority.issue(&hosts);
        let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        let object = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"namespace": key.0, "name": secret, "annotations": {"cert-manager.io/certificate-name": secret}},
            "data": {"tls.crt": encode(&certificate), "tls.key": encode(&private_key)},
        });
        let _ = state.submit(&user, "cert-manager", object);
    }
    let (_, _, certificate_name) = key_of("certificates", &certificate);
    status(
        state,
        "certificaterequests",
        &request_name,
        json!({"conditions": [condition("Ready", true, "Issued", "Certificate fetched from issuer successfully")]}),
    );
    let ready = condition(
        "Ready",
        true,
        "Ready",
        "Certificate is up to date and has not expired",
    );
    status(
        state,
        "certificates",
        &certificate_name,
        json!({"conditions": [ready], "notBefore": now, "notAfter": "2099-01-01T00:00:00Z"}),
    );
}
