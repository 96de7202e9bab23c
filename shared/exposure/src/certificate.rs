//! A certificate that cert-manager is to issue: whether it is there, and if not, which step stands in the way.
//!
//! cert-manager makes a Certificate for an Ingress or listener, for it a `CertificateRequest`, and with an ACME issuer (Let's
//! Encrypt) an Order and its Challenges. Each says in its status why it does not go on; the last one knows best.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::core::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::existing::{certificate_in, covers};
use super::gateway::Condition;
use super::remedy::{CertificateSource, Setting, set};
use commons::cluster::Cluster;
use commons::error::Error;
use commons::printable;
use commons::shell::shell;

/// The annotation that names the Certificate which an object is for.
const FOR: &str = "cert-manager.io/certificate-name";

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct IssueStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
    /// Of Orders and Challenges.
    #[serde(default)]
    state: String,
    /// Of Orders and Challenges.
    #[serde(default)]
    reason: String,
}

macro_rules! kind {
    ($type:ident, $group:literal, $kind:literal, $plural:literal) => {
        #[derive(Clone, Debug, Default, Serialize, Deserialize)]
        struct $type {
            metadata: ObjectMeta,
            #[serde(default)]
            spec: Spec,
            #[serde(default)]
            status: IssueStatus,
        }
        commons::resource!($type, $group, "v1", $kind, $plural);
    };
}

/// What a Certificate is for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    dns_names: Vec<String>,
    #[serde(default)]
    issuer_ref: IssuerRef,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct IssuerRef {
    #[serde(default)]
    name: String,
}

kind!(
    Certificate,
    "cert-manager.io",
    "Certificate",
    "certificates"
);
kind!(
    CertificateRequest,
    "cert-manager.io",
    "CertificateRequest",
    "certificaterequests"
);
kind!(Order, "acme.cert-manager.io", "Order", "orders");
kind!(Challenge, "acme.cert-manager.io", "Challenge", "challenges");
kind!(Issuer, "cert-manager.io", "Issuer", "issuers");

/// How far a certificate is.
#[derive(Clone, Debug)]
pub enum IssueProgress {
    /// It is in its Secret: the certificate itself, in DER.
    Issued(Vec<u8>),
    /// Not yet; if it stays so, this is why.
    Waiting(Error),
    /// It will not come.
    Failed(Error),
}

/// Deletes the Certificate that cert-manager made for an exposure; with the exposure it would go a moment later.
pub async fn withdraw(cluster: &Cluster, namespace: &str, name: &str, dry_run: bool) {
    let Ok(Some(certificate)) = cluster.find::<Certificate>(namespace, name).await else {
        return;
    };
    let made_by_it = certificate
        .metadata
        .owner_references
        .iter()
        .flatten()
        .any(|owner| format!("{}-tls", owner.name) == name);
    if made_by_it {
        let _ = cluster
            .delete::<Certificate>(
                namespace,
                name,
                certificate.metadata.uid.as_deref(),
                dry_run,
            )
            .await;
    }
}

/// Whether an issuer of this name is in the namespace; otherwise the cluster's is meant.
pub async fn is_of_namespace(cluster: &Cluster, namespace: &str, issuer: &str) -> bool {
    matches!(cluster.find::<Issuer>(namespace, issuer).await, Ok(Some(_)))
}

/// Looks how far the certificate for a Secret is.
pub async fn progress(
    cluster: &Cluster,
    namespace: &str,
    host: &str,
    issuer: &str,
    secret: &str,
) -> IssueProgress {
    let present = cluster.find::<Secret>(namespace, secret);
    let certificate = cluster.find::<Certificate>(namespace, secret);
    let requests = cluster.list::<CertificateRequest>(namespace, "");
    let orders = cluster.list::<Order>(namespace, "");
    let challenges = cluster.list::<Challenge>(namespace, "");
    let (present, certificate, requests, orders, challenges) =
        futures::join!(present, certificate, requests, orders, challenges);
    let certificate = certificate.ok().flatten();
    // The Secret may still hold what was issued for another host, or by another issuer, before.
    let up_to_date = certificate.as_ref().is_some_and(|certificate| {
        certificate.spec.dns_names.iter().any(|name| name == host)
            && certificate.spec.issuer_ref.name == issuer
            && certificate
                .status
                .conditions
                .iter()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    });
    if up_to_date && let Some(der) = present.ok().flatten().as_ref().and_then(for_host(host)) {
        return IssueProgress::Issued(der);
    }
    let of = |metadata: &ObjectMeta| {
        metadata
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get(FOR))
            .is_some_and(|name| name == secret)
    };
    let mut requests = requests.unwrap_or_default();
    // Those that an issuer of before has left are not about this one.
    requests.retain(|request| of(&request.metadata) && request.spec.issuer_ref.name == issuer);
    let mut orders = orders.unwrap_or_default();
    orders.retain(|order| of(&order.metadata) && order.spec.issuer_ref.name == issuer);
    // A Challenge names its Order, not the Certificate.
    let mut challenges = challenges.unwrap_or_default();
    challenges.retain(|challenge| {
        challenge
            .metadata
            .owner_references
            .iter()
            .flatten()
            .any(|owner| orders.iter().any(|order| order.name_any() == owner.name))
    });
    explain(&IssueFacts {
        issuer,
        namespace,
        host,
        secret,
        certificate: certificate.as_ref(),
        requests: &requests,
        orders: &orders,
        challenges: &challenges,
    })
}

/// The certificate in a Secret, if it is for this host.
fn for_host(host: &str) -> impl Fn(&Secret) -> Option<Vec<u8>> + '_ {
    move |secret| {
        let der = pem::parse(certificate_in(secret)?).ok()?.into_contents();
        let names = commons::web::Certificate::read(&der)?.names;
        names.iter().any(|name| covers(name, host)).then_some(der)
    }
}

struct IssueFacts<'a> {
    issuer: &'a str,
    namespace: &'a str,
    host: &'a str,
    secret: &'a str,
    certificate: Option<&'a Certificate>,
    requests: &'a [CertificateRequest],
    orders: &'a [Order],
    challenges: &'a [Challenge],
}

/// How far it is: what is closest to the issuer knows best.
fn explain(seen: &IssueFacts<'_>) -> IssueProgress {
    let Some(certificate) = seen.certificate else {
        return IssueProgress::Waiting(
            seen.failed()
                .caused_by(format!("cert-manager has made no Certificate `{}`: it does not run here, or does not act on this object", seen.secret))
                .hint(set("take another source of certificates", [Setting::Certificate(CertificateSource::Wildcard), Setting::Certificate(CertificateSource::Secret)])),
        );
    };
    let mut challenges = seen.challenges.iter();
    let mut orders = seen.orders.iter();
    let mut requests = seen.requests.iter();
    challenges
        .find_map(|challenge| seen.challenge(challenge))
        .or_else(|| orders.find_map(|order| seen.order(order)))
        .or_else(|| requests.find_map(|request| seen.request(request)))
        .unwrap_or_else(|| seen.certificate(certificate))
}

impl IssueFacts<'_> {
    fn failed(&self) -> Error {
        Error::new(format!("no certificate for {} was issued", self.host))
    }

    /// The hint to look at an object.
    fn look(&self, kind: &str, name: &str) -> String {
        let describe = shell("kubectl describe").arg(kind).arg(name);
        format!("see it whole: `{}`", describe.in_namespace(self.namespace))
    }

    /// What a challenge of the issuer complains of.
    fn challenge(&self, challenge: &Challenge) -> Option<IssueProgress> {
        let reason = printable::short(&challenge.status.reason, 300);
        if reason.is_empty() {
            return None;
        }
        let name = challenge.name_any();
        let error = self
            .failed()
            .caused_by(format!("challenge `{name}`: {reason}"))
            .hint(self.look("challenge", &name));
        Some(if is_over(&challenge.status.state) {
            IssueProgress::Failed(error)
        } else {
            IssueProgress::Waiting(error)
        })
    }

    /// That an order has failed.
    fn order(&self, order: &Order) -> Option<IssueProgress> {
        let (name, state) = (order.name_any(), &order.status.state);
        if !is_over(state) {
            return None;
        }
        let reason = printable::short(&order.status.reason, 300);
        let error = self
            .failed()
            .caused_by(format!("order `{name}` is {state}: {reason}"));
        Some(IssueProgress::Failed(
            rate_limited(&reason, error).hint(self.look("order", &name)),
        ))
    }

    /// Why a request is not approved or not ready.
    fn request(&self, request: &CertificateRequest) -> Option<IssueProgress> {
        let conditions = &request.status.conditions;
        let denied = conditions.iter().find(|condition| {
            matches!(condition.type_.as_str(), "Denied" | "InvalidRequest")
                && condition.status == "True"
        });
        let not_ready = conditions
            .iter()
            .find(|condition| condition.type_ == "Ready" && condition.status == "False");
        let condition = denied.or(not_ready)?;
        let message = printable::short(&condition.message, 300);
        let lower = message.to_ascii_lowercase();
        if lower.contains("not found") && lower.contains("issuer") {
            return Some(IssueProgress::Failed(self.no_issuer()));
        }
        if lower.contains("does not have a ready status") {
            return Some(IssueProgress::Waiting(self.issuer_not_ready()));
        }
        let name = request.name_any();
        let error = self
            .failed()
            .caused_by(format!("certificate request `{name}`: {message}"));
        let error = rate_limited(&message, error).hint(self.look("certificaterequest", &name));
        Some(if denied.is_some() || condition.reason == "Failed" {
            IssueProgress::Failed(error)
        } else {
            IssueProgress::Waiting(error)
        })
    }

    fn no_issuer(&self) -> Error {
        let others = shell("kubectl get ingress")
            .in_namespace(self.namespace)
            .then("-o yaml | grep issuer");
        self.failed()
            .caused_by(format!(
                "there is no issuer `{}`, of this namespace or of the cluster",
                self.issuer
            ))
            .hint(format!("other addresses show which there are: `{others}`"))
            .hint(set(
                "take one of those",
                [Setting::Certificate(CertificateSource::Issuer)],
            ))
    }

    fn issuer_not_ready(&self) -> Error {
        self.failed()
            .caused_by(format!("issuer `{}` is not ready: those who run the platform have not finished it, or it does not work at the moment", self.issuer))
            .hint(set("ask them, or take another source of certificates meanwhile", [Setting::Certificate(CertificateSource::Wildcard)]))
    }

    /// What the Certificate itself says.
    fn certificate(&self, certificate: &Certificate) -> IssueProgress {
        let mut conditions = certificate.status.conditions.iter();
        let waiting = conditions
            .find(|condition| condition.status == "False" || condition.type_ == "Issuing");
        let message = waiting
            .map(|condition| printable::short(&condition.message, 300))
            .filter(|message| !message.is_empty());
        let cause = message
            .as_deref()
            .unwrap_or("cert-manager has not said anything yet");
        let error = self.failed().caused_by(cause);
        let error = rate_limited(message.as_deref().unwrap_or_default(), error);
        IssueProgress::Waiting(error.hint(self.look("certificate", self.secret)))
    }
}

/// Whether a challenge or an order has failed for good.
fn is_over(state: &str) -> bool {
    matches!(state, "invalid" | "errored" | "expired")
}

/// Whether cert-manager has filled a Secret for the Certificate of the same name.
pub(super) fn is_issued(secret: &Secret) -> bool {
    secret.annotations().get("cert-manager.io/certificate-name") == secret.metadata.name.as_ref()
        && secret.metadata.name.is_some()
}

/// Let's Encrypt issues so many certificates a week for a domain (RFC 8555, 6.6).
fn rate_limited(message: &str, error: Error) -> Error {
    let lower = message.to_ascii_lowercase();
    if lower.contains("ratelimited") || lower.contains("too many certificates") {
        error
            .caused_by("the issuer gives no more certificates for this domain for a while")
            .hint(set(
                "use the platform's wildcard certificate",
                [Setting::Certificate(CertificateSource::Wildcard)],
            ))
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remedy;

    fn read<T: serde::de::DeserializeOwned>(json: serde_json::Value) -> T {
        serde_json::from_value(json).expect("an object")
    }

    fn progress(
        requests: &[CertificateRequest],
        orders: &[Order],
        challenges: &[Challenge],
    ) -> IssueProgress {
        let certificate = read(serde_json::json!({"metadata": {"name": "expose-web-tls"}}));
        explain(&IssueFacts {
            issuer: "ca",
            namespace: "user-alice",
            host: "web.example.test",
            secret: "expose-web-tls",
            certificate: Some(&certificate),
            requests,
            orders,
            challenges,
        })
    }

    #[test]
    fn the_last_step_that_failed_is_told() {
        let request = read(
            serde_json::json!({"metadata": {"name": "r"}, "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "Pending", "message": "Waiting on certificate issuance from order"}]}}),
        );
        let order =
            read(serde_json::json!({"metadata": {"name": "o"}, "status": {"state": "pending"}}));
        let challenge = read(
            serde_json::json!({"metadata": {"name": "c"}, "status": {"state": "pending", "reason": "Waiting for HTTP-01 challenge propagation: wrong status code '404', expected '200'"}}),
        );
        let IssueProgress::Waiting(error) = progress(&[request], &[order], &[challenge]) else {
            panic!("it may still come")
        };
        assert!(
            error.causes()[0].starts_with("challenge `c`: Waiting for HTTP-01"),
            "{error:?}"
        );
    }

    #[test]
    fn an_issuer_that_is_not_there_never_will_issue() {
        let request = read(
            serde_json::json!({"metadata": {"name": "r"}, "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "Pending",
            "message": "Referenced \"ClusterIssuer\" not found: clusterissuer.cert-manager.io \"typo\" not found"}]}}),
        );
        let IssueProgress::Failed(error) = progress(&[request], &[], &[]) else {
            panic!("it is final")
        };
        let issuer = Setting::Certificate(CertificateSource::Issuer);
        assert!(remedy::sets(&error, &issuer), "{error:?}");
    }

    #[test]
    fn a_rate_limit_is_said_in_words() {
        let order = read(
            serde_json::json!({"metadata": {"name": "o"}, "status": {"state": "errored", "reason": "Failed to create Order: 429 urn:ietf:params:acme:error:rateLimited: too many certificates already issued"}}),
        );
        let IssueProgress::Failed(error) = progress(&[], &[order], &[]) else {
            panic!("it is final")
        };
        let wildcard = Setting::Certificate(CertificateSource::Wildcard);
        assert!(remedy::sets(&error, &wildcard), "{error:?}");
    }

    #[test]
    fn without_cert_manager_nothing_is_made() {
        let nothing = explain(&IssueFacts {
            issuer: "ca",
            namespace: "n",
            host: "h",
            secret: "s",
            certificate: None,
            requests: &[],
            orders: &[],
            challenges: &[],
        });
        assert!(
            matches!(nothing, IssueProgress::Waiting(error) if error.causes()[0].contains("cert-manager has made no Certificate"))
        );
    }
}
