//! The issuer that users log in at: its realms, the tokens that it gives, and what its admin can do and see.

use std::time::Duration;

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::{
    api::Api,
    error::{Context as _, Error, Result},
    kubeconfig::Server,
    layout::{LOGIN_HOST, LOGIN_PORT, Layout},
};

/// The client of the issuer that stands for the API server, as at Onyxia.
pub(crate) const CLIENT: &str = "onyxia-k8s-apiserver";
/// The issuer's admin, and their password.
pub(crate) const ADMIN: &str = "admin";
/// The certificate (PEM) of the authority that signed the issuer's, below the state.
pub(crate) const AUTHORITY: &str = "pki/login-ca.crt";

/// How many events are looked through for those of a user.
const EVENTS: usize = 5000;

/// A realm of the issuer. All have the same users; they differ in how long a login lasts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Realm {
    /// As at Onyxia, with Keycloak's defaults: id-tokens of 300 s, refresh tokens that can be used many times.
    #[default]
    Sspcloud,
    /// id-tokens of 30 s.
    Short,
    /// id-tokens of 30 s, and each refresh token can be used once.
    SingleUse,
}

/// How long a login lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// How long an id-token is valid; in whole seconds.
    pub id_token: Duration,
    /// Whether a refresh token can be used only once.
    pub single_use: bool,
    /// How long a session lasts without a refresh; in whole seconds.
    pub session: Duration,
}

/// What a user gets at a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Who it is, for the API server.
    pub id_token: String,
    /// Gets the next tokens.
    pub refresh_token: String,
}

/// How often refresh tokens of a user were presented.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refreshes {
    /// Those that got new tokens.
    pub succeeded: usize,
    /// Those that were refused.
    pub failed: usize,
}

/// Keycloak on the own node.
pub struct Issuer {
    api: Api,
}

impl Realm {
    /// Every realm.
    pub const ALL: &[Self] = &[Self::Sspcloud, Self::Short, Self::SingleUse];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sspcloud => "sspcloud",
            Self::Short => "short",
            Self::SingleUse => "single-use",
        }
    }

    /// The URL that its tokens name as their issuer.
    pub fn url(self) -> String {
        format!("https://{LOGIN_HOST}:{LOGIN_PORT}/realms/{}", self.name())
    }

    /// How long a login lasts, unless it was changed.
    pub fn lifetimes(self) -> Lifetimes {
        Lifetimes {
            id_token: Duration::from_secs(if self == Self::Sspcloud { 300 } else { 30 }),
            single_use: self == Self::SingleUse,
            session: Duration::from_mins(30),
        }
    }
}

impl Lifetimes {
    /// As Keycloak's settings of a realm.
    pub(crate) fn settings(self) -> Value {
        json!({
            "accessTokenLifespan": self.id_token.as_secs(),
            "revokeRefreshToken": self.single_use,
            "refreshTokenMaxReuse": 0,
            "ssoSessionIdleTimeout": self.session.as_secs(),
        })
    }
}

impl Issuer {
    /// The issuer of a node; nothing is sent yet. By its address: this machine does not know its name.
    pub(crate) fn of(layout: &Layout) -> Result<Self> {
        let authority = layout.path(AUTHORITY);
        let authority = std::fs::read_to_string(&authority)
            .with_context(|| format!("{} cannot be read", authority.display()))?;
        let url = format!("https://{}:{LOGIN_PORT}", layout.address());
        Ok(Self {
            api: Server::new(&url, &authority).connect(&json!({}))?,
        })
    }

    /// Logs in with the password, as a browser would.
    pub fn log_in(&self, realm: Realm, name: &str) -> Result<Tokens> {
        let answer = self.grant(realm.name(), CLIENT, name)?;
        let token = |kind: &str| {
            let token = answer[kind].as_str().map(str::to_owned);
            token.ok_or_else(|| Error::new(format!("the issuer gave no {kind}")))
        };
        Ok(Tokens {
            id_token: token("id_token")?,
            refresh_token: token("refresh_token")?,
        })
    }

    /// Ends every session of a user: no refresh token of theirs works any more. An id-token goes on until it expires.
    pub fn end_sessions(&self, realm: Realm, name: &str) -> Result<()> {
        let id = self.user_id(realm, name)?;
        self.admin("POST", realm, &format!("users/{id}/logout"), &Value::Null)
            .map(drop)
    }

    /// Counts the refreshes of a user since they were added.
    pub fn refreshes(&self, realm: Realm, name: &str) -> Result<Refreshes> {
        let id = self.user_id(realm, name)?;
        let path = format!("events?type=REFRESH_TOKEN&type=REFRESH_TOKEN_ERROR&max={EVENTS}");
        Ok(count(&self.admin("GET", realm, &path, &Value::Null)?, &id))
    }

    /// Changes how long logins last, for every user of the realm and from their next token on.
    pub fn set_lifetimes(&self, realm: Realm, lifetimes: Lifetimes) -> Result<()> {
        self.admin("PUT", realm, "", &lifetimes.settings())
            .map(drop)
    }

    /// Makes a user anew, with these groups and the own name as the password.
    pub(crate) fn add_user(&self, realm: Realm, name: &str, groups: &[&str]) -> Result<()> {
        for group in groups {
            self.admin("POST", realm, "groups", &json!({"name": group}))?;
        }
        let paths: Vec<_> = groups.iter().map(|group| format!("/{group}")).collect();
        let paths: Vec<_> = paths.iter().map(String::as_str).collect();
        let users = json!({"ifResourceExists": "OVERWRITE", "users": [user(name, &paths)]});
        self.admin("POST", realm, "partialImport", &users).map(drop)
    }

    fn user_id(&self, realm: Realm, name: &str) -> Result<String> {
        let path = format!("users?exact=true&username={name}");
        let found = self.admin("GET", realm, &path, &Value::Null)?;
        found[0]["id"]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| Error::new(format!("realm {} has no user {name}", realm.name())))
    }

    /// Sends a request of the admin and returns the answer, null when it is empty or there is such an object already.
    fn admin(&self, method: &str, realm: Realm, path: &str, body: &Value) -> Result<Value> {
        let answer = self.grant("master", "admin-cli", ADMIN)?;
        let token = answer["access_token"].as_str().unwrap_or_default();
        let authorization = format!("Bearer {token}");
        let path = format!("/admin/realms/{}/{path}", realm.name());
        let path = path.trim_end_matches('/');
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
        ];
        let (status, text) = self.api.exchange(method, path, &headers, body)?;
        match status {
            409 => Ok(Value::Null),
            200..=299 if text.is_empty() => Ok(Value::Null),
            200..=299 => serde_json::from_str(&text)
                .with_context(|| format!("the issuer's answer to {method} {path} is not JSON")),
            _ => Err(refused(&format!("{method} {path}"), status, &text)),
        }
    }

    fn grant(&self, realm: &str, client: &str, name: &str) -> Result<Value> {
        let path = format!("/realms/{realm}/protocol/openid-connect/token");
        let body = format!(
            "grant_type=password&scope=openid&client_id={client}&username={name}&password={name}"
        );
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let (status, text) = self.api.exchange("POST", &path, &headers, body)?;
        if status != 200 {
            return Err(refused(&format!("the login of {name}"), status, &text));
        }
        serde_json::from_str(&text).context("the issuer's answer to a login is not JSON")
    }
}

/// A user as Keycloak imports it. Without a name and an address it would ask for them at the first login.
pub(crate) fn user(name: &str, groups: &[&str]) -> Value {
    json!({
        "username": name,
        "enabled": true,
        "email": format!("{name}@example.test"),
        "emailVerified": true,
        "firstName": name,
        "lastName": "Example",
        "groups": groups,
        "credentials": [{"type": "password", "value": name}],
    })
}

fn refused(what: &str, status: u16, text: &str) -> Error {
    Error::new(format!("the issuer refused {what}")).because(format!("status {status}: {text}"))
}

/// Those events that tell of this user. Failures name the user only in the refresh token.
fn count(events: &Value, user: &str) -> Refreshes {
    let mut refreshes = Refreshes::default();
    for event in events.as_array().into_iter().flatten() {
        if event["details"]["refresh_token_sub"] != user && event["userId"] != user {
            continue;
        }
        match event["type"].as_str() {
            Some("REFRESH_TOKEN") => refreshes.succeeded += 1,
            Some("REFRESH_TOKEN_ERROR") => refreshes.failed += 1,
            _ => {}
        }
    }
    refreshes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_on_the_command_line_and_at_the_issuer() {
        assert_eq!(Realm::ALL, Realm::value_variants());
        for realm in Realm::ALL {
            let possible = realm.to_possible_value().unwrap();
            assert_eq!(possible.get_name(), realm.name());
        }
    }

    #[test]
    fn refreshes_of_others_and_other_events_are_not_counted() {
        let events = json!([
            {"type": "REFRESH_TOKEN", "userId": "a", "details": {"refresh_token_sub": "a"}},
            {"type": "REFRESH_TOKEN", "userId": "b", "details": {"refresh_token_sub": "b"}},
            {"type": "REFRESH_TOKEN_ERROR", "details": {"refresh_token_sub": "a"}},
            {"type": "REFRESH_TOKEN_ERROR", "details": {}},
            {"type": "LOGIN", "userId": "a"},
        ]);
        assert_eq!(
            count(&events, "a"),
            Refreshes {
                succeeded: 1,
                failed: 1
            }
        );
    }
}
