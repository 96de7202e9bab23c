//! `auth-provider: oidc`: an id-token that has ended is renewed at its issuer with the refresh token, and both are kept in the
//! kubeconfig, where kubectl finds them (client-go's `plugin/pkg/client/auth/oidc`, as of v0.35).

use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::oneshot;
use tower::ServiceExt;

use super::settings::Origin;
use super::transport::{Transport, transport};
use super::user::{Bearer, Oidc};
use super::{jwt, over, pem, store};
use crate::error::{Error, Kind, Result};
use crate::printable;
use crate::proxy::{Proxies, basic};

/// How long the issuer may take for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The renewal that is under way: between the issuer's answer and the write, ending the process would lose the login.
static RENEWAL: Mutex<Option<JoinHandle<()>>> = Mutex::new(None);

/// Waits until a renewal that is under way has been kept. To be called before the process ends.
pub(super) fn settle() {
    let renewal = RENEWAL
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(renewal) = renewal {
        let _ = renewal.join();
    }
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
    let renewal = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let outcome = match runtime {
            Ok(runtime) => runtime.block_on(renew(&origin, refused.as_ref())),
            Err(error) => Err(Error::new("cannot renew the login").caused_by(error.to_string())),
        };
        let _ = sender.send(outcome);
    });
    RENEWAL
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .replace(renewal);
    receiver
        .await
        .unwrap_or_else(|_| Err(Error::new("cannot renew the login")))
}

async fn renew(origin: &Origin, refused: Option<&SecretString>) -> Result<SecretString> {
    let _place = store::queue(&current(origin)?.file)?;
    let mut spent: Option<SecretString> = None;
    loop {
        // Others may have renewed it while this one waited.
        let login = current(origin)?;
        if let Some(token) = login
            .id_token
            .as_ref()
            .filter(|token| is_valid(token, refused))
        {
            return Ok(token.clone());
        }
        let Some(refresh_token) = login.refresh_token.clone() else {
            return Err(over(
                "its id-token has expired, and the kubeconfig has no refresh token",
            ));
        };
        store::check(&login.file)?;
        match refresh(&login, refresh_token.expose_secret()).await? {
            Answer::Tokens(tokens) => {
                let kept = |(key, value): (&'static str, &Option<SecretString>)| {
                    value
                        .as_ref()
                        .map(|value| (key, value.expose_secret().to_owned()))
                };
                let new = [
                    ("id-token", &Some(tokens.id_token.clone())),
                    ("refresh-token", &tokens.refresh_token),
                ];
                let new: Vec<(&str, String)> = new.into_iter().filter_map(kept).collect();
                let new: Vec<(&str, &str)> = new
                    .iter()
                    .map(|(key, value)| (*key, value.as_str()))
                    .collect();
                store::keep(&login.file, origin.user_name(), &new)?;
                return Ok(tokens.id_token);
            }
            Answer::Refused(why) => {
                let same =
                    |spent: &SecretString| spent.expose_secret() == refresh_token.expose_secret();
                let now = current(origin)?.refresh_token;
                // A kubectl beside us was faster, and has kept the next one.
                if spent.is_none() && !now.as_ref().is_some_and(same) {
                    spent = Some(refresh_token);
                    continue;
                }
                return Err(over(&ended(
                    &login.issuer,
                    refresh_token.expose_secret(),
                    &why,
                )));
            }
        }
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

fn ended(issuer: &str, refresh_token: &str, why: &str) -> String {
    if jwt::is_bound(refresh_token) {
        return "its refresh token is bound to the browser in which it was made (DPoP), and no other program can use it".into();
    }
    let issuer = printable::short(issuer, 200);
    format!("{issuer} does not renew it: {}", printable::short(why, 200))
}

struct Tokens {
    id_token: SecretString,
    refresh_token: Option<SecretString>,
}

enum Answer {
    Tokens(Tokens),
    /// The refresh token is not accepted, in the issuer's words.
    Refused(String),
}

/// Asks the issuer for new tokens (RFC 6749, section 6).
async fn refresh(login: &Oidc, refresh_token: &str) -> Result<Answer> {
    let issuer = Issuer::of(login)?;
    let endpoint = issuer.token_endpoint().await?;
    let secret = login
        .secret
        .as_ref()
        .map(|secret| secret.expose_secret().to_owned());
    let plain = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token),
    ];
    let mut with_client = plain.to_vec();
    with_client.push(("client_id", &login.client));
    let (status, body) = match &secret {
        // A public client says who it is, and that is all.
        None => issuer.post(&endpoint, &with_client, None).await?,
        Some(secret) => {
            let header = basic(&encoded(&login.client), &encoded(secret));
            let (status, body) = issuer.post(&endpoint, &plain, header).await?;
            // As Go's oauth2: some issuers want the secret in the form.
            if status.is_success() || body["error"] == "invalid_grant" {
                (status, body)
            } else {
                with_client.push(("client_secret", secret));
                issuer.post(&endpoint, &with_client, None).await?
            }
        }
    };
    let text = |key: &str| {
        body[key]
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    if !status.is_success() {
        let code = text("error").unwrap_or_default();
        let why = text("error_description").unwrap_or_else(|| code.clone());
        return if code == "invalid_grant"
            || (status.is_client_error() && jwt::is_bound(refresh_token))
        {
            Ok(Answer::Refused(why))
        } else {
            Err(issuer.failed(&format!(
                "answered {status} {}",
                printable::short(&why, 200)
            )))
        };
    }
    let id_token = text("id_token").ok_or_else(|| {
        issuer.failed("gave no id-token (was the scope `openid` asked for at the login?)")
    })?;
    Ok(Answer::Tokens(Tokens {
        id_token: id_token.into(),
        refresh_token: text("refresh_token")
            .filter(|new| new != refresh_token)
            .map(SecretString::from),
    }))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Who makes the tokens.
struct Issuer {
    url: String,
    transport: Transport,
}

impl Issuer {
    fn of(login: &Oidc) -> Result<Self> {
        let url = login.issuer.trim_end_matches('/').to_owned();
        let unusable = |why: &str| {
            Error::new("the login cannot be renewed")
                .caused_by(why.to_owned())
                .hint("see `auth-provider` in the kubeconfig: `kubectl config view`")
        };
        let uri: Uri = url
            .parse()
            .map_err(|_| unusable("`idp-issuer-url` is not a URL"))?;
        if !matches!(uri.scheme_str(), Some("https" | "http")) {
            return Err(unusable("`idp-issuer-url` is not a URL"));
        }
        let mut config = kube::Config::new(uri.clone());
        if let Some(authority) = &login.authority {
            config.root_cert = Some(pem::certificates(
                &authority.read("issuer's certificate authority")?,
            )?);
        }
        let proxies = Proxies::from_env();
        let transport = transport(&config, proxies.for_url(&uri), None)?;
        Ok(Self { url, transport })
    }

    /// Where tokens are to be asked for (`OpenID` Connect Discovery 1.0).
    async fn token_endpoint(&self) -> Result<Uri> {
        let address = format!("{}/.well-known/openid-configuration", self.url);
        let request = Request::get(address).body(Body::empty());
        let (status, body) = self
            .send(request.map_err(|error| self.failed(&error.to_string()))?)
            .await?;
        let endpoint: Option<Uri> = body["token_endpoint"]
            .as_str()
            .and_then(|url| url.parse().ok());
        match endpoint {
            // The refresh token goes there.
            Some(endpoint)
                if status.is_success()
                    && (endpoint.scheme_str() == Some("https")
                        || self.url.starts_with("http:")) =>
            {
                Ok(endpoint)
            }
            _ => Err(self.failed(&format!("does not say where to ask for tokens ({status})"))),
        }
    }

    async fn post(
        &self,
        to: &Uri,
        form: &[(&str, &str)],
        authorization: Option<HeaderValue>,
    ) -> Result<(StatusCode, Value)> {
        let form: Vec<String> = form
            .iter()
            .map(|(key, value)| format!("{key}={}", encoded(value)))
            .collect();
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(to.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json");
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(Body::from(form.join("&").into_bytes()));
        self.send(request.map_err(|error| self.failed(&error.to_string()))?)
            .await
    }

    /// Sends a request; the answer as JSON, null where it is none.
    async fn send(&self, request: Request<Body>) -> Result<(StatusCode, Value)> {
        let work = async {
            let response = self.transport.clone().oneshot(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), 1 << 20)
                .collect()
                .await?
                .to_bytes();
            Ok::<_, tower::BoxError>((status, serde_json::from_slice(&body).unwrap_or_default()))
        };
        match tokio::time::timeout(TIMEOUT, work).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.failed(&crate::error::why_unreachable(&*error))),
            Err(_) => Err(self.failed("did not answer in time")),
        }
    }

    fn failed(&self, why: &str) -> Error {
        let issuer = printable::short(&self.url, 200);
        Error::of(Kind::Unreachable, "the login cannot be renewed")
            .caused_by(format!("{issuer}: {why}"))
            .hint("check the network or VPN, then retry; the login itself may be well")
    }
}
