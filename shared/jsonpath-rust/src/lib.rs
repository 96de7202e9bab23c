//! Stands in for the library `jsonpath-rust`, which kube's client links for one thing: reading the token out of what the
//! `auth-provider` of a kubeconfig prints (kubectl dropped those in 1.26). With the library come a regular expression engine and
//! a parser generator, half a megabyte in each plugin.
//!
//! Plain paths (`$.credential.access_token`), which is all that such kubeconfigs had, are read all the same.

use std::fmt;

use serde_json::Value;

/// A path that is not plain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotPlain(String);

impl fmt::Display for NotPlain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a plain path of names", self.0)
    }
}

impl std::error::Error for NotPlain {}

/// The method that kube's client calls.
pub trait JsonPath {
    /// The value at a path of names: `$.a.b`.
    ///
    /// # Errors
    /// [`NotPlain`] for every other path.
    fn query(&self, path: &str) -> Result<Vec<&Value>, NotPlain>;
}

impl JsonPath for Value {
    fn query(&self, path: &str) -> Result<Vec<&Value>, NotPlain> {
        let not_plain = || NotPlain(path.to_owned());
        let names = path.strip_prefix("$.").ok_or_else(not_plain)?.split('.');
        let mut at = Some(self);
        for name in names {
            if name.is_empty()
                || !name
                    .chars()
                    .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
            {
                return Err(not_plain());
            }
            at = at.and_then(|value| value.get(name));
        }
        Ok(at.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_are_read_and_others_refused() {
        let json = serde_json::json!({"credential": {"access_token": "abc"}});
        assert_eq!(
            json.query("$.credential.access_token"),
            Ok(vec![&Value::from("abc")])
        );
        assert_eq!(json.query("$.credential.other"), Ok(vec![]));
        for other in ["$..a", "$", "$.a[0]", "a.b", "$.a.*"] {
            assert!(json.query(other).is_err(), "{other}");
        }
    }
}
