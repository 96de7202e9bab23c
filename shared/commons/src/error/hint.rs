//! Things to do about a failure. A library says what helps as a type of its own; a plugin says that in its own flags.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// One thing to do about a failure, commands in backticks.
#[derive(Clone)]
pub struct Hint {
    text: String,
    remedy: Option<Arc<dyn Any + Send + Sync>>,
}

impl Hint {
    /// Something to do that is said in full.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            remedy: None,
        }
    }

    /// What helps, and the text for whoever has no command for it.
    pub fn with_remedy(remedy: impl Any + Send + Sync, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            remedy: Some(Arc::new(remedy)),
        }
    }

    /// What helps, if it is of this type.
    pub fn remedy<R: Any>(&self) -> Option<&R> {
        self.remedy.as_ref()?.downcast_ref()
    }
}

impl fmt::Debug for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl PartialEq for Hint {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Hint {}

impl Deref for Hint {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl AsRef<str> for Hint {
    fn as_ref(&self) -> &str {
        self
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl From<String> for Hint {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Hint {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<&String> for Hint {
    fn from(text: &String) -> Self {
        Self::new(text)
    }
}

impl PartialEq<&str> for Hint {
    fn eq(&self, other: &&str) -> bool {
        self.text == *other
    }
}
