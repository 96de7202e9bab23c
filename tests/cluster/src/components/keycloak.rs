//! Keycloak: the issuer that Onyxia's users log in at. Its realms are those of the prepared database.

use std::{fs, net::IpAddr, os::unix::fs::symlink};

use super::{CommandLine, Setup, apiserver};
use crate::{
    certificates::Authority,
    error::{Context as _, Result},
    external,
    issuer::{AUTHORITY, Realm},
    keycloak::{self, CLASSES, DATABASE, HOME, SHARED},
    layout::{LOGIN_HOST, LOGIN_PORT, inside},
};

pub(super) fn prepare(setup: &Setup) -> Result<CommandLine> {
    let prepared = keycloak::ensure(setup.progress)?;
    let seen = Setup::cached(&prepared)?;
    let home = setup.layout.path(HOME);
    let database = home.join(DATABASE);
    // Kept when it is there: an earlier attempt may have started it.
    if !database.exists() {
        fs::create_dir_all(&database)
            .with_context(|| format!("{} cannot be made", database.display()))?;
        for &shared in SHARED {
            symlink(format!("{seen}/{HOME}/{shared}"), home.join(shared))
                .with_context(|| format!("{shared} of {HOME} cannot be linked"))?;
        }
        let made = prepared.join(HOME).join(DATABASE);
        let file = "keycloakdb.mv.db";
        fs::copy(made.join(file), database.join(file))
            .with_context(|| format!("{} cannot be copied", made.join(file).display()))?;
        let authority = Authority::named("kube-commons-login")?;
        let address = IpAddr::V4(setup.layout.address());
        let pki = setup.layout.path("pki");
        authority
            .server(LOGIN_HOST, &[LOGIN_HOST], &[address])?
            .write(&pki, "login")?;
        fs::write(setup.layout.path(AUTHORITY), authority.certificate())
            .with_context(|| format!("{AUTHORITY} cannot be written"))?;
    }
    let authority = setup.layout.path(AUTHORITY);
    let authority = fs::read_to_string(&authority)
        .with_context(|| format!("{} cannot be read", authority.display()))?;
    apiserver::trust(setup, Realm::ALL, &authority)?;

    let archive = format!("-XX:SharedArchiveFile={seen}/{CLASSES}");
    let (name, port) = (
        format!("--hostname=https://{LOGIN_HOST}:{LOGIN_PORT}"),
        format!("--https-port={LOGIN_PORT}"),
    );
    let pki =
        |option: &str, file: &str| format!("--https-{option}={}", inside(&format!("pki/{file}")));
    let (certificate, key) = (
        pki("certificate-file", "login.crt"),
        pki("certificate-key-file", "login.key"),
    );
    let java = external::command("java")
        .get_program()
        .to_string_lossy()
        .into_owned();
    let mut arguments = vec![archive.as_str()];
    arguments.extend(keycloak::JAVA);
    arguments.extend([name.as_str(), &port, &certificate, &key]);
    Ok(CommandLine::new(java, &arguments))
}
