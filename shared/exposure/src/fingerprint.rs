//! Whether two answers come from the same app.
//!
//! The pods are asked twice through the tunnel. What both answers have in common (an app may put the time or a token into
//! each) must be in an answer at the address too, all of it: a course's apps differ by one word of the page. And little more
//! than what differed: a page that holds the app's whole page is not the app's.

use std::collections::BTreeSet;

use http::HeaderMap;
use http::header::{CONTENT_TYPE, LOCATION};

use commons::web::Answer;

/// What an app answers, as far as it does so every time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The status.
    pub status: u16,
    kind: String,
    location: String,
    /// What all answers have in common.
    parts: BTreeSet<u64>,
    /// How many parts the longest answer has.
    longest: usize,
}

impl Fingerprint {
    /// From one answer.
    pub fn of(answer: &Answer) -> Self {
        let parts = parts(&answer.body);
        Self {
            status: answer.status,
            kind: kind(&answer.headers),
            location: location(&answer.headers),
            longest: parts.len(),
            parts,
        }
    }

    /// What two answers of the same app have in common.
    #[must_use]
    pub fn common(self, other: &Self) -> Self {
        Self {
            parts: self.parts.intersection(&other.parts).copied().collect(),
            longest: self.longest.max(other.longest),
            ..self
        }
    }

    /// Whether an answer is like this one: it has all parts that are always there, and at most twice as many others as were
    /// seen; none, where the answers were the same.
    pub fn fits(&self, answer: &Answer) -> bool {
        let other = Self::of(answer);
        let varying = self.longest - self.parts.len();
        (self.status, &self.kind, &self.location) == (other.status, &other.kind, &other.location)
            && self.parts.is_subset(&other.parts)
            && other.longest <= self.longest + varying
    }

    /// Whether the answers have nothing in common by which they could be told from others.
    pub fn says_nothing(&self) -> bool {
        self.parts.is_empty() && self.longest > 0
    }
}

/// The media type, without its parameters.
fn kind(headers: &HeaderMap) -> String {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

/// Where a redirect leads, without scheme and host, which the app knows or does not know through the controller, and without
/// its query, where logins put what is new each time.
fn location(headers: &HeaderMap) -> String {
    let value = headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let path = value.split(['?', '#']).next().unwrap_or_default();
    match path.split_once("://") {
        Some((_, rest)) => rest
            .find('/')
            .map_or_else(|| "/".to_owned(), |at| rest[at..].to_owned()),
        None => path.to_owned(),
    }
}

/// A page in parts that are small enough for one of them to change alone: lines, tags, items.
fn parts(body: &[u8]) -> BTreeSet<u64> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let separates = |byte: &u8| matches!(byte, b'\n' | b'>' | b'<' | b',' | b';' | b'{' | b'}');
    body.split(separates)
        .map(<[u8]>::trim_ascii)
        .filter(|part| !part.is_empty())
        .map(|part| {
            let mut hasher = DefaultHasher::new();
            part.hash(&mut hasher);
            hasher.finish()
        })
        .collect()
}

/// The title of a page, or the first words of another answer, to say who answers.
pub fn title(answer: &Answer) -> Option<String> {
    let text = String::from_utf8_lossy(&answer.body[..answer.body.len().min(64 * 1024)]);
    let lower = text.to_ascii_lowercase();
    let titled = lower.find("<title").and_then(|start| {
        let start = start + lower[start..].find('>')? + 1;
        let end = start + lower[start..].find("</title")?;
        text.get(start..end)
    });
    let words = titled.or_else(|| {
        (!lower.contains('<'))
            .then(|| text.lines().next())
            .flatten()
    })?;
    let words = commons::printable::short(words.trim(), 80);
    (!words.is_empty()).then_some(words)
}

/// An answer as a test has it.
#[cfg(test)]
pub(super) fn answered(status: u16, headers: HeaderMap, body: &str) -> Answer {
    Answer {
        asked: tokio::time::Instant::now(),
        status,
        headers,
        body: bytes::Bytes::copy_from_slice(body.as_bytes()),
        truncated: false,
        certificate: None,
        address: None,
        proxy: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            "text/html; charset=utf-8".parse().expect("a header"),
        );
        answered(status, headers, body)
    }

    fn redirect(to: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, to.parse().expect("a header"));
        answered(302, headers, "")
    }

    #[test]
    fn what_changes_each_time_does_not_count() {
        let page = |token: &str| {
            answer(
                200,
                &format!("<html><title>Shop</title><p>Welcome</p><input value={token}></html>"),
            )
        };
        let own = Fingerprint::of(&page("a1")).common(&Fingerprint::of(&page("b2")));
        assert!(own.fits(&page("c3")));
        assert!(
            !own.fits(&answer(
                200,
                "<html><title>Shop 2</title><p>Welcome</p><input value=d4></html>"
            )),
            "one word"
        );
        assert!(!own.fits(&answer(
            404,
            "<html><title>Shop</title><p>Welcome</p><input value=x></html>"
        )));
    }

    #[test]
    fn a_page_with_the_apps_page_in_it_is_not_the_apps() {
        let page = |more: &str| {
            answer(
                200,
                &format!("<html><title>Shop</title><p>Welcome</p>{more}</html>"),
            )
        };
        let same = Fingerprint::of(&page("")).common(&Fingerprint::of(&page("")));
        assert!(same.fits(&page("")) && !same.fits(&page("<p>Your password:</p>")));
        let varies = Fingerprint::of(&page("<i>1</i>")).common(&Fingerprint::of(&page("<i>2</i>")));
        assert!(varies.fits(&page("<i>3</i>")) && varies.fits(&page("<i>3</i><b>")));
        assert!(!varies.fits(&page("<i>3</i><form><input type=password><b>")));
    }

    #[test]
    fn answers_with_nothing_in_common_say_nothing() {
        let random =
            Fingerprint::of(&answer(200, "7f3a")).common(&Fingerprint::of(&answer(200, "91c0")));
        assert!(random.says_nothing());
        assert!(!Fingerprint::of(&answer(200, "ok")).says_nothing());
        assert!(!Fingerprint::of(&answer(204, "")).says_nothing());
    }

    #[test]
    fn a_redirect_is_told_by_where_it_leads() {
        let own = Fingerprint::of(&redirect("/login"));
        assert!(own.fits(&redirect("https://web.example.test/login")));
        assert!(!own.fits(&redirect("/elsewhere")));
        assert!(
            Fingerprint::of(&redirect("http://pod")).fits(&redirect("https://web.example.test/"))
        );
        let login = Fingerprint::of(&redirect("https://login.example.test/auth?state=1"));
        assert!(login.fits(&redirect("https://login.example.test/auth?state=2")));
    }

    #[test]
    fn an_answer_without_a_body_is_told_by_its_status() {
        let empty = Fingerprint::of(&answer(204, ""));
        assert!(empty.fits(&answer(204, "")) && !empty.fits(&answer(200, "")));
    }

    #[test]
    fn who_answers_is_told_by_the_title() {
        assert_eq!(
            title(&answer(200, "<HTML><Title lang=en> Shop\u{1b}[2J </title>")).as_deref(),
            Some("Shop[2J")
        );
        assert_eq!(
            title(&answer(404, "404 page not found\n")).as_deref(),
            Some("404 page not found")
        );
        assert_eq!(title(&answer(200, "<p>no title")), None);
        assert_eq!(title(&answer(200, "")), None);
    }
}
