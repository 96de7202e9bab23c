//! The name of an image, taken apart as container runtimes do it.
//!
//! The rules are those of the `reference` package of distribution (distribution/reference), which the kubelet, containerd and
//! Docker use: what it refuses never gets as far as a registry, and the pod says `InvalidImageName`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Where an image without a registry comes from.
const DOCKER_HUB: &str = "docker.io";
/// Whose images of Docker Hub have no owner in their name.
const OFFICIAL: &str = "library/";

/// The name of an image, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageReference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl ImageReference {
    /// The registry's host, with a port if one was given: `docker.io`, `localhost:5000`, `[::1]:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path in the registry: `library/nginx`, `inseefrlab/onyxia-web`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `latest` where neither it nor a digest was given.
    pub fn tag(&self) -> Option<&str> {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => Some(tag),
            (None, Some(_)) => None,
            (None, None) => Some("latest"),
        }
    }

    /// The digest, which is what counts if there is one.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Whether it names whatever is newest, so that the same manifest runs something else tomorrow.
    pub fn is_latest(&self) -> bool {
        self.digest.is_none() && self.tag() == Some("latest")
    }

    /// The name as people write it, without what goes without saying: `nginx:1.27`.
    pub fn familiar(&self) -> String {
        let repository = if self.registry == DOCKER_HUB {
            self.repository
                .strip_prefix(OFFICIAL)
                .filter(|name| !name.contains('/'))
                .unwrap_or(&self.repository)
                .to_owned()
        } else {
            format!("{}/{}", self.registry, self.repository)
        };
        let tag = self.tag.as_deref().map(|tag| format!(":{tag}"));
        let digest = self.digest.as_deref().map(|digest| format!("@{digest}"));
        repository + &tag.unwrap_or_default() + &digest.unwrap_or_default()
    }

    /// Whether its registry is the machine that pulls it: on a cluster the node, whatever runs on a laptop.
    pub fn is_local(&self) -> bool {
        is_loopback(host_and_port(&self.registry).0)
    }
}

impl fmt::Display for ImageReference {
    /// The complete name: `docker.io/library/nginx:1.27`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = self.tag() {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl FromStr for ImageReference {
    type Err = String;

    /// # Errors
    /// A phrase that says why this cannot be the name of an image.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("it is empty; an image is named like `nginx:1.27`".to_owned());
        }
        if text.contains(char::is_whitespace) {
            return Err("there is a space in it".to_owned());
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            return Err(format!("it starts with `{scheme}://`; write `{rest}`"));
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(check_digest(digest)?)),
            None => (text, None),
        };
        // A colon before the last slash is a registry's port.
        let colon = name
            .rfind(':')
            .filter(|colon| name.rfind('/').is_none_or(|slash| slash < *colon));
        let (name, tag) = match colon {
            Some(colon) => (&name[..colon], Some(check_tag(&name[colon + 1..])?)),
            None => (name, None),
        };
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if is_registry(first) => {
                check_registry(first)?;
                (
                    if first == "index.docker.io" {
                        DOCKER_HUB
                    } else {
                        first
                    },
                    rest,
                )
            }
            _ => (DOCKER_HUB, name),
        };
        check_repository(repository)?;
        if name.len() > 255 {
            return Err("it is longer than 255 characters".to_owned());
        }
        if name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(
                "it looks like an image's ID; the name of its repository is wanted".to_owned(),
            );
        }
        let official = registry == DOCKER_HUB && !repository.contains('/');
        Ok(Self {
            registry: registry.to_owned(),
            repository: format!("{}{repository}", if official { OFFICIAL } else { "" }),
            tag,
            digest,
        })
    }
}

/// Whether what stands before the first slash is a host, and not the owner of a repository.
fn is_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost"
}

fn check_registry(registry: &str) -> Result<(), String> {
    let wrong = || format!("`{registry}` cannot be the address of a registry");
    let (host, port) = host_and_port(registry);
    if let Some(port) = port
        && (port.is_empty() || port.parse::<u16>().is_err())
    {
        return Err(format!("`{port}` cannot be the port of a registry"));
    }
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']').ok_or_else(wrong)?;
        return address
            .parse::<std::net::Ipv6Addr>()
            .map(|_| ())
            .map_err(|_| wrong());
    }
    let good = host.split('.').all(|label| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    });
    if good { Ok(()) } else { Err(wrong()) }
}

fn check_repository(repository: &str) -> Result<(), String> {
    if repository.is_empty() {
        return Err("the name of the repository is missing".to_owned());
    }
    if repository.starts_with('/') || repository.ends_with('/') || repository.contains("//") {
        return Err("there is nothing between two slashes, or before or after one".to_owned());
    }
    let is_placeholder = |part: &str| {
        part.len() > 1
            && part
                .chars()
                .all(|c| c.is_ascii_uppercase() || "$_{}".contains(c))
    };
    if is_placeholder(repository) {
        return Err("it is a placeholder that nothing was put in place of".to_owned());
    }
    if repository.contains(|c: char| c.is_ascii_uppercase()) {
        return Err(format!(
            "the name of a repository has no upper-case letters; write `{}`",
            repository.to_ascii_lowercase()
        ));
    }
    let allowed = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || "/._-".contains(*c);
    if let Some(other) = repository.chars().find(|c| !allowed(c)) {
        return Err(if "$<>{}".contains(other) {
            format!("`{other}` is in it: a placeholder that nothing was put in place of")
        } else {
            format!("the name of a repository has no `{}`", other.escape_debug())
        });
    }
    match repository.split('/').find(|part| !is_component(part)) {
        Some(part) => Err(format!(
            "in `{part}` a letter or digit must stand first, last, and between `.` or more than two `_`"
        )),
        None => Ok(()),
    }
}

/// Letters and digits, with one `.`, one or two `_`, or any number of `-` in between. All characters are known to be of these.
fn is_component(part: &str) -> bool {
    let separator = |c: char| "._-".contains(c);
    if part.starts_with(separator) || part.ends_with(separator) {
        return false;
    }
    part.split(|c: char| !separator(c)).all(|between| {
        matches!(between, "" | "." | "_" | "__") || between.bytes().all(|byte| byte == b'-')
    })
}

fn check_tag(tag: &str) -> Result<String, String> {
    if tag.is_empty() {
        return Err("there is no tag after the `:`".to_owned());
    }
    if tag.len() > 128 {
        return Err("its tag is longer than 128 characters".to_owned());
    }
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if let Some(other) = tag.chars().find(|c| !word(*c) && !".-".contains(*c)) {
        return Err(if "$<>{}".contains(other) {
            format!("`{other}` is in its tag: a placeholder that nothing was put in place of")
        } else {
            format!("a tag has no `{}`", other.escape_debug())
        });
    }
    if !tag.starts_with(word) {
        return Err("a tag starts with a letter, a digit or `_`".to_owned());
    }
    Ok(tag.to_owned())
}

fn check_digest(digest: &str) -> Result<String, String> {
    if is_digest(digest) {
        Ok(digest.to_owned())
    } else {
        Err(
            "after the `@` there must be a digest: `sha256:` and 64 digits of 0-9 and a-f"
                .to_owned(),
        )
    }
}

/// Whether this is a digest that registries use today: SHA-256 or SHA-512 in lower-case hexadecimal.
pub fn is_digest(text: &str) -> bool {
    let hex = |digits: &str, length| {
        digits.len() == length
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    match text.split_once(':') {
        Some(("sha256", digits)) => hex(digits, 64),
        Some(("sha512", digits)) => hex(digits, 128),
        _ => false,
    }
}

/// `host:port` in two, `[::1]` left in its brackets.
fn host_and_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// Whether a host, an address of IPv6 in brackets, is the machine itself.
pub fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .trim_matches(['[', ']'])
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn parse(text: &str) -> Result<ImageReference, String> {
        text.parse()
    }

    #[test]
    fn names_are_completed_as_docker_does() {
        let pinned = format!("nginx@{SHA}");
        let both = format!("ghcr.io/a/b:1@{SHA}");
        for (text, complete, familiar) in [
            ("nginx", "docker.io/library/nginx:latest", "nginx"),
            ("nginx:1.27", "docker.io/library/nginx:1.27", "nginx:1.27"),
            ("docker.io/nginx:1", "docker.io/library/nginx:1", "nginx:1"),
            (
                "docker.io/library/nginx",
                "docker.io/library/nginx:latest",
                "nginx",
            ),
            (
                "index.docker.io/library/nginx",
                "docker.io/library/nginx:latest",
                "nginx",
            ),
            ("library/nginx", "docker.io/library/nginx:latest", "nginx"),
            (
                "inseefrlab/onyxia-web:2",
                "docker.io/inseefrlab/onyxia-web:2",
                "inseefrlab/onyxia-web:2",
            ),
            ("library/a/b", "docker.io/library/a/b:latest", "library/a/b"),
            ("ghcr.io/a/b/c:v1", "ghcr.io/a/b/c:v1", "ghcr.io/a/b/c:v1"),
            ("ghcr.io/nginx", "ghcr.io/nginx:latest", "ghcr.io/nginx"),
            ("localhost/app", "localhost/app:latest", "localhost/app"),
            (
                "localhost:5000/app:1",
                "localhost:5000/app:1",
                "localhost:5000/app:1",
            ),
            (
                "registry:5000/app",
                "registry:5000/app:latest",
                "registry:5000/app",
            ),
            ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app"),
            ("[fd00::1]/app", "[fd00::1]/app:latest", "[fd00::1]/app"),
            ("10.0.0.1/app", "10.0.0.1/app:latest", "10.0.0.1/app"),
            (
                "GitLab.example.org/a:V1_2.3-x",
                "GitLab.example.org/a:V1_2.3-x",
                "GitLab.example.org/a:V1_2.3-x",
            ),
            (
                "a__b--c.d_e:_x",
                "docker.io/library/a__b--c.d_e:_x",
                "a__b--c.d_e:_x",
            ),
            (&pinned, &format!("docker.io/library/nginx@{SHA}"), &pinned),
            (&both, &both, &both),
        ] {
            let reference = parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(reference.to_string(), complete, "{text}");
            assert_eq!(reference.familiar(), familiar, "{text}");
            assert_eq!(
                parse(complete).unwrap().to_string(),
                complete,
                "the complete name is a name"
            );
        }
    }

    #[test]
    fn what_cannot_be_a_name_is_refused_and_why() {
        let long = format!("nginx:{}", "x".repeat(129));
        let deep = format!("ghcr.io/{}", "a".repeat(250));
        let id = "0123456789abcdef".repeat(4);
        for (text, why) in [
            ("", "it is empty"),
            ("nginx latest", "there is a space in it"),
            ("nginx\n", "there is a space in it"),
            (
                "https://ghcr.io/a/b",
                "it starts with `https://`; write `ghcr.io/a/b`",
            ),
            (
                "docker://nginx",
                "it starts with `docker://`; write `nginx`",
            ),
            ("MyApp", "no upper-case letters; write `myapp`"),
            ("Alice/app:1", "no upper-case letters; write `alice/app`"),
            (
                "ghcr.io/Alice/app",
                "no upper-case letters; write `alice/app`",
            ),
            ("nginx:", "there is no tag after the `:`"),
            ("nginx:-1", "a tag starts with"),
            ("nginx:1+2", "a tag has no `+`"),
            ("nginx:1:2", "the name of a repository has no `:`"),
            (&long, "longer than 128"),
            (&deep, "longer than 255"),
            (&id, "an image's ID"),
            ("app:$TAG", "`$` is in its tag: a placeholder"),
            ("$IMAGE", "a placeholder that nothing was put in place of"),
            (
                "IMAGE_NAME",
                "a placeholder that nothing was put in place of",
            ),
            ("${image}", "`$` is in it: a placeholder"),
            ("<image>", "`<` is in it: a placeholder"),
            ("nginx@", "after the `@` there must be a digest"),
            ("nginx@sha256:12", "after the `@` there must be a digest"),
            ("nginx@latest", "after the `@` there must be a digest"),
            ("@", "after the `@` there must be a digest"),
            (":1", "the name of the repository is missing"),
            ("ghcr.io/", "the name of the repository is missing"),
            ("/nginx", "nothing between two slashes"),
            ("a//b", "nothing between two slashes"),
            ("a/b/", "nothing between two slashes"),
            ("ghcr.io:x/a", "`x` cannot be the port"),
            ("ghcr.io:/a", "`` cannot be the port"),
            ("ghcr.io:70000/a", "`70000` cannot be the port"),
            (
                "-ghcr.io/a",
                "`-ghcr.io` cannot be the address of a registry",
            ),
            ("a..b/c", "`a..b` cannot be the address of a registry"),
            ("[::1/a", "cannot be"),
            ("é/a", "the name of a repository has no `é`"),
            ("-a", "in `-a` a letter or digit"),
            ("a.", "in `a.` a letter or digit"),
            ("x/a..b", "in `a..b` a letter or digit"),
            ("a___b", "in `a___b` a letter or digit"),
            ("a._b", "in `a._b` a letter or digit"),
        ] {
            let found = parse(text)
                .err()
                .unwrap_or_else(|| panic!("`{text}` was taken"));
            assert!(found.contains(why), "`{text}`: {found}");
        }
    }

    #[test]
    fn the_newest_is_not_a_version() {
        for (text, latest) in [
            ("nginx".to_owned(), true),
            ("nginx:latest".to_owned(), true),
            ("nginx:1".to_owned(), false),
            ("nginx:latest-alpine".to_owned(), false),
            (format!("nginx:latest@{SHA}"), false),
            (format!("nginx@{SHA}"), false),
        ] {
            assert_eq!(parse(&text).unwrap().is_latest(), latest, "{text}");
        }
        assert_eq!(parse(&format!("nginx@{SHA}")).unwrap().tag(), None);
    }

    #[test]
    fn this_machine_is_recognised() {
        for (text, local) in [
            ("localhost/a", true),
            ("localhost:5000/a", true),
            ("127.0.0.1:5000/a", true),
            ("127.1.2.3/a", true),
            ("[::1]/a", true),
            ("[::1]:5000/a", true),
            ("localhost.example.org/a", false),
            ("[fd00::1]:5000/a", false),
            ("nginx", false),
        ] {
            assert_eq!(parse(text).unwrap().is_local(), local, "{text}");
        }
    }
}
