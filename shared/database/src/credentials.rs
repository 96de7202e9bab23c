//! How one logs in to a database of one's own: where its container or its operator has it, read from there.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret, SecretString};

use super::images::Image;
use super::read::read;
use super::variables::{Contents, Known, Lookup};
use super::{Database, Protocol, cnpg};
use commons::cluster::Cluster;
use commons::error::Result;

pub use super::notes::{Field, Note};
pub use super::variables::{Holder, Key, Value};

/// How to log in, as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The user.
    pub username: Option<String>,
    /// The database.
    pub dbname: Option<String>,
    /// The password, as the server has it.
    pub password: Option<SecretString>,
    /// What is not known of it, and what is odd.
    pub notes: Vec<Note>,
}

/// Where the credentials of a database stand, so that an app can be given them without a copy.
#[derive(Clone, Debug, Default)]
pub struct References {
    /// The user.
    pub username: Value,
    /// The database.
    pub dbname: Value,
    /// The password.
    pub password: Value,
    /// All of it as a URL, where somebody keeps one.
    pub uri: Value,
}

/// Where the credentials of a database are.
#[derive(Clone, Debug, Default)]
pub(crate) enum CredentialSource {
    /// Nowhere that is known.
    #[default]
    Unknown,
    /// In the variables of its container.
    Container(Box<Image>),
    /// With the `CloudNativePG` cluster of this name.
    Cnpg(String),
}

/// The credentials of a database of one's own, read where one may; for a shared one what its card says.
///
/// # Errors
/// When the API server does not answer. What may not be read or does not exist is left out, with a note.
pub async fn credentials(cluster: &Cluster, database: &Database) -> Result<Credentials> {
    Ok(login(cluster, database).await?.0)
}

/// The credentials of a database of one's own, and where they stand.
///
/// # Errors
/// As [`credentials`].
pub async fn login(cluster: &Cluster, database: &Database) -> Result<(Credentials, References)> {
    let fields = [Field::User, Field::Database, Field::Password];
    let (references, known) = find(cluster, database, &fields).await?;
    let credentials = told(database, &references, &known, &fields);
    Ok((credentials, references))
}

/// Fills in the user and the database of one's own database, where only a Secret or ConfigMap tells them; the password is not
/// looked for. What is not known or odd joins the database's warnings.
///
/// # Errors
/// As [`credentials`].
pub async fn learn_names(cluster: &Cluster, database: &mut Database) -> Result<()> {
    if database.username.is_none() || database.dbname.is_none() {
        let fields = [Field::User, Field::Database];
        let (references, known) = find(cluster, database, &fields).await?;
        let found = told(database, &references, &known, &fields);
        // A card is text for people: a name that is not is better left out than changed.
        let is_text = |name: &String| !name.contains(char::is_control);
        database.username = found.username.filter(is_text);
        database.dbname = found.dbname.filter(is_text);
        let notes = found.notes.iter().map(ToString::to_string);
        database.warnings.extend(notes);
    }
    Ok(())
}

/// The Secrets in which the password of a database of one's own stands, or may stand, as far as its pod or its operator tells;
/// none of them is read.
pub fn secrets(database: &Database) -> Vec<String> {
    let holders = match &database.source {
        CredentialSource::Unknown => Vec::new(),
        CredentialSource::Cnpg(name) => {
            let superuser = Holder::Secret(format!("{name}-superuser"));
            cnpg::secrets(name).into_iter().chain([superuser]).collect()
        }
        CredentialSource::Container(image) => match image.password(&Known::new()) {
            Ok(Value::Key(key)) => vec![key.holder],
            Err(holder) => vec![holder],
            Ok(_) => Vec::new(),
        },
    };
    let name = |holder| match holder {
        Holder::Secret(name) => Some(name),
        Holder::ConfigMap(_) => None,
    };
    holders.into_iter().filter_map(name).collect()
}

/// What of a login is known without reading anything.
pub(super) fn names_without_reading(image: &Image) -> [Option<String>; 2] {
    let nothing = Known::new();
    [image.username(&nothing), image.dbname(&nothing)].map(|value| {
        let text = value.ok()?.text(&nothing)?;
        Some(text.expose_secret().to_owned())
    })
}

/// Where the parts of a login stand, and what was read to know it.
async fn find(
    cluster: &Cluster,
    database: &Database,
    fields: &[Field],
) -> Result<(References, Known)> {
    let of_card = |text: &Option<String>| match text {
        Some(text) => Value::of(text),
        None if is_login_expected(database) => Value::Unknown(None),
        None => Value::Absent,
    };
    match &database.source {
        CredentialSource::Unknown => {
            let references = References {
                username: of_card(&database.username),
                dbname: of_card(&database.dbname),
                password: of_card(&None),
                uri: Value::Absent,
            };
            Ok((references, Known::new()))
        }
        CredentialSource::Cnpg(name) => cnpg::login(cluster, &database.namespace, name).await,
        CredentialSource::Container(image) => {
            in_container(cluster, &database.namespace, image, fields).await
        }
    }
}

/// Whether a database of one's own has a login that we failed to find: of what is shared only its card is known.
fn is_login_expected(database: &Database) -> bool {
    let has_login = matches!(
        database.protocol,
        Protocol::Postgres | Protocol::Mysql | Protocol::Mongodb | Protocol::Redis
    );
    database.owner.is_none() && has_login
}

/// Asks what the container's image is told, reads what the answers depend on, and asks again until nothing more is needed.
async fn in_container(
    cluster: &Cluster,
    namespace: &str,
    image: &Image,
    fields: &[Field],
) -> Result<(References, Known)> {
    let mut known = Known::new();
    loop {
        let ask = |field: Field, answer: &dyn Fn(&Known) -> Lookup| {
            if fields.contains(&field) {
                answer(&known)
            } else {
                Ok(Value::Absent)
            }
        };
        let answers = [
            ask(Field::User, &|known| image.username(known)),
            ask(Field::Database, &|known| image.dbname(known)),
            ask(Field::Password, &|known| image.password(known)),
        ];
        match answers {
            [Ok(username), Ok(dbname), Ok(password)] => {
                let references = References {
                    username,
                    dbname,
                    password,
                    uri: Value::Absent,
                };
                return Ok((references, known));
            }
            answers => {
                let missing: BTreeSet<Holder> =
                    answers.into_iter().filter_map(Result::err).collect();
                read(
                    cluster,
                    namespace,
                    together(image, missing, &known),
                    &mut known,
                )
                .await?;
            }
        }
    }
}

/// What is read at once: who needs one object of `envFrom` needs all of them.
fn together(image: &Image, mut missing: BTreeSet<Holder>, known: &Known) -> BTreeSet<Holder> {
    let shared: BTreeSet<Holder> = image.variables().shared_holders().collect();
    if !shared.is_disjoint(&missing) {
        missing.extend(shared);
    }
    missing.retain(|holder| !known.contains_key(holder));
    missing
}

/// The texts, with a note of each that is not known or ends in a line break.
fn told(
    database: &Database,
    references: &References,
    known: &Known,
    fields: &[Field],
) -> Credentials {
    let mut notes = Vec::new();
    let drops_line_break = match &database.source {
        CredentialSource::Container(image) => image.drops_line_break(),
        CredentialSource::Unknown | CredentialSource::Cnpg(_) => false,
    };
    let mut text = |field: Field, value: &Value| {
        if !fields.contains(&field) {
            return None;
        }
        let Some(text) = value.text(known) else {
            if !matches!(value, Value::Absent) {
                notes.push(Note::Unknown {
                    field,
                    database: database.name.clone(),
                    place: place(value, known),
                });
            }
            return None;
        };
        let of_image = drops_line_break && field == Field::Password;
        if let Value::Key(key) = value
            && value.ends_in_line_break(known)
        {
            notes.push(Note::LineBreak {
                field,
                key: key.clone(),
                is_left_out: of_image || key.is_file,
            });
        }
        Some(if of_image {
            let text = text.expose_secret().trim_end_matches(['\n', '\r']);
            text.to_owned().into()
        } else {
            text
        })
    };
    let plain = |text: SecretString| text.expose_secret().to_owned();
    Credentials {
        username: text(Field::User, &references.username).map(plain),
        dbname: text(Field::Database, &references.dbname).map(plain),
        password: text(Field::Password, &references.password),
        notes,
    }
}

/// Where a value may be that is not known.
fn place(value: &Value, known: &Known) -> Option<String> {
    match value {
        Value::Unknown(place) => place.clone(),
        Value::Key(key) => match known.get(&key.holder) {
            Some(Contents::Unreadable) => Some(format!("{}, which you may not read", key.holder)),
            _ => Some(key.to_string()),
        },
        Value::Absent | Value::Plain(_) => None,
    }
}
