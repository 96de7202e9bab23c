//! Probing the address from outside, as a browser would.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use http::Uri;
use http::header::LOCATION;

use super::fingerprint::Fingerprint;
use super::host::sibling;
use super::judge::{End, Visit, describe};
use commons::cluster::Cluster;
use commons::web::{Answer, Client, HttpFailure};

/// How long one request may take; a controller that cannot reach a pod takes longer to say so.
const PATIENCE: Duration = Duration::from_millis(2500);

/// How many redirects are followed.
const REDIRECTS: usize = 6;

/// What is answered for hosts that nobody has.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// One such answer.
    pub answer: Answer,
    /// What all of them have in common.
    pub fingerprint: Fingerprint,
}

/// What answers at hosts of one domain.
#[derive(Clone)]
pub struct Prober {
    client: Client,
    scheme: &'static str,
    path: String,
}

impl Prober {
    /// For addresses of this scheme that a cluster serves, asked for `path`.
    pub fn new(cluster: &Cluster, scheme: &'static str, path: &str) -> Self {
        Self {
            client: Client::new(PATIENCE).beside(cluster.server_host()),
            scheme,
            path: path.to_owned(),
        }
    }

    /// The path that is asked for.
    pub fn path(&self) -> &str {
        &self.path
    }

    async fn get(&self, url: &str) -> Result<Answer, HttpFailure> {
        let url: Uri = url
            .parse()
            .map_err(|_| HttpFailure::Protocol("the redirect leads to no URL".into()))?;
        self.client.get(&url, &[]).await
    }

    /// One answer at a host, redirects not followed.
    ///
    /// # Errors
    /// See [`HttpFailure`].
    pub async fn answer(&self, host: &str) -> Result<Answer, HttpFailure> {
        self.get(&format!("{}://{host}{}", self.scheme, self.path))
            .await
    }

    /// The page at a host, with where its redirects lead.
    ///
    /// # Errors
    /// Why there is no first answer.
    pub async fn visit(&self, host: &str) -> Result<Visit, HttpFailure> {
        let mut url = format!("{}://{host}{}", self.scheme, self.path);
        let first = self.get(&url).await?;
        let mut seen = vec![url.clone()];
        let mut answer = first.clone();
        while let Some(next) = redirect(&url, &answer) {
            let Some(rest) = next.split_once("://").map(|(_, rest)| rest) else {
                break;
            };
            let to = rest.split(['/', '?', '#']).next().unwrap_or_default();
            if !to.eq_ignore_ascii_case(host) {
                // Elsewhere, such as a login page of the platform: that is for the browser.
                break;
            }
            if seen.contains(&next) || seen.len() > REDIRECTS {
                return Ok(Visit {
                    first,
                    end: End::Loop,
                });
            }
            seen.push(next.clone());
            let downgraded = url.starts_with("https://") && next.starts_with("http://");
            url = next;
            let Ok(next) = self.get(&url).await else {
                if downgraded {
                    return Ok(Visit {
                        first,
                        end: End::ToHttp(url),
                    });
                }
                break;
            };
            answer = next;
            // A controller may send it back to https, which makes a circle; all else stays on http.
            let back = redirect(&url, &answer).is_some_and(|next| next.starts_with("https://"));
            if downgraded && !back {
                return Ok(Visit {
                    first,
                    end: End::ToHttp(url),
                });
            }
        }
        Ok(Visit {
            first,
            end: End::Fine,
        })
    }

    /// What is answered for hosts of the same domain that nobody has; nothing where that is no HTTP answer.
    ///
    /// # Errors
    /// See [`HttpFailure`]; where names are not made by a wildcard, there is none. And where what is answered has nothing in common:
    /// somebody has all hosts of the domain, and every answer would be like theirs.
    pub async fn baseline(&self, host: &str, random: (u64, u64)) -> Result<Baseline, HttpFailure> {
        let (Some(one), Some(other)) = (sibling(host, random.0), sibling(host, random.1)) else {
            return Err(HttpFailure::Protocol("it has no domain".into()));
        };
        let (one, other) = futures::join!(self.answer(&one), self.answer(&other));
        let (answer, other) = (one?, other?);
        let fingerprint = Fingerprint::of(&answer).common(&Fingerprint::of(&other));
        if fingerprint.says_nothing() {
            return Err(HttpFailure::Protocol(
                "hosts that nobody has are answered differently each time".into(),
            ));
        }
        Ok(Baseline {
            answer,
            fingerprint,
        })
    }
}

/// Where a redirect leads, whole.
fn redirect(from: &str, answer: &Answer) -> Option<String> {
    if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = answer.headers.get(LOCATION)?.to_str().ok()?;
    let (scheme, rest) = from.split_once("://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    Some(if location.contains("://") {
        location.split('#').next().unwrap_or_default().to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = path
            .split('?')
            .next()
            .unwrap_or_default()
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        format!(
            "{scheme}://{authority}/{folder}{}{location}",
            if folder.is_empty() { "" } else { "/" }
        )
    })
}

/// What somebody answers at a host, as a phrase; nothing where it is as free as hosts that nobody has.
pub async fn who_answers(cluster: &Cluster, host: &str, https: bool) -> Option<String> {
    let prober = Prober::new(cluster, if https { "https" } else { "http" }, "/");
    let (answer, baseline) =
        futures::join!(prober.answer(host), prober.baseline(host, two_randoms()));
    is_taken(&answer, &baseline).then(|| phrase(&answer))
}

/// Two numbers for hosts that nobody has.
pub fn two_randoms() -> (u64, u64) {
    let random = RandomState::new();
    (random.hash_one(1), random.hash_one(2))
}

/// What was answered, as a phrase.
pub fn phrase(answer: &Result<Answer, HttpFailure>) -> String {
    match answer {
        Ok(answer) => format!("it answers {}", describe(answer)),
        Err(trouble) => format!("something else answers there: {trouble}"),
    }
}

/// Whether a host is taken, from what it and hosts that nobody has answer.
pub fn is_taken(
    host: &Result<Answer, HttpFailure>,
    baseline: &Result<Baseline, HttpFailure>,
) -> bool {
    match (host, baseline) {
        (Ok(answer), Ok(baseline)) => !baseline.fingerprint.fits(answer),
        // A certificate for this host and not for its siblings is somebody's; what breaks off, is no HTTP, or lacks the
        // certificate that its siblings have is not the controller's refusal.
        (Ok(_), Err(HttpFailure::Tls { .. }))
        | (
            Err(
                HttpFailure::Timeout
                | HttpFailure::Closed
                | HttpFailure::Protocol(_)
                | HttpFailure::Tls { .. },
            ),
            Ok(_),
        ) => true,
        // Without a wildcard name nothing can be compared: what does not look like a controller's refusal is an answer.
        (Ok(answer), Err(_)) => !matches!(answer.status, 404 | 502 | 503),
        (Err(_), _) => false,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::fingerprint::answered;
    use commons::web::TlsFailure;

    fn page(status: u16, body: &str) -> Answer {
        answered(status, HeaderMap::new(), body)
    }

    fn free() -> Baseline {
        let answer = page(404, "404 page not found");
        Baseline {
            fingerprint: Fingerprint::of(&answer),
            answer,
        }
    }

    #[test]
    fn a_host_is_taken_when_it_answers_otherwise_than_hosts_that_nobody_has() {
        assert!(!is_taken(&Ok(page(404, "404 page not found")), &Ok(free())));
        assert!(is_taken(&Ok(page(200, "<title>Shop</title>")), &Ok(free())));
        assert!(
            is_taken(&Ok(page(404, "no such page of the shop")), &Ok(free())),
            "an app without a start page"
        );
        let untrusted = || HttpFailure::Tls {
            why: TlsFailure::UnknownIssuer,
            certificate: None,
        };
        assert!(is_taken(&Ok(page(404, "")), &Err(untrusted())));
        assert!(!is_taken(&Err(untrusted()), &Err(untrusted())));
        assert!(!is_taken(&Ok(page(503, "")), &Err(HttpFailure::Timeout)));
        assert!(
            is_taken(&Err(HttpFailure::Closed), &Ok(free())),
            "something is there"
        );
    }

    #[test]
    fn redirects_lead_where_a_browser_would_go() {
        let to = |location: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, location.parse().expect("a header"));
            redirect(
                "https://web.example.test/a/b?c=d",
                &answered(302, headers, ""),
            )
        };
        assert_eq!(
            to("/login").as_deref(),
            Some("https://web.example.test/login")
        );
        assert_eq!(to("x").as_deref(), Some("https://web.example.test/a/x"));
        assert_eq!(
            to("http://other.test/y#z").as_deref(),
            Some("http://other.test/y")
        );
        assert_eq!(
            to("//other.test/y").as_deref(),
            Some("https://other.test/y")
        );
        assert_eq!(redirect("https://a.test/", &page(200, "")), None);
    }
}
