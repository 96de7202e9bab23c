//! What to do about a kubeconfig that cannot be used.

/// It is of no use any more.
pub(super) const RENEW: &str = "get a new kubeconfig (on Onyxia: My account, Kubernetes)";

/// It has something else than it should.
pub(super) const VIEW: &str = "see what it has: `kubectl config view`";

/// It names a file.
pub(super) const FILES: &str = "see where it should be: `kubectl config view`";
