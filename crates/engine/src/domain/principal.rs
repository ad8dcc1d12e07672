//! Who asks, and what they may do.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What a token allows. `admin` implies all the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
pub enum Scope {
    /// Allows submitting tasks.
    #[serde(rename = "tasks:submit")]
    Submit,
    /// Read tasks, queues, workers and kinds.
    #[serde(rename = "tasks:read")]
    Read,
    /// Allows revoking, retrying, changing and purging tasks, and controlling queues and workers.
    #[serde(rename = "tasks:control")]
    Control,
    /// See the tasks of every principal, and do to them what the other scopes allow.
    #[serde(rename = "tasks:all")]
    All,
    /// Implies every other scope, and allows what is for administrators only.
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    /// Every scope there is.
    pub const ALL: [Self; 5] = [Self::Submit, Self::Read, Self::Control, Self::All, Self::Admin];

    /// Its name in a token.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "tasks:submit",
            Self::Read => "tasks:read",
            Self::Control => "tasks:control",
            Self::All => "tasks:all",
            Self::Admin => "admin",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name).ok_or_else(|| {
            format!("scope {name:?} is unknown; allowed are tasks:submit, tasks:read, tasks:control, tasks:all, admin")
        })
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct ScopeSet(u8);

impl ScopeSet {
    /// Whether the set allows what `scope` allows; `admin` allows all.
    pub const fn allows(self, scope: Scope) -> bool {
        self.0 & (scope.bit() | Scope::Admin.bit()) != 0
    }

    /// The scopes in it, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.0 & scope.bit() != 0)
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Scope::as_str)).finish()
    }
}

/// Who asks: the subject of a token, and its scopes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The token's `sub`; tasks are owned by it.
    pub subject: Arc<str>,
    /// What the token allows.
    pub scopes: ScopeSet,
}

impl Principal {
    /// The engine itself: it submits callbacks and scheduled tasks, and sees everything.
    pub fn system() -> Self {
        Self { subject: "legwork".into(), scopes: ScopeSet::from_iter([Scope::Admin]) }
    }

    /// Whether it may do what `scope` names.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.allows(scope)
    }

    /// Whose tasks it sees: `None` is everybody's.
    pub fn sees_only(&self) -> Option<Arc<str>> {
        (!self.may(Scope::All)).then(|| self.subject.clone())
    }
}
