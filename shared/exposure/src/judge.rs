//! What an answer at the address means: ours, somebody else's, or which step of the way fails and what to do about it.
//!
//! The way of a request is DNS, connection, certificate, controller, Service, pod. Each failure is known by what comes back,
//! by what the app answers when asked directly, and by what is answered for a host that nobody has.

use commons::error::{Error, Hint};
use commons::printable;
use commons::web::{Answer, Certificate, HttpFailure, Lookup, TlsFailure, Unconnected};

use super::fingerprint::{Fingerprint, title};
use super::gateway::ParentRef;
use super::pods::AppResponse;
use super::remedy::{CertificateSource, Remedy, Setting, set};
use super::tls::Tls;
use commons::shell::shell;

/// What is known about an exposure before its answer is looked at.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The host.
    pub host: &'a str,
    /// The app, as kubectl names it.
    pub app: &'a str,
    /// The Secret in which its certificate is, if it is one of the namespace.
    pub secret: Option<String>,
    /// The namespace.
    pub namespace: &'a str,
    /// The kind and name of what leads to it: `ingress/expose-web`.
    pub object: &'a str,
    /// How the certificate is had.
    pub tls: &'a Tls,
    /// The Service and its port.
    pub service: (&'a str, i32),
    /// The port in the pods.
    pub target: u16,
    /// What the app answers by itself.
    pub own: Option<&'a AppResponse>,
    /// What is answered for a host that nobody has.
    pub baseline: Option<&'a Fingerprint>,
    /// Policies that isolate the pods, unless the controller was let in.
    pub isolated_by: &'a [String],
    /// Whether the controller was let in by us, though the pods are isolated.
    pub let_in: bool,
    /// The Gateway of a route.
    pub gateway: Option<&'a ParentRef>,
    /// What the controller or Gateway has said of it.
    pub route_status: &'a RouteStatus,
}

/// What those who are to serve an Ingress or route have said of it, in its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteStatus {
    /// Why a Gateway refuses the route.
    pub refused: Option<String>,
    /// The Ingress's class.
    pub class: Option<String>,
    /// Whether a controller has given the Ingress an address; not all of them do.
    pub has_address: bool,
}

/// What an answer means.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// It is the app's.
    Ours,
    /// It may become the app's in a moment; if not, this is what is wrong.
    NotYet(Error),
    /// It stays so.
    Wrong(Error),
    /// Somebody else answers at this host.
    SomebodyElse(Error),
}

/// A page that was asked for, after its redirects.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The first answer, at the address itself.
    pub first: Answer,
    /// Where redirects led in the end; nothing when there were none.
    pub end: End,
}

/// How redirects ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// There were none, or they led to an answer or elsewhere.
    Fine,
    /// They came back to where they had been.
    Loop,
    /// They led from https to http at the same host, where there is no answer.
    ToHttp(String),
}

/// Judges what came back from the address.
pub fn judge(facts: &Facts<'_>, visit: &Result<Visit, HttpFailure>) -> Verdict {
    let object = facts.object;
    if let Some(refused) = &facts.route_status.refused {
        return Verdict::NotYet(
            Error::new(format!("the Gateway does not accept {object}"))
                .caused_by(refused.clone())
                .hint(set(
                    "choose another Gateway, one that the platform's documentation names",
                    [Setting::Parent],
                )),
        );
    }
    match visit {
        Err(trouble) => judge_trouble(facts, trouble),
        Ok(visit) => judge_visit(facts, visit),
    }
}

fn judge_visit(facts: &Facts<'_>, visit: &Visit) -> Verdict {
    let Facts {
        host,
        app,
        namespace,
        object,
        ..
    } = facts;
    let answer = &visit.first;
    let ours = facts.own.is_some_and(|own| own.fingerprint.fits(answer));
    let status = answer.status;
    // Where hosts that nobody has do not even resolve, or have no certificate, a 404 is what controllers say of them.
    let baseline = facts
        .baseline
        .map_or(status == 404, |baseline| baseline.fits(answer));
    if ours {
        return match &visit.end {
            End::Fine => Verdict::Ours,
            End::Loop => Verdict::Wrong(
                Error::new(format!("{app} answers, and redirects in a circle"))
                    .caused_by("the controller speaks https and passes the request on as http, and the app redirects it to https again")
                    .hint("let the app trust the header `X-Forwarded-Proto` (a setting of most frameworks: trusted proxies), or switch off its own redirect to https"),
            ),
            End::ToHttp(location) => Verdict::Wrong(
                Error::new(format!("{app} answers, and redirects from https to http"))
                    .caused_by(format!("it leads to {}", printable::short(location, 120)))
                    .hint("let the app trust the header `X-Forwarded-Proto` (a setting of most frameworks: trusted proxies, proxy headers)"),
            ),
        };
    }
    if baseline {
        let error = Error::new(match facts.gateway {
            Some(gateway) => format!("no route for {host} is served by the Gateway `{gateway}`"),
            None => format!("the controller does not know the host {host}"),
        })
        .caused_by(format!(
            "the controller returned its default {status}: it has no route for this host"
        ));
        let RouteStatus {
            class, has_address, ..
        } = facts.route_status;
        if let Some(gateway) = facts.gateway {
            return Verdict::NotYet(
                error
                    .caused_by(format!("nobody answers for the Gateway `{gateway}`: it does not exist, or takes no routes of this namespace or for this host"))
                    .hint(set("choose another Gateway, one that the platform's documentation names", [Setting::Parent])),
            );
        }
        return Verdict::NotYet(match (class, has_address) {
            (_, true) => error
                .caused_by(format!("{object} has an address all the same, so its controller is not the one that answers here, or has refused it"))
                .hint(format!("see what it says: `{}`", shell("kubectl describe").args(object.split('/')).in_namespace(namespace))),
            (Some(class), false) => error
                .caused_by(format!("no controller has taken {object}: none serves its class `{}`", printable::short(class, 80)))
                .hint(set("take the class that the platform's documentation tells, or none for the cluster's default", [Setting::Class])),
            (None, false) => error
                .caused_by(format!("no controller has taken {object}: it has no class"))
                .hint(set("name the class that the platform's documentation tells", [Setting::Class])),
        });
    }
    let (service, port) = facts.service;
    match status {
        502 | 504 => Verdict::NotYet(unreachable_pods(facts, &format!("it answers {status}"))),
        // What the Gateway API says of a route whose Service it does not know, which it may not know yet.
        500 if facts.gateway.is_some() && !answer.body.contains(&b'<') => Verdict::NotYet(
            Error::new(format!("the Gateway has nowhere to send requests for {host}"))
                .caused_by(format!("it answers 500: it does not know port {port} of service `{service}`"))
                .hint(format!("see what it says of the route: `{}`", shell("kubectl describe httproute").in_namespace(namespace))),
        ),
        503 => Verdict::NotYet(
            Error::new(format!("the controller has nowhere to send requests for {host}"))
                .caused_by(format!("it answers 503: no pod behind port {port} of service `{service}` is ready, as far as it knows"))
                .hint(format!("see the pods behind it: `{}`", shell("kubectl get endpointslices").in_namespace(namespace).then("-l").arg(format!("kubernetes.io/service-name={service}")))),
        ),
        _ => Verdict::SomebodyElse(taken(host, &format!("it answers {}", describe(answer))).caused_by(format!("it is not what {app} answers{}", facts.own.map(|own| format!(" ({})", describe(&own.answer))).unwrap_or_default()))),
    }
}

/// The controller cannot reach the pods, though the tunnel can: a policy, or a program that listens on loopback alone.
fn unreachable_pods(facts: &Facts<'_>, how: &str) -> Error {
    let Facts {
        app,
        namespace,
        target,
        ..
    } = facts;
    let error = Error::new(format!("the controller cannot reach the pods of {app}"))
        .caused_by(how.to_owned());
    if !facts.isolated_by.is_empty() {
        let policies = facts.isolated_by.join(", ");
        let error = error.caused_by(format!(
            "network polic{} {policies} let{} nobody in who is not named there",
            if facts.isolated_by.len() == 1 {
                "y"
            } else {
                "ies"
            },
            if facts.isolated_by.len() == 1 {
                "s"
            } else {
                ""
            }
        ));
        return if facts.let_in {
            error.hint(set("the controller seems to be in another namespace than the other policies say: name it", [Setting::Controller]))
        } else {
            error.hint(set("name the namespace of the ingress controller (often ingress-nginx or traefik), and it is let in", [Setting::Controller]))
        };
    }
    if facts.own.is_some() {
        return error
            .caused_by(format!("asked from within the pod, it answers at port {target}: most likely it listens on 127.0.0.1 only, where nobody else gets in"))
            .hint("make it listen on 0.0.0.0 (a setting of most servers: `--host 0.0.0.0`), and deploy it again");
    }
    error.hint(format!(
        "see what it says: `{}`",
        shell("kubectl logs").arg(app).in_namespace(namespace)
    ))
}

fn judge_trouble(facts: &Facts<'_>, trouble: &HttpFailure) -> Verdict {
    let Facts {
        host, namespace, ..
    } = facts;
    let failed = || {
        Error::new(format!("{}://{host} does not answer", facts.tls.scheme()))
            .caused_by(trouble.to_string())
    };
    match trouble {
        // A platform may make names as Ingresses come (external-dns).
        HttpFailure::Name { why: Lookup::NoSuchName, .. } => Verdict::NotYet(
            Error::new(format!("the name {host} does not exist"))
                .caused_by("DNS knows no address for it")
                .hint(set("use a host in your platform's domain (as in the addresses of your other services)", [Setting::Host(None)])),
        ),
        HttpFailure::Name { .. } => Verdict::NotYet(failed().hint(look_again("check the network of this machine, then look again", namespace))),
        HttpFailure::Local { .. } => Verdict::Wrong(
            Error::new(format!("{}://{host} is not asked", facts.tls.scheme()))
                .caused_by(trouble.to_string())
                .hint(set("use a host in your platform's domain", [Setting::Host(None)])),
        ),
        HttpFailure::Connect { why: Unconnected::Refused, .. } if *facts.tls != Tls::Off => Verdict::NotYet(
            failed().hint(set("the controller has no https here: ask your cluster administrator, or do without", [Setting::Certificate(CertificateSource::Off)])),
        ),
        HttpFailure::Connect { .. } | HttpFailure::Proxy { .. } => Verdict::NotYet(
            failed().hint(look_again("if it opens in a browser of yours all the same, this machine's network is in the way; look again", namespace)),
        ),
        HttpFailure::Tls { why, certificate } => judge_certificate(facts, why, certificate.as_deref()),
        HttpFailure::Timeout if !facts.isolated_by.is_empty() || facts.own.is_some() => {
            Verdict::NotYet(unreachable_pods(facts, "it does not answer in time"))
        }
        HttpFailure::Timeout | HttpFailure::Closed | HttpFailure::Protocol(_) => {
            Verdict::NotYet(failed().hint(look_again("look again", namespace)))
        }
    }
}

fn judge_certificate(
    facts: &Facts<'_>,
    why: &TlsFailure,
    certificate: Option<&Certificate>,
) -> Verdict {
    let Facts {
        host, namespace, ..
    } = facts;
    let error =
        Error::new(format!("the certificate at {host} is not valid")).caused_by(why.to_string());
    let shown = certificate.map(|certificate| {
        let names: Vec<String> = certificate
            .names
            .iter()
            .take(4)
            .map(|name| printable::short(name, 80))
            .collect();
        format!(
            "it is for {}, from {}",
            if names.is_empty() {
                "no name".into()
            } else {
                names.join(", ")
            },
            printable::short(&certificate.issuer, 80)
        )
    });
    let error = match shown {
        Some(shown) => error.caused_by(shown),
        None => error,
    };
    // Controllers make one up where they have none.
    let made_up = certificate.is_some_and(|certificate| {
        let issuer = certificate.issuer.to_ascii_lowercase();
        [
            "traefik default",
            "fake certificate",
            "haproxy-ingress",
            "ingress.local",
        ]
        .iter()
        .any(|sign| issuer.contains(sign))
    });
    match (why, facts.tls) {
        (TlsFailure::Handshake(_), _) => Verdict::NotYet(error.hint(look_again("look again", namespace))),
        (_, Tls::Issuer { .. }) => Verdict::NotYet(
            error.hint(format!("the controller does not show the new certificate yet; it is in secret `{}`: `{}`", facts.secret.as_deref().unwrap_or_default(), shell("kubectl get secret").in_namespace(namespace))),
        ),
        (TlsFailure::NotForThisName, Tls::Wildcard) if !made_up => Verdict::Wrong(
            error.hint(other_certificate()),
        ),
        (_, Tls::Secret(secret)) => Verdict::NotYet(
            error.hint(set(format!("put a certificate for {host} into secret `{secret}`, or choose another"), [Setting::Certificate(CertificateSource::Secret), Setting::Certificate(CertificateSource::Issuer)])),
        ),
        (_, _) if made_up || *why == TlsFailure::NotForThisName => Verdict::NotYet(
            error.caused_by("the controller has no certificate of its own for this host").hint(other_certificate()),
        ),
        (TlsFailure::UnknownIssuer, _) => Verdict::Wrong(
            error.hint("if that issuer is your organisation's, let this machine trust it (`SSL_CERT_FILE` names a file of trusted issuers)"),
        ),
        (_, _) => Verdict::Wrong(error.hint(set("tell your cluster administrator; meanwhile", [Setting::Certificate(CertificateSource::Off)]))),
    }
}

/// To look again, `how`: a phrase that ends before the command.
fn look_again(how: &str, namespace: &str) -> Hint {
    Remedy::LookAgain {
        how: how.to_owned(),
        namespace: namespace.to_owned(),
    }
    .hint(how)
}

fn other_certificate() -> Hint {
    set(
        "take a host one label below the platform's domain, or another source of certificates",
        [
            Setting::Certificate(CertificateSource::Issuer),
            Setting::Certificate(CertificateSource::Secret),
            Setting::Certificate(CertificateSource::Off),
        ],
    )
}

/// The refusal of a host at which somebody else answers: `how`, a phrase.
pub fn taken(host: &str, how: &str) -> Error {
    Error::new(format!("host {host} is already in use")).caused_by(how.to_owned())
}

/// An answer in a few words: `200, "Shop"`.
pub fn describe(answer: &Answer) -> String {
    let location = answer
        .headers
        .get(http::header::LOCATION)
        .and_then(|value| value.to_str().ok());
    match (title(answer), location) {
        (Some(title), _) => format!("{}, \"{title}\"", answer.status),
        (None, Some(location)) => {
            format!("{}, to {}", answer.status, printable::short(location, 100))
        }
        (None, None) => answer.status.to_string(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::fingerprint::answered;
    use crate::remedy;

    pub(crate) fn page(status: u16, body: &str) -> Answer {
        answered(status, HeaderMap::new(), body)
    }

    struct Case {
        own: Option<AppResponse>,
        baseline: Option<Fingerprint>,
        tls: Tls,
        isolated_by: Vec<String>,
        route_status: RouteStatus,
    }

    impl Case {
        fn new() -> Self {
            let answer = page(200, "<title>Shop</title><p>Welcome");
            Self {
                own: Some(AppResponse {
                    fingerprint: Fingerprint::of(&answer),
                    answer,
                }),
                baseline: Some(Fingerprint::of(&page(404, "404 page not found"))),
                tls: Tls::Wildcard,
                isolated_by: Vec::new(),
                route_status: RouteStatus::default(),
            }
        }

        fn judge(&self, visit: &Result<Visit, HttpFailure>) -> Verdict {
            let facts = Facts {
                host: "web-alice.kub.example.test",
                app: "deployment/web",
                secret: None,
                namespace: "user-alice",
                object: "ingress/expose-web",
                tls: &self.tls,
                service: ("web", 80),
                target: 8000,
                own: self.own.as_ref(),
                baseline: self.baseline.as_ref(),
                isolated_by: &self.isolated_by,
                let_in: false,
                gateway: None,
                route_status: &self.route_status,
            };
            judge(&facts, visit)
        }

        fn at(&self, answer: Answer) -> Verdict {
            self.judge(&Ok(Visit {
                first: answer,
                end: End::Fine,
            }))
        }
    }

    fn not_yet(verdict: Verdict) -> Error {
        match verdict {
            Verdict::NotYet(error) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_apps_own_answer_is_ours() {
        let case = Case::new();
        assert!(matches!(
            case.at(page(200, "<title>Shop</title><p>Welcome")),
            Verdict::Ours
        ));
        assert!(matches!(
            case.at(page(200, "<title>Other</title>")),
            Verdict::SomebodyElse(_)
        ));
    }

    #[test]
    fn a_controller_that_does_not_know_the_host_may_learn_it() {
        let mut case = Case::new();
        let error = not_yet(case.at(page(404, "404 page not found")));
        assert!(
            error.message().contains("does not know the host"),
            "{error:?}"
        );
        case.baseline = None;
        not_yet(case.at(page(404, "another page of a controller")));
        case.route_status.class = Some("nginx".into());
        let error = not_yet(case.at(page(404, "404 page not found")));
        assert!(error.causes()[1].contains("`nginx`"), "{error:?}");
    }

    #[test]
    fn a_bad_gateway_is_a_policy_or_loopback() {
        let mut case = Case::new();
        let error = not_yet(case.at(page(502, "Bad Gateway")));
        assert!(error.causes()[1].contains("127.0.0.1"), "{error:?}");
        case.isolated_by = vec!["`only-mine`".into()];
        let error = not_yet(case.at(page(504, "")));
        assert!(error.causes()[1].contains("only-mine"), "{error:?}");
        let error = not_yet(case.judge(&Err(HttpFailure::Timeout)));
        assert!(remedy::sets(&error, &Setting::Controller), "{error:?}");
    }

    #[test]
    fn an_app_that_fails_by_itself_is_still_ours() {
        let mut case = Case::new();
        let broken = page(503, "maintenance");
        case.own = Some(AppResponse {
            fingerprint: Fingerprint::of(&broken),
            answer: broken.clone(),
        });
        assert!(matches!(case.at(broken), Verdict::Ours));
    }

    #[test]
    fn redirects_in_circles_are_explained() {
        let case = Case::new();
        let ours = page(200, "<title>Shop</title><p>Welcome");
        let circle = case.judge(&Ok(Visit {
            first: ours.clone(),
            end: End::Loop,
        }));
        assert!(
            matches!(circle, Verdict::Wrong(error) if error.hints()[0].contains("X-Forwarded-Proto"))
        );
        let back = case.judge(&Ok(Visit {
            first: ours,
            end: End::ToHttp("http://x/".into()),
        }));
        assert!(
            matches!(back, Verdict::Wrong(error) if error.message().contains("from https to http"))
        );
    }

    #[test]
    fn a_name_that_does_not_exist_is_named() {
        let missing = HttpFailure::Name {
            host: "web".into(),
            why: Lookup::NoSuchName,
        };
        assert!(
            not_yet(Case::new().judge(&Err(missing)))
                .message()
                .contains("does not exist")
        );
    }

    #[test]
    fn certificates_are_explained_by_who_should_have_made_them() {
        let mut case = Case::new();
        let wrong_name = || HttpFailure::Tls {
            why: TlsFailure::NotForThisName,
            certificate: None,
        };
        assert!(
            matches!(case.judge(&Err(wrong_name())), Verdict::Wrong(error) if error.hints()[0].contains("one label below"))
        );
        case.tls = Tls::Secret("shop-tls".into());
        assert!(not_yet(case.judge(&Err(wrong_name()))).hints()[0].contains("secret `shop-tls`"));
        case.tls = Tls::Wildcard;
        let private = HttpFailure::Tls {
            why: TlsFailure::UnknownIssuer,
            certificate: None,
        };
        assert!(
            matches!(case.judge(&Err(private)), Verdict::Wrong(error) if error.hints()[0].contains("SSL_CERT_FILE"))
        );
    }
}
