//! What the API server and whoever answers at the host say of a draft, and what follows from it.

use std::time::Duration;

use kube::ResourceExt;
use tokio::time::{Instant, sleep};

use commons::cluster::Cluster;
use commons::error::{Error, Result};
use commons::printable;
use commons::web::{Answer, HttpFailure, Lookup};

use super::draft::Draft;
use super::{another_host, is_taken_by};
use crate::existing::RouteKind;
use crate::probe::{Baseline, Prober, is_taken, phrase, two_randoms};
use crate::remedy::{Setting, set};
use crate::{Options, Probing};

/// Between two looks at a host that seems taken.
const PAUSE: Duration = Duration::from_millis(300);

/// What was answered.
pub(super) struct Probed {
    /// The class that the Ingress would get; `None` for a route, or where it would get none.
    pub(super) class: Result<Option<String>>,
    /// What is answered for hosts that nobody has, or why there is no such answer.
    pub(super) baseline: Result<Baseline, HttpFailure>,
    /// What is answered at the host; `None` where it was not asked.
    pub(super) present: Option<Result<Answer, HttpFailure>>,
}

/// Asks the API server, DNS and the host. A host that seems taken is looked at for `patience`: a controller may still serve what
/// was removed a moment ago, perhaps by ourselves.
pub(super) async fn probe(
    cluster: &Cluster,
    draft: &Draft,
    prober: &Prober,
    options: &Options,
    patience: Duration,
) -> Probed {
    let host = &draft.plan.host;
    let is_dry = options.probing == Probing::Never;
    let baseline = async {
        if is_dry {
            return Err(HttpFailure::Protocol("it was not asked".into()));
        }
        prober.baseline(host, two_randoms()).await
    };
    let present = async {
        if draft.fresh && !is_dry {
            Some(prober.answer(host).await)
        } else {
            None
        }
    };
    let (class, baseline, mut present) = futures::join!(class(cluster, draft), baseline, present);
    let start = Instant::now();
    while class.is_ok()
        && !options.take
        && present
            .as_ref()
            .is_some_and(|present| is_taken(present, &baseline))
        && start.elapsed() < patience
    {
        sleep(PAUSE).await;
        present = Some(prober.answer(host).await);
    }
    Probed {
        class,
        baseline,
        present,
    }
}

/// Lets the API server look at the Ingress without storing it: its class is filled in, and what checks hosts says no.
async fn class(cluster: &Cluster, draft: &Draft) -> Result<Option<String>> {
    let plan = &draft.plan;
    let Some(mut ingress) = plan.ingress(None) else {
        return Ok(None);
    };
    ingress.metadata.owner_references = None;
    let admitted = match &draft.found.ingress {
        None => cluster.create(&plan.namespace, &ingress, true).await,
        Some(present) => {
            ingress.metadata.resource_version = present.resource_version();
            cluster.replace(&plan.namespace, &ingress, true).await
        }
    };
    let spec = admitted?.spec;
    Ok(spec.and_then(|spec| spec.ingress_class_name))
}

/// The draft with what was answered.
///
/// # Errors
/// The API server's refusal; a host that is taken, or whose name does not exist.
pub(super) fn admit(mut draft: Draft, probed: &Probed, options: &Options) -> Result<Draft> {
    let host = &draft.plan.host;
    let class = probed.class.clone().map_err(|error| refused(error, host))?;
    if let RouteKind::Ingress { class: planned } = &mut draft.plan.route_kind {
        match class {
            None => {
                let warning = Error::new("the cluster has no default ingress class");
                draft.warnings.push(warning.hint(set(
                    "if nothing answers at the address, name the class",
                    [Setting::Class],
                )));
            }
            Some(class) if planned.is_none() => {
                let learned = format!("class {class} (the cluster's default)");
                draft.learned.push(learned);
                *planned = Some(class);
            }
            Some(_) => {}
        }
    }
    if options.probing == Probing::Never && draft.fresh {
        let unchecked = format!("not checked in a dry run: whether {host} is free");
        draft.learned.push(unchecked);
    }
    let no_such_name = matches!(
        &probed.present,
        Some(Err(HttpFailure::Name {
            why: Lookup::NoSuchName,
            ..
        }))
    );
    if no_such_name && !draft.is_known_domain {
        return Err(Error::new(format!("the name {host} does not exist"))
            .caused_by("DNS knows no address for it")
            .hint(set(
                "use a host in your platform's domain (as in the addresses of your other services)",
                [Setting::Host(None)],
            )));
    }
    match &probed.present {
        Some(present) if !options.take && is_taken(present, &probed.baseline) => {
            Err(is_taken_by(host, &phrase(present)))
        }
        _ => Ok(draft),
    }
}

/// The API server's refusal; where an ingress controller knows the host, that is said.
fn refused(error: Error, host: &str) -> Error {
    match claimed_by(&error) {
        Some(other) => Error::new(format!("host {host} is already in use"))
            .caused_by(format!(
                "the ingress controller knows it from ingress {other}"
            ))
            .hint(another_host("NAME")),
        None => error,
    }
}

/// The other Ingress in the words of ingress-nginx's webhook: `host "H" and path "/" is already defined in ingress NS/NAME`.
fn claimed_by(error: &Error) -> Option<String> {
    let mut texts =
        std::iter::once(error.message()).chain(error.causes().iter().map(String::as_str));
    texts
        .find_map(|text| text.split_once("already defined in ingress "))
        .map(|(_, rest)| {
            let name: String = rest
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '/'))
                .collect();
            format!("`{}`", printable::short(&name, 130))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::Fingerprint;
    use crate::judge::tests::page;
    use crate::resolve::draft::tests::example;

    /// At a host where `present` is answered, below a domain whose other hosts answer 404.
    fn probed(
        class: Result<Option<String>>,
        present: Option<Result<Answer, HttpFailure>>,
    ) -> Probed {
        let answer = page(404, "404 page not found");
        Probed {
            class,
            baseline: Ok(Baseline {
                fingerprint: Fingerprint::of(&answer),
                answer,
            }),
            present,
        }
    }

    fn free() -> Answer {
        page(404, "404 page not found")
    }

    fn taken() -> Answer {
        page(200, "<title>Shop</title>")
    }

    fn options(take: bool, probing: Probing) -> Options {
        Options {
            take,
            probing,
            ..Options::default()
        }
    }

    #[test]
    fn a_host_is_refused_if_somebody_else_answers() {
        let class = || Ok(Some("traefik".to_owned()));
        for (present, take, is_known, refused) in [
            (Some(Ok(free())), false, true, None),
            (Some(Ok(taken())), false, true, Some("already in use")),
            (Some(Ok(taken())), true, true, None),
            (Some(no_such_name()), false, true, None),
            (Some(no_such_name()), false, false, Some("does not exist")),
            (None, false, false, None),
        ] {
            let mut draft = example();
            draft.is_known_domain = is_known;
            let options = options(take, Probing::UntilProven);
            let admitted = admit(draft, &probed(class(), present), &options);
            match (admitted, refused) {
                (Ok(_), None) => {}
                (Err(error), Some(why)) => {
                    let said = [error.message()]
                        .into_iter()
                        .chain(error.causes().iter().map(String::as_str));
                    assert!(said.collect::<String>().contains(why), "{error:?}");
                }
                (admitted, refused) => panic!("{:?} and not {refused:?}", admitted.err()),
            }
        }
    }

    fn no_such_name() -> Result<Answer, HttpFailure> {
        Err(HttpFailure::Name {
            host: "web.kub.test".into(),
            why: Lookup::NoSuchName,
        })
    }

    #[test]
    fn the_class_is_the_one_that_the_cluster_fills_in() {
        let admitted = |class, probing| {
            let probed = probed(Ok(class), None);
            admit(example(), &probed, &options(false, probing)).expect("it is free")
        };
        let draft = admitted(Some("nginx".to_owned()), Probing::UntilProven);
        let class = Some("nginx".to_owned());
        assert_eq!(draft.plan.route_kind, RouteKind::Ingress { class });
        assert!(
            draft
                .learned
                .contains(&"class nginx (the cluster's default)".to_owned())
        );
        let draft = admitted(None, Probing::Never);
        assert_eq!(
            draft.warnings[0].message(),
            "the cluster has no default ingress class"
        );
        assert!(
            draft.learned[1].starts_with("not checked in a dry run"),
            "{:?}",
            draft.learned
        );
    }

    #[test]
    fn what_the_ingress_controller_knows_is_said() {
        let refusal = Error::new("admission webhook denied the request")
            .caused_by(r#"host "h" and path "/" is already defined in ingress user-bob/shop"#);
        let error = admit(example(), &probed(Err(refusal), None), &Options::default());
        let error = error.expect_err("it is taken");
        assert_eq!(error.message(), "host web.kub.test is already in use");
        assert!(error.causes()[0].contains("user-bob/shop"), "{error:?}");
    }
}
