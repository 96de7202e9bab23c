//! One source of credentials for everything that this process asks: fetched once, one fetch at a time, kept until it ends.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use jiff::Timestamp;
use rustls::sign::CertifiedKey;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::policy::Policy;
use super::settings::Origin;
use super::user::{Bearer, Pem, User};
use super::{has_ended, hints, identity, jwt, oidc};
use crate::error::{Error, Kind, Result, over};
use crate::printable;
use crate::proxy::basic;
use crate::web::Certificate;

/// Where a process gets its credentials from. Shared by all clients in it.
pub(crate) struct Credentials {
    state: Mutex<State>,
    /// How often it could not be fetched.
    failures: AtomicUsize,
    origin: Option<Origin>,
    /// The file of kubectl's preferences, if one was named.
    kuberc: Option<String>,
    stdin_is_ours: AtomicBool,
}

struct State {
    user: User,
    held: Option<Arc<Credential>>,
    /// Why it could not be fetched the last time.
    failure: Option<Error>,
}

/// What is shown to the API server.
#[derive(Default)]
pub(crate) struct Credential {
    /// The `Authorization` header, kept out of logs.
    pub(crate) header: Option<HeaderValue>,
    /// The client certificate with its key.
    pub(crate) identity: Option<Arc<CertifiedKey>>,
    ends: Option<Timestamp>,
    /// The files that it was read from, as they were then.
    files: Vec<(PathBuf, Option<Stamp>)>,
}

/// By what a change of a file is noticed.
type Stamp = (SystemTime, u64);

impl Credential {
    fn has_ended(&self) -> bool {
        self.ends.is_some_and(has_ended)
    }

    fn is_fresh(&self) -> bool {
        !self.has_ended() && self.files.iter().all(|(path, then)| stamp(path) == *then)
    }

    fn says_the_same(&self, other: &Self) -> bool {
        self.header == other.header
            && same_identity(self.identity.as_ref(), other.identity.as_ref())
    }
}

/// Whether two certificates are one.
pub(crate) fn same_identity(
    one: Option<&Arc<CertifiedKey>>,
    other: Option<&Arc<CertifiedKey>>,
) -> bool {
    one.map(|identity| &identity.cert) == other.map(|identity| &identity.cert)
}

fn stamp(path: &Path) -> Option<Stamp> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}

impl Credentials {
    pub(super) fn new(user: User, origin: Option<Origin>, kuberc: Option<String>) -> Self {
        Self {
            state: Mutex::new(State {
                user,
                held: None,
                failure: None,
            }),
            failures: AtomicUsize::new(0),
            origin,
            kuberc,
            stdin_is_ours: AtomicBool::new(true),
        }
    }

    /// The present credential, fetched if there is none or it has ended.
    ///
    /// # Errors
    /// It cannot be had: a plugin that fails, a file that is not there, a login that has ended.
    pub(crate) async fn current(&self) -> Result<Arc<Credential>> {
        let failures = self.failures.load(Ordering::Relaxed);
        let mut state = self.state.lock().await;
        match &state.held {
            Some(held) if held.is_fresh() => Ok(held.clone()),
            // A file that is just being replaced is no reason to give up what still holds.
            Some(held) if !held.has_ended() => {
                let held = held.clone();
                let fetched = self.fetch_once(&mut state, None, failures).await;
                Ok(fetched.unwrap_or(held))
            }
            _ => self.fetch_once(&mut state, None, failures).await,
        }
    }

    /// Another credential than the one that the API server has refused; `None` if there is no other.
    ///
    /// # Errors
    /// See [`Credentials::current`].
    pub(crate) async fn instead_of(
        &self,
        refused: &Arc<Credential>,
    ) -> Result<Option<Arc<Credential>>> {
        let failures = self.failures.load(Ordering::Relaxed);
        let mut state = self.state.lock().await;
        match &state.held {
            // Another request was refused too, and has fetched it.
            Some(held) if !Arc::ptr_eq(held, refused) => Ok(Some(held.clone())),
            _ => {
                let other = self.fetch_once(&mut state, Some(refused), failures).await?;
                Ok((!other.says_the_same(refused)).then_some(other))
            }
        }
    }

    /// Whether a new login in the kubeconfig takes the place of one that has ended.
    pub(crate) fn is_read_again(&self) -> bool {
        self.origin.as_ref().is_some_and(Origin::is_read_again)
    }

    /// From now on standard input belongs to another program, and a plugin must not read it.
    pub(crate) fn leave_stdin_alone(&self) {
        self.stdin_is_ours.store(false, Ordering::Relaxed);
    }

    /// Whether a program must be started to get a credential, which may ask the person something.
    pub(crate) async fn may_ask(&self) -> bool {
        matches!(self.state.lock().await.user.bearer, Bearer::Plugin(_))
    }

    /// When the login ends, if nothing here can renew it. Starts no program and asks no issuer: what renews itself does so when
    /// it is needed.
    ///
    /// # Errors
    /// See [`Credentials::current`].
    pub(crate) async fn end(&self) -> Result<Option<Timestamp>> {
        if self.state.lock().await.user.renews() {
            return Ok(None);
        }
        let held = self.current().await?;
        // The kubeconfig may have been written anew.
        let renews = self.state.lock().await.user.renews();
        Ok(held.ends.filter(|_| !renews))
    }

    /// Goes on with `work` for at most `limit`, not counting the time that a person takes to log in; `None` when time is up.
    pub(crate) async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                outcome = &mut work => return Some(outcome),
                () = sleep(limit) => {}
            }
            if self.state.try_lock().is_ok() {
                return None;
            }
            tokio::select! {
                biased;
                outcome = &mut work => return Some(outcome),
                _ = self.state.lock() => {}
            }
        }
    }

    /// Fetches it, unless another request has failed to since there were so many `failures`: an attempt can take a minute, and
    /// requests that wait for the same one share its outcome.
    async fn fetch_once(
        &self,
        state: &mut State,
        refused: Option<&Arc<Credential>>,
        failures: usize,
    ) -> Result<Arc<Credential>> {
        if self.failures.load(Ordering::Relaxed) != failures
            && let Some(failure) = &state.failure
        {
            return Err(failure.clone());
        }
        let fetched = self.fetch(state, refused).await;
        if let Err(error) = &fetched {
            state.failure = Some(error.clone());
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        fetched
    }

    async fn fetch(
        &self,
        state: &mut State,
        refused: Option<&Arc<Credential>>,
    ) -> Result<Arc<Credential>> {
        // The kubeconfig may have been written anew under a command that runs for hours.
        if state.held.is_some()
            && let Some(origin) = &self.origin
            && let Ok(Some(user)) = origin.user()
        {
            state.user = user;
        }
        let mut credential = self.bearer(&mut state.user, refused).await?;
        if let Some((certificate, key)) = &state.user.certificate {
            for pem in [certificate, key] {
                if let Pem::File(path) = pem {
                    credential.files.push((path.clone(), stamp(path)));
                }
            }
            let identity = identity::read(
                &certificate.read("client certificate")?,
                &key.read("client key")?,
            )?;
            credential.ends = sooner(credential.ends, ends(&identity));
            credential.identity = Some(identity);
        }
        let credential = Arc::new(credential);
        state.held = Some(credential.clone());
        Ok(credential)
    }

    async fn bearer(
        &self,
        user: &mut User,
        refused: Option<&Arc<Credential>>,
    ) -> Result<Credential> {
        match &mut user.bearer {
            Bearer::Nothing => Ok(Credential::default()),
            Bearer::Token(token) => of_token(token),
            Bearer::Password { user, password } => Ok(Credential {
                header: basic(user, password.expose_secret()),
                ..Credential::default()
            }),
            Bearer::File { path, otherwise } => of_file(path, otherwise.as_ref()),
            Bearer::Plugin(plugin) => {
                let policy = Policy::read(self.kuberc.as_deref())?;
                let stdin_is_ours = self.stdin_is_ours.load(Ordering::Relaxed);
                let printed = plugin.run(&policy, stdin_is_ours).await?;
                let mut credential = match &printed.token {
                    Some(token) => of_token(token)?,
                    None => Credential::default(),
                };
                // It says itself how long, or does not want to be asked again. Where this machine's clock is ahead, what it
                // printed seems to have ended: the API server will tell.
                credential.ends = printed.ends.filter(|ends| !has_ended(*ends));
                if let Some((certificate, key)) = &printed.certificate {
                    credential.identity = Some(identity::read(
                        certificate.as_bytes(),
                        key.expose_secret().as_bytes(),
                    )?);
                }
                Ok(credential)
            }
            Bearer::Oidc(login) => {
                let refused = refused.and_then(|refused| token_of(refused.header.as_ref()));
                let held = login
                    .id_token
                    .as_ref()
                    .filter(|token| oidc::is_valid(token, refused.as_ref()));
                let token = match (held, &self.origin) {
                    (Some(token), _) => token.clone(),
                    (None, Some(origin)) => oidc::id_token(origin, refused).await?,
                    (None, None) => return Err(over("its id-token has expired")),
                };
                login.id_token = Some(token.clone());
                let mut credential = of_token(&token)?;
                // Where this machine's clock is ahead, a new token seems to have ended: the API server will tell.
                credential.ends = credential.ends.filter(|ends| !has_ended(*ends));
                Ok(credential)
            }
        }
    }
}

fn of_token(token: &SecretString) -> Result<Credential> {
    let token = token.expose_secret();
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| {
        Error::of(Kind::Unauthorized, "the token contains invalid characters")
            .hint("copy the token anew, on one line")
    })?;
    header.set_sensitive(true);
    Ok(Credential {
        header: Some(header),
        ends: jwt::ends(token),
        ..Credential::default()
    })
}

fn of_file(path: &Path, otherwise: Option<&SecretString>) -> Result<Credential> {
    let before = stamp(path);
    let token = match (std::fs::read_to_string(path), otherwise) {
        (Ok(text), _) if !text.trim().is_empty() => SecretString::from(text.trim()),
        (_, Some(token)) => token.clone(),
        (outcome, None) => {
            let why = outcome
                .err()
                .map_or_else(|| "it is empty".to_owned(), |error| error.to_string());
            let path = printable::short(&path.display().to_string(), 200);
            return Err(
                Error::of(Kind::Unauthorized, "cannot get credentials for the cluster")
                    .caused_by(format!("cannot read the token file {path}: {why}"))
                    .hint(hints::FILES),
            );
        }
    };
    let mut credential = of_token(&token)?;
    // Who keeps the file up to date puts a new token there, which is noticed by the file.
    credential.ends = None;
    credential.files.push((path.to_owned(), before));
    Ok(credential)
}

fn token_of(header: Option<&HeaderValue>) -> Option<SecretString> {
    let token = header?.to_str().ok()?.strip_prefix("Bearer ")?;
    Some(SecretString::from(token))
}

/// When a certificate ends.
fn ends(identity: &CertifiedKey) -> Option<Timestamp> {
    Some(Certificate::read(identity.cert.first()?)?.not_after)
}

fn sooner(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    [one, other].into_iter().flatten().min()
}
