//! Asks a registry about an image, as anybody may, and tells apart what goes wrong.
//!
//! The protocol is that of the OCI distribution specification 1.1 with the tokens that Docker Hub introduced. Nothing here has a
//! password, and the whole takes a bounded time and amount of data: it is a lint. What this machine sees may differ from what
//! the nodes see, which have their own network, mirrors, proxies and pull secrets, so nothing may be refused by it.

use std::time::Duration;

use commons::web::{Answer, Client, HttpFailure};
use http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use serde_json::Value;
use tokio::time::Instant;

use crate::config::{Image, Manifest, runs_on};
use crate::reference::{ImageReference, is_loopback};

/// How long all questions about an image may take together, for a command that has better to do than to wait for a hint.
pub const PATIENCE: Duration = Duration::from_millis(2500);

/// The most that is read of one answer: what registries allow a manifest to be.
const MOST: usize = 4 * 1024 * 1024;

/// How many times an answer may point elsewhere.
const REDIRECTS: usize = 4;

/// How many tags are shown in place of one that does not exist.
const SIMILAR: usize = 3;

const INDEXES_AND_MANIFESTS: HeaderValue = HeaderValue::from_static(
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json",
);

/// What a registry says about an image.
#[derive(Clone, Debug)]
pub enum Inspection {
    /// It is there.
    Found(Image),
    /// It is there, but not for the architecture asked for; these are offered.
    OtherArchitecture(Vec<String>),
    /// There is no such repository.
    NoSuchRepository,
    /// The repository is there, but no such tag or digest. Tags that look like the one asked for, the best first.
    NoSuchTag(Vec<String>),
    /// Nobody may pull it without a password, or it is not there: many registries say the same of both.
    Private,
    /// This machine has asked too often.
    RateLimited,
    /// The registry could not be asked.
    Unreachable(HttpFailure),
    /// It answered something else, as a phrase: `it answers 503 Service Unavailable`.
    #[cfg_attr(
        not(test),
        expect(
            dead_code,
            reason = "shown by tests alone: what is unclear here may be clear to the nodes"
        )
    )]
    Unclear(String),
}

/// Asks the image's registry about it, for nodes of this architecture (`amd64`).
/// `server` is the host of the cluster's API server: only beside one on this machine is a registry of this machine asked.
pub async fn inspect(
    image: &ImageReference,
    architecture: &str,
    patience: Duration,
    server: &str,
) -> Inspection {
    let client = Client::new(patience).keeping(MOST).beside(server);
    ask(client, image, architecture, patience).await
}

async fn ask(
    client: Client,
    image: &ImageReference,
    architecture: &str,
    patience: Duration,
) -> Inspection {
    let mut registry = Registry {
        client,
        origin: origin(image),
        repository: image.repository(),
        token: None,
        deadline: Instant::now() + patience,
    };
    registry
        .image(image, architecture)
        .await
        .unwrap_or_else(|seen| seen)
}

/// One repository of a registry, and what it takes to read from it.
struct Registry<'a> {
    client: Client,
    /// `https://ghcr.io`
    origin: String,
    repository: &'a str,
    /// What the registry gives to anybody who asks.
    token: Option<HeaderValue>,
    deadline: Instant,
}

impl Registry<'_> {
    /// What is known of the image; what is not `Found` as an error.
    async fn image(
        &mut self,
        image: &ImageReference,
        architecture: &str,
    ) -> Result<Inspection, Inspection> {
        let wanted = image.digest().or(image.tag()).unwrap_or("latest");
        let answer = self.read(&format!("manifests/{wanted}")).await?;
        if answer.status == 404 {
            return Err(self.missing(image, &answer).await);
        }
        let mut offered = Vec::new();
        let config = match manifest(&answer)? {
            Manifest::Image { config } => config,
            Manifest::Index(entries) => {
                for entry in &entries {
                    if !offered.contains(&entry.architecture) {
                        offered.push(entry.architecture.clone());
                    }
                }
                let Some(entry) = entries.iter().find(|entry| entry.is_for(architecture)) else {
                    return Err(Inspection::OtherArchitecture(offered));
                };
                let answer = self.found(&format!("manifests/{}", entry.digest)).await?;
                match manifest(&answer)? {
                    Manifest::Image { config } => config,
                    Manifest::Index(_) => {
                        return Err(Inspection::Unclear(
                            "its index leads to another index".to_owned(),
                        ));
                    }
                }
            }
        };
        let answer = self.found(&format!("blobs/{config}")).await?;
        let mut found = Image::read(whole(&answer)?).map_err(Inspection::Unclear)?;
        if offered.is_empty() {
            let fits = |made_for: &String| runs_on(made_for, architecture);
            if !found.architectures.is_empty() && !found.architectures.iter().any(fits) {
                return Err(Inspection::OtherArchitecture(found.architectures));
            }
        } else {
            found.architectures = offered;
        }
        Ok(Inspection::Found(found))
    }

    /// What an answer of 404 to the first question means.
    async fn missing(&mut self, image: &ImageReference, answer: &Answer) -> Inspection {
        if codes(answer).iter().any(|code| code == "NAME_UNKNOWN") {
            return Inspection::NoSuchRepository;
        }
        // Some say the same of a repository; and it is a chance to see which tags there are.
        match self.read("tags/list").await {
            Ok(answer) if answer.status == 404 => Inspection::NoSuchRepository,
            Ok(answer) => Inspection::NoSuchTag(similar(image, &answer)),
            Err(_) => Inspection::NoSuchTag(Vec::new()),
        }
    }

    /// Reads what must be there, since the registry itself named it.
    async fn found(&mut self, path: &str) -> Result<Answer, Inspection> {
        let answer = self.read(path).await?;
        if answer.status == 404 {
            return Err(Inspection::Unclear(
                "a part of the image is missing there".to_owned(),
            ));
        }
        Ok(answer)
    }

    /// Reads something of this repository; the answer is 200 or 404. Gets a token first if the registry wants one.
    async fn read(&mut self, path: &str) -> Result<Answer, Inspection> {
        let path = format!("/v2/{}/{path}", self.repository);
        let mut answer = self.follow(&path).await;
        if is_local(&self.origin) && self.origin.starts_with("http:") && speaks_tls(&answer) {
            self.origin = self.origin.replacen("http:", "https:", 1);
            answer = self.follow(&path).await;
        }
        let mut answer = answer?;
        if answer.status == 401 && self.token.is_none() {
            self.token = Some(self.get_token(&answer).await?);
            answer = self.follow(&path).await?;
        }
        match answer.status {
            200 | 404 => Ok(answer),
            401 | 403 => Err(Inspection::Private),
            429 => Err(Inspection::RateLimited),
            status => Err(unexpected(status)),
        }
    }

    /// Asks for something of the registry, and wherever that points. The token goes to the registry alone.
    async fn follow(&self, path: &str) -> Result<Answer, Inspection> {
        let mut url = parse(&format!("{}{path}", self.origin))?;
        for _ in 0..=REDIRECTS {
            let mut headers = vec![(header::ACCEPT, INDEXES_AND_MANIFESTS)];
            if let Some(token) = &self.token
                && origin_of(&url) == self.origin
            {
                headers.push((header::AUTHORIZATION, token.clone()));
            }
            let answer = self.get(&url, &headers).await?;
            let to = answer.headers.get(header::LOCATION);
            match to.and_then(|to| to.to_str().ok()) {
                Some(to) if (300..400).contains(&answer.status) => {
                    url = next(&self.origin, &url, to)?;
                }
                _ => return Ok(answer),
            }
        }
        Err(Inspection::Unclear("it redirects without end".to_owned()))
    }

    /// Asks for a token that lets anybody pull from this repository.
    async fn get_token(&self, refused: &Answer) -> Result<HeaderValue, Inspection> {
        let challenges = refused.headers.get_all(header::WWW_AUTHENTICATE);
        let Some(challenge) = challenges
            .iter()
            .filter_map(|value| value.to_str().ok())
            .find_map(Challenge::read)
        else {
            // It wants a user and a password.
            return Err(Inspection::Private);
        };
        let url = parse(&challenge.url(self.repository))?;
        may_follow(&self.origin, &url)?;
        if !may_ask(&self.origin, &url) {
            return Err(Inspection::Unclear(
                "it sends for its tokens to an address of this machine or its network".to_owned(),
            ));
        }
        let answer = self.get(&url, &[]).await?;
        match answer.status {
            200 => {}
            400 | 401 | 403 | 404 => return Err(Inspection::Private),
            429 => return Err(Inspection::RateLimited),
            status => return Err(unexpected(status)),
        }
        let body: Value = serde_json::from_slice(whole(&answer)?).unwrap_or_default();
        let token = ["token", "access_token"]
            .into_iter()
            .find_map(|name| body.get(name)?.as_str().filter(|token| !token.is_empty()));
        let value = token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
        let mut value = value
            .ok_or_else(|| Inspection::Unclear("it gives out no token to read with".to_owned()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    async fn get(
        &self,
        url: &Uri,
        headers: &[(HeaderName, HeaderValue)],
    ) -> Result<Answer, Inspection> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Inspection::Unreachable(HttpFailure::Timeout));
        }
        let answer = self.client.within(left).get(url, headers).await;
        answer.map_err(Inspection::Unreachable)
    }
}

/// Where an image's registry is: Docker Hub under another name than its own, and this machine's without TLS at first.
fn origin(image: &ImageReference) -> String {
    match image.registry() {
        "docker.io" => "https://registry-1.docker.io".to_owned(),
        registry if image.is_local() => format!("http://{registry}"),
        registry => format!("https://{registry}"),
    }
}

fn origin_of(url: &Uri) -> String {
    format!(
        "{}://{}",
        url.scheme_str().unwrap_or_default(),
        url.authority().map_or("", http::uri::Authority::as_str)
    )
}

fn is_local(origin: &str) -> bool {
    origin
        .parse::<Uri>()
        .is_ok_and(|url| url.host().is_some_and(is_loopback))
}

/// Whether a registry on this machine wants TLS after all, which servers say in different ways when spoken to without.
fn speaks_tls(answer: &Result<Answer, Inspection>) -> bool {
    match answer {
        Ok(answer) => answer.status == 400,
        Err(seen) => matches!(
            seen,
            Inspection::Unreachable(HttpFailure::Closed | HttpFailure::Protocol(_))
        ),
    }
}

fn parse(url: &str) -> Result<Uri, Inspection> {
    url.parse()
        .map_err(|_| Inspection::Unclear("it names an address that is none".to_owned()))
}

/// Where a redirect of `from` leads: to a URL, or to a path of the same server. A registry may send us nowhere that it may not send
/// us for its tokens.
fn next(registry: &str, from: &Uri, to: &str) -> Result<Uri, Inspection> {
    let url = if to.starts_with('/') && !to.starts_with("//") {
        parse(&format!("{}{to}", origin_of(from)))?
    } else {
        parse(to)?
    };
    may_follow(&origin_of(from), &url)?;
    if may_ask(registry, &url) {
        Ok(url)
    } else {
        Err(Inspection::Unclear(
            "it leads to an address of this machine or its network".to_owned(),
        ))
    }
}

/// Refuses to leave TLS: without it is only asked on this machine, and only from there.
fn may_follow(from: &str, to: &Uri) -> Result<(), Inspection> {
    match to.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if from.starts_with("http:") && is_local(from) && is_local(&origin_of(to)) => {
            Ok(())
        }
        _ => Err(Inspection::Unclear(
            "it leads to an address without TLS".to_owned(),
        )),
    }
}

/// Whether a registry may send us to this place, for its tokens, which that gets to read, or by a redirect: a name of the public kind, or its own.
fn may_ask(registry: &str, realm: &Uri) -> bool {
    let host = realm.host().unwrap_or_default();
    let own = registry
        .parse::<Uri>()
        .is_ok_and(|registry| registry.host() == Some(host));
    let is_address = host
        .trim_matches(['[', ']'])
        .parse::<std::net::IpAddr>()
        .is_ok();
    own || (host.contains('.') && !is_address && !is_loopback(host))
}

fn whole(answer: &Answer) -> Result<&[u8], Inspection> {
    if answer.truncated {
        Err(Inspection::Unclear(
            "its answer is too long, or broke off".to_owned(),
        ))
    } else {
        Ok(&answer.body)
    }
}

fn manifest(answer: &Answer) -> Result<Manifest, Inspection> {
    Manifest::read(whole(answer)?).map_err(Inspection::Unclear)
}

fn unexpected(status: u16) -> Inspection {
    let reason = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason());
    Inspection::Unclear(match reason {
        Some(reason) => format!("it answers {status} {reason}"),
        None => format!("it answers {status}"),
    })
}

/// The codes of an error (`MANIFEST_UNKNOWN`), of which registries send a list.
fn codes(answer: &Answer) -> Vec<String> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let errors = body.get("errors").and_then(Value::as_array);
    errors
        .into_iter()
        .flatten()
        .filter_map(|error| Some(error.get("code")?.as_str()?.to_owned()))
        .collect()
}

/// The tags of a list that are most like the one that is missing.
fn similar(image: &ImageReference, answer: &Answer) -> Vec<String> {
    let Some(wanted) = image.tag().filter(|_| image.digest().is_none()) else {
        return Vec::new();
    };
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let tags = body.get("tags").and_then(Value::as_array);
    let tags = tags.into_iter().flatten().filter_map(Value::as_str);
    // What a hostile registry calls a tag is not shown.
    let tags = tags.filter(|tag| format!("a:{tag}").parse::<ImageReference>().is_ok());
    let mut rated: Vec<(f64, &str)> = tags
        .map(|tag| (strsim::jaro_winkler(bare(wanted), bare(tag)), tag))
        .collect();
    rated.sort_by(|one, other| other.0.total_cmp(&one.0));
    rated
        .into_iter()
        .take(SIMILAR)
        .map(|(_, tag)| tag.to_owned())
        .collect()
}

/// A tag without the letter that some put before a version and some do not.
fn bare(tag: &str) -> &str {
    tag.strip_prefix('v').unwrap_or(tag)
}

/// Where a registry gives out tokens, from `WWW-Authenticate: Bearer realm="...",service="..."`.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    realm: String,
    service: Option<String>,
}

impl Challenge {
    /// Reads a challenge (RFC 9110, 11.6.1) of the kind that tokens answer; nothing if it is another.
    fn read(value: &str) -> Option<Self> {
        let (scheme, mut rest) = value.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service) = (None, None);
        while let Some((name, after)) = rest.split_once('=') {
            let value;
            (value, rest) = match after.trim_start().strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_once(',').unwrap_or((after, "")),
            };
            match name.trim_matches([',', ' ']).to_ascii_lowercase().as_str() {
                "realm" => realm = Some(value.trim().to_owned()),
                "service" => service = Some(value.trim().to_owned()),
                _ => {}
            }
        }
        Some(Self {
            realm: realm?,
            service,
        })
    }

    /// The URL to get a token from that lets this repository be read, whatever the challenge says of its scope.
    fn url(&self, repository: &str) -> String {
        let more = if self.realm.contains('?') { '&' } else { '?' };
        let service = self
            .service
            .as_deref()
            .map(|service| format!("service={}&", encoded(service)))
            .unwrap_or_default();
        format!(
            "{}{more}{service}scope=repository:{repository}:pull",
            self.realm
        )
    }
}

/// As a part of a query.
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b':' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests;
