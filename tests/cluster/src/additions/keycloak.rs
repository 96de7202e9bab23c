//! Keycloak, which runs as a component: it must be there when nothing else is, and pods cannot be asked who the user is.

use serde_json::{Value, json};

use super::{PATIENCE, Site};
use crate::{
    api::Api,
    error::{Error, Result},
    issuer::{Issuer, Realm},
    node, users, wait,
};

/// Waits until the API server takes a token of each realm. It looks for issuers that were not there only every 10 s.
pub(super) fn prove(site: &Site) -> Result<()> {
    let issuer = Issuer::of(site.layout)?;
    let name = users::DEFAULT[0];
    for &realm in Realm::ALL {
        let condition = format!("realm {} gives tokens", realm.name());
        let tokens = wait::until_ok(&condition, PATIENCE, || issuer.log_in(realm, name))?;
        let api = node::server(site.layout)?.connect(&json!({"token": tokens.id_token}))?;
        let condition = format!("the API server trusts realm {}", realm.name());
        wait::until_ok(&condition, PATIENCE, || {
            let found = who(&api)?;
            if found == users::user_name(name) {
                Ok(())
            } else {
                Err(Error::new(format!("the user of a token is {found}")))
            }
        })?;
    }
    Ok(())
}

/// The name of the user that the API server takes a client for.
fn who(api: &Api) -> Result<Value> {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let answer = api.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", &review)?;
    Ok(answer.unwrap_or_default()["status"]["userInfo"]["username"].clone())
}
