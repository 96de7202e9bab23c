//! Client certificates of every make, signed by the node's authority with openssl, all for the same person.

use std::fs;
use std::path::Path;
use std::process::Command;

use test_cluster::Progress;
use test_cluster::machine::{Package, ensure_packages};

use crate::parity::ground::Pair;

/// Client certificates of every make.
pub(super) struct Certificates {
    /// As `openssl x509 -req` makes them without extensions: version 1.
    pub(super) v1_rsa: Pair,
    pub(super) v1_ec: Pair,
    /// The key as PKCS#8.
    pub(super) rsa: Pair,
    /// The same key as PKCS#1.
    pub(super) rsa_pkcs1: String,
    /// The same key, encrypted.
    pub(super) rsa_encrypted: String,
    /// The key as PKCS#8.
    pub(super) p384: Pair,
    /// The same key as SEC1, with the block of parameters before it that `openssl ecparam` writes.
    pub(super) p384_sec1: String,
    pub(super) p521: Pair,
    pub(super) ed25519: Pair,
    pub(super) expired: Pair,
    /// The certificate that the API server answers with.
    pub(super) server: String,
}

impl Certificates {
    /// Makes them for this user in this folder.
    pub(super) fn new(dir: &Path, pki: &Path, user: &str) -> Self {
        let needed = Package {
            name: "openssl",
            shows: "openssl",
        };
        ensure_packages(&[needed], &Progress::new()).unwrap_or_else(|error| panic!("{error}"));
        fs::create_dir_all(dir).unwrap();
        let maker = Maker { dir, pki, user };
        let rsa = maker.key("rsa", "RSA", Some("rsa_keygen_bits:2048"));
        let ec = |curve: &str| maker.key(curve, "EC", Some(&format!("ec_paramgen_curve:{curve}")));
        let (p256, p384, p521) = (ec("P-256"), ec("P-384"), ec("P-521"));
        let ed25519 = maker.key("ed25519", "ED25519", None);
        let converted = |command: &[&str], from: &str| {
            let out = maker.path("converted");
            openssl(&[command, &["-in", from, "-out", &out]].concat());
            fs::read_to_string(out).unwrap()
        };
        let sec1 = converted(&["ec"], &p384);
        let parameters =
            "-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n";
        let encrypt = ["pkcs8", "-topk8", "-passout", "pass:secret"];
        let made = Self {
            v1_rsa: maker.sign(&rsa, "1", false),
            v1_ec: maker.sign(&p256, "1", false),
            rsa: maker.sign(&rsa, "1", true),
            rsa_pkcs1: converted(&["rsa", "-traditional"], &rsa),
            rsa_encrypted: converted(&encrypt, &rsa),
            p384: maker.sign(&p384, "1", true),
            p384_sec1: format!("{parameters}{sec1}"),
            p521: maker.sign(&p521, "1", true),
            ed25519: maker.sign(&ed25519, "1", true),
            expired: maker.sign(&p256, "-1", true),
            server: fs::read_to_string(pki.join("apiserver.crt")).unwrap(),
        };
        assert!(made.rsa_pkcs1.contains("BEGIN RSA PRIVATE KEY"));
        assert!(made.p384_sec1.contains("BEGIN EC PRIVATE KEY"));
        assert!(made.rsa_encrypted.contains("BEGIN ENCRYPTED PRIVATE KEY"));
        made
    }
}

struct Maker<'a> {
    dir: &'a Path,
    pki: &'a Path,
    user: &'a str,
}

impl Maker<'_> {
    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// Makes a key and returns its path.
    fn key(&self, name: &str, algorithm: &str, option: Option<&str>) -> String {
        let path = self.path(&format!("{name}.key"));
        let mut args = vec!["genpkey", "-algorithm", algorithm, "-out", &path];
        args.extend(option.iter().flat_map(|option| ["-pkeyopt", option]));
        openssl(&args);
        path
    }

    /// A certificate for this key, for so many days; with an extension it is version 3, without any version 1.
    fn sign(&self, key: &str, days: &str, extension: bool) -> Pair {
        let (request, out) = (self.path("request"), self.path("signed"));
        let subject = format!("/CN={}", self.user);
        openssl(&[
            "req", "-new", "-key", key, "-subj", &subject, "-out", &request,
        ]);
        let pki = |name: &str| self.pki.join(name).display().to_string();
        let (ca, ca_key) = (pki("ca.crt"), pki("ca.key"));
        let mut args = vec!["x509", "-req", "-in", &request, "-CA", &ca];
        args.extend(["-CAkey", &ca_key, "-set_serial", "77", "-days", days]);
        args.extend(["-out", &out]);
        let extensions = self.path("extensions");
        if extension {
            fs::write(&extensions, "extendedKeyUsage=clientAuth\n").unwrap();
            args.extend(["-extfile", &extensions]);
        }
        openssl(&args);
        let version = if extension {
            "Version: 3"
        } else {
            "Version: 1"
        };
        let text = openssl(&["x509", "-in", &out, "-noout", "-text"]);
        assert!(
            text.contains(version),
            "openssl made another version: {text}"
        );
        Pair {
            certificate: fs::read_to_string(out).unwrap(),
            key: fs::read_to_string(key).unwrap(),
        }
    }
}

fn openssl(args: &[&str]) -> String {
    e2e::run(Command::new("openssl").args(args)).ok().stdout
}
