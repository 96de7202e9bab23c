//! A kubeconfig from Onyxia's account page as somebody keeps it: with a comment, behind a link, with a mode and an owner.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::PathBuf;

use e2e::{Person, Stage};
use tempfile::TempDir;
use test_cluster::{Issuer, Login, Realm, Refreshes};

use crate::logins::token;

/// Refresh tokens that count once: what is lost is lost for good.
const REALM: Realm = Realm::SingleUse;

const COMMENT: &str = "# from Onyxia; ask Ada before you change this\n";
const MODE: u32 = 0o640;
const OWNER: (u32, u32) = (4321, 1234);

/// A kubeconfig for the cluster that somebody's kubeconfig names, with this namespace and this user.
pub(super) fn with_user(person: &Person, namespace: &str, user: &str) -> String {
    let text = fs::read_to_string(&person.kubeconfig).unwrap();
    let server = value(&text, "server: ").expect("a server");
    format!(
        "apiVersion: v1
kind: Config
current-context: here
contexts:
- name: here
  context: {{cluster: here, user: me, namespace: {namespace}}}
clusters:
- name: here
  cluster: {{server: \"{server}\", insecure-skip-tls-verify: true}}
users:
- name: me
  user:
    {user}
"
    )
}

/// The value of a key on a line of its own.
pub(super) fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.trim().strip_prefix(key))
}

/// Somebody who logs in as Onyxia's users do, and their kubeconfig.
pub(super) struct Kept {
    pub(super) person: Person,
    /// The file itself, to which KUBECONFIG leads by a link.
    pub(super) file: PathBuf,
    issuer: Issuer,
    folder: TempDir,
}

impl Kept {
    pub(super) fn by(stage: &mut Stage, name: &str) -> Self {
        let mut person = stage.person_by(name, Login::Onyxia(REALM));
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("onyxia"), folder.path().join("config"));
        let text = fs::read_to_string(&person.kubeconfig).unwrap();
        fs::write(&file, format!("{COMMENT}{text}")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(MODE)).unwrap();
        chown(&file, Some(OWNER.0), Some(OWNER.1)).unwrap();
        symlink("onyxia", &link).unwrap();
        person.kubeconfig = link;
        Self {
            person,
            file,
            issuer: stage.cluster.issuer().unwrap(),
            folder,
        }
    }

    pub(super) fn text(&self) -> String {
        fs::read_to_string(&self.file).unwrap()
    }

    pub(super) fn id_token(&self) -> String {
        let text = self.text();
        let token = value(&text, "id-token: ");
        token.unwrap_or_else(|| panic!("{text}")).to_owned()
    }

    /// Lets the id-token be over, without waiting for it.
    pub(super) fn ends_now(&self) {
        let token = self.id_token();
        let text = self.text().replace(&token, &token::ended(&token));
        fs::write(&self.file, text).unwrap();
    }

    /// How often refresh tokens were presented at the issuer.
    pub(super) fn refreshes(&self) -> Refreshes {
        self.issuer.refreshes(REALM, &self.person.name).unwrap()
    }

    /// Ends the login at the issuer.
    pub(super) fn is_logged_out(&self) {
        self.issuer.end_sessions(REALM, &self.person.name).unwrap();
    }

    /// The file is what its owner made of it, but for the tokens, and nothing is left beside it.
    #[track_caller]
    pub(super) fn is_as_it_was_kept(&self) {
        let text = self.text();
        assert!(text.starts_with(COMMENT), "the comment has gone:\n{text}");
        let about = fs::metadata(&self.file).unwrap();
        assert_eq!(about.mode() & 0o7777, MODE, "the mode");
        assert_eq!((about.uid(), about.gid()), OWNER, "the owner");
        let link = fs::read_link(&self.person.kubeconfig);
        assert_eq!(link.unwrap(), PathBuf::from("onyxia"));
        let files = fs::read_dir(self.folder.path()).unwrap();
        let names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "something is left over: {names:?}");
    }
}
