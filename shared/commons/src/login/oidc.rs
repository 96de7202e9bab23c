//! `auth-provider: oidc`: an id-token that has ended is renewed at its issuer with the refresh token, and both are kept in the
//! kubeconfig, where kubectl finds them (client-go's `plugin/pkg/client/auth/oidc`, as of v0.35).

use std::fs::File;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::oneshot;
use tower::ServiceExt;

use super::settings::Origin;
use super::transport::transport;
use super::user::{Bearer, Oidc};
use super::{hints, jwt, pem, store};
use crate::error::{Error, Kind, Result, over, why_unreachable};
use crate::printable;
use crate::proxy::{Proxies, basic};

/// How long the issuer may take for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a kubectl that was faster may take to write what it got.
const OTHERS_WRITE: Duration = Duration::from_secs(1);

/// Held from the question to the issuer until the answer is kept: to end the process in between would lose the login.
static SPENDING: Mutex<()> = Mutex::new(());

/// Waits until a renewal that is under way has been kept, and lets none begin. To be called before the process ends.
pub(super) fn settle() {
    std::mem::forget(SPENDING.lock().unwrap_or_else(PoisonError::into_inner));
}

/// A valid id-token that is not the one `refused`. The renewal has a thread of its own, so that an interrupted command finishes
/// it.
///
/// # Errors
/// The login has ended for good, or the issuer cannot be asked.
pub(super) async fn id_token(
    origin: &Origin,
    refused: Option<SecretString>,
) -> Result<SecretString> {
    let (sender, receiver) = oneshot::channel();
    let origin = origin.clone();
    std::thread::spawn(move || {
        let renewed = renew(&origin, refused.as_ref(), || !sender.is_closed());
        let (outcome, file) = match renewed {
            Ok((token, file)) => (Ok(token), file),
            Err(error) => (Err(error), None),
        };
        let _ = sender.send(outcome);
        // A disk may take minutes for it; nobody waits.
        if let Some(file) = file {
            let _ = file.sync_data();
        }
    });
    let outcome = receiver.await;
    outcome.unwrap_or_else(|_| Err(Error::new("cannot renew the login")))
}

/// The token, and the file where it was kept, if that was done here.
fn renew(
    origin: &Origin,
    refused: Option<&SecretString>,
    wants: impl Fn() -> bool,
) -> Result<(SecretString, Option<File>)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new("cannot renew the login").caused_by(error.to_string()))?;
    let _place = store::queue(&current(origin)?.file, &wants)?;
    loop {
        // Others may have renewed it while this one waited.
        let login = current(origin)?;
        if let Some(token) = login
            .id_token
            .as_ref()
            .filter(|token| is_valid(token, refused))
        {
            return Ok((token.clone(), None));
        }
        let Some(refresh_token) = login.refresh_token.clone() else {
            return Err(over(
                "its id-token has expired, and the kubeconfig has no refresh token",
            ));
        };
        store::check(&login.file)?;
        let issuer = Issuer::of(&login)?;
        let endpoint = runtime.block_on(issuer.token_endpoint())?;
        let spending = SPENDING.lock().unwrap_or_else(PoisonError::into_inner);
        if !wants() {
            return Err(Error::new("the command was interrupted"));
        }
        match runtime.block_on(issuer.refresh(&endpoint, &login, refresh_token.expose_secret()))? {
            Refreshed::Tokens(tokens) => {
                let mut new = vec![("id-token", tokens.id_token.expose_secret())];
                if let Some(token) = &tokens.refresh_token {
                    new.push(("refresh-token", token.expose_secret()));
                }
                let file = store::keep(&login.file, origin.user_name(), &new)?;
                return Ok((tokens.id_token, Some(file)));
            }
            Refreshed::Refused(why) => {
                drop(spending);
                if !was_replaced(origin, &refresh_token)? {
                    return Err(ended(&login.issuer, refresh_token.expose_secret(), &why));
                }
            }
        }
    }
}

/// Whether a kubectl beside us was faster, and has kept the next refresh token.
fn was_replaced(origin: &Origin, spent: &SecretString) -> Result<bool> {
    let start = Instant::now();
    loop {
        let now = current(origin)?.refresh_token;
        if now.is_some_and(|now| now.expose_secret() != spent.expose_secret()) {
            return Ok(true);
        }
        if start.elapsed() > OTHERS_WRITE {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The login as the kubeconfig has it now.
fn current(origin: &Origin) -> Result<Oidc> {
    match origin.user()?.map(|user| user.bearer) {
        Some(Bearer::Oidc(login)) => Ok(login),
        _ => Err(over("the kubeconfig was changed meanwhile")),
    }
}

/// Whether a token has not ended, and was not refused.
pub(super) fn is_valid(token: &SecretString, refused: Option<&SecretString>) -> bool {
    let token = token.expose_secret();
    refused.is_none_or(|refused| refused.expose_secret() != token)
        && jwt::ends(token).is_some_and(|ends| !super::has_ended(ends))
}

/// That a refresh token is not accepted any more, in the issuer's words.
fn ended(issuer: &str, refresh_token: &str, why: &str) -> Error {
    if jwt::is_bound(refresh_token) {
        return over("its refresh token only works in the browser that it was made for (DPoP)")
            .without_hints()
            .hint("run the script of My account, Kubernetes, again: it works for some minutes each time")
            .hint("for longer, ask your cluster administrator for a kubeconfig with a credential plugin (kubelogin)");
    }
    let issuer = printable::short(issuer, 200);
    over(&format!(
        "{issuer} does not renew it: {}",
        printable::short(why, 200)
    ))
}

struct Tokens {
    id_token: SecretString,
    refresh_token: Option<SecretString>,
}

enum Refreshed {
    Tokens(Tokens),
    /// The refresh token is not accepted, in the issuer's words.
    Refused(String),
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Who makes the tokens.
struct Issuer {
    url: String,
    authority: Option<Vec<Vec<u8>>>,
}

impl Issuer {
    fn of(login: &Oidc) -> Result<Self> {
        let url = login.issuer.trim_end_matches('/').to_owned();
        let authority = match &login.authority {
            Some(pem) => Some(pem::certificates(
                &pem.read("issuer's certificate authority")?,
                "issuer",
            )?),
            None => None,
        };
        match url
            .parse::<Uri>()
            .ok()
            .and_then(|uri| uri.scheme().cloned())
        {
            Some(scheme) if scheme == *"https" || scheme == *"http" => Ok(Self { url, authority }),
            _ => Err(Error::new("the login cannot be renewed")
                .caused_by("`idp-issuer-url` of the kubeconfig is not a URL")
                .hint(hints::VIEW)),
        }
    }

    /// Where tokens are to be asked for (`OpenID` Connect Discovery 1.0).
    async fn token_endpoint(&self) -> Result<Uri> {
        let address = format!("{}/.well-known/openid-configuration", self.url);
        let request = Request::get(address).body(Body::empty());
        let (status, body) = self
            .send(request.map_err(|error| self.refused(&error.to_string()))?)
            .await?;
        let endpoint: Option<Uri> = body["token_endpoint"]
            .as_str()
            .and_then(|url| url.parse().ok());
        // The refresh token goes there.
        let is_safe =
            |uri: &Uri| uri.scheme_str() == Some("https") || self.url.starts_with("http:");
        endpoint
            .filter(|endpoint| status.is_success() && is_safe(endpoint))
            .ok_or_else(|| {
                self.refused(&format!("does not say where to ask for tokens ({status})"))
            })
    }

    /// Asks for new tokens (RFC 6749, section 6).
    async fn refresh(
        &self,
        endpoint: &Uri,
        login: &Oidc,
        refresh_token: &str,
    ) -> Result<Refreshed> {
        let plain = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
        ];
        let with = |more: &[(&'static str, &str)]| self.form(endpoint, &[&plain, more].concat());
        let (status, body) = match &login.secret {
            // A public client says who it is, and that is all.
            None => self.send(with(&[("client_id", &login.client)])?).await?,
            Some(secret) => {
                let secret = secret.expose_secret();
                let mut request = with(&[])?;
                if let Some(value) = basic(&encoded(&login.client), &encoded(secret)) {
                    request.headers_mut().insert(AUTHORIZATION, value);
                }
                let (status, body) = self.send(request).await?;
                // As Go's oauth2: some issuers want the secret in the form.
                if status.is_success() || body["error"] == "invalid_grant" {
                    (status, body)
                } else {
                    self.send(with(&[
                        ("client_id", &login.client),
                        ("client_secret", secret),
                    ])?)
                    .await?
                }
            }
        };
        self.read(status, &body, refresh_token)
    }

    fn read(&self, status: StatusCode, body: &Value, refresh_token: &str) -> Result<Refreshed> {
        let text = |key: &str| {
            body[key]
                .as_str()
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        if status.is_success() {
            let id_token = text("id_token").ok_or_else(|| {
                self.refused("gave no id-token (was the scope `openid` asked for at the login?)")
            })?;
            return Ok(Refreshed::Tokens(Tokens {
                id_token: id_token.into(),
                refresh_token: text("refresh_token").map(SecretString::from),
            }));
        }
        let code = text("error").unwrap_or_default();
        let why = text("error_description").unwrap_or_else(|| code.clone());
        let is_over =
            code == "invalid_grant" || (status.is_client_error() && jwt::is_bound(refresh_token));
        if is_over {
            return Ok(Refreshed::Refused(why));
        }
        let answered = format!("answered {status} {}", printable::short(&why, 200));
        let answered = answered.trim_end();
        if status.is_server_error() {
            return Err(self.unreachable(answered));
        }
        Err(self.refused(answered))
    }

    fn form(&self, to: &Uri, fields: &[(&str, &str)]) -> Result<Request<Body>> {
        let fields: Vec<String> = fields
            .iter()
            .map(|(key, value)| format!("{key}={}", encoded(value)))
            .collect();
        Request::builder()
            .method(Method::POST)
            .uri(to.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(Body::from(fields.join("&").into_bytes()))
            .map_err(|error| self.refused(&error.to_string()))
    }

    /// Sends a request; the answer as JSON, null where it is none.
    async fn send(&self, request: Request<Body>) -> Result<(StatusCode, Value)> {
        let mut config = kube::Config::new(request.uri().clone());
        config.root_cert.clone_from(&self.authority);
        let transport = transport(&config, Proxies::from_env().for_url(request.uri()), None)?;
        let work = async {
            let response = transport.oneshot(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), 1 << 20)
                .collect()
                .await?
                .to_bytes();
            Ok::<_, tower::BoxError>((status, serde_json::from_slice(&body).unwrap_or_default()))
        };
        match tokio::time::timeout(TIMEOUT, work).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.unanswered(&why_unreachable(&*error))),
            Err(_) => Err(self.unreachable("did not answer in time")),
        }
    }

    fn unanswered(&self, why: &str) -> Error {
        if why.contains("is not signed by the authority") {
            return self
                .failed("its certificate is not signed by an authority that this machine trusts")
                .hint("name its authority in the kubeconfig: `idp-certificate-authority` of `auth-provider`");
        }
        self.unreachable(why)
    }

    /// No answer, or none that says anything about the login.
    fn unreachable(&self, why: &str) -> Error {
        self.failed(why)
            .hint("check the network or VPN, then retry: your login may still be valid")
    }

    /// An answer to a wrong question.
    fn refused(&self, why: &str) -> Error {
        self.failed(why)
            .hint("check `client-id` and `idp-issuer-url` in the kubeconfig, or get a new one (on Onyxia: My account, Kubernetes)")
    }

    fn failed(&self, why: &str) -> Error {
        let issuer = printable::short(&self.url, 200);
        Error::of(Kind::Unreachable, "the login cannot be renewed")
            .caused_by(format!("{issuer}: {why}"))
    }
}
