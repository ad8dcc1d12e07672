//! Accounts and revoked tokens.

use std::sync::Arc;

use legwork_engine::domain::{Principal, Scope, ScopeSet};
use legwork_engine::store::{AccountRow, NewAccount, Store};

use crate::support::tasks::at;

pub async fn an_account_is_found_by_its_name(store: Arc<dyn Store>) {
    let new = account("ann", "hash");
    assert!(store.create_account(&new).await.unwrap());
    let expected = AccountRow { password_hash: "hash".into(), principal: new.principal };
    assert_eq!(store.find_account("ann").await.unwrap(), Some(expected));
    assert_eq!(store.find_account("bob").await.unwrap(), None);
}

pub async fn a_name_that_is_taken_changes_nothing(store: Arc<dyn Store>) {
    store.create_account(&account("ann", "first")).await.unwrap();
    assert!(!store.create_account(&account("ann", "second")).await.unwrap());
    assert_eq!(store.find_account("ann").await.unwrap().unwrap().password_hash, "first");
}

pub async fn a_password_is_replaced_for_an_account_that_exists(store: Arc<dyn Store>) {
    store.create_account(&account("ann", "first")).await.unwrap();
    assert!(store.set_password("ann", "second").await.unwrap());
    assert!(!store.set_password("bob", "second").await.unwrap());
    assert_eq!(store.find_account("ann").await.unwrap().unwrap().password_hash, "second");
}

pub async fn a_revoked_token_stays_revoked_until_it_would_have_expired(store: Arc<dyn Store>) {
    store.revoke_token("one", at(60)).await.unwrap();
    store.revoke_token("one", at(60)).await.unwrap();
    store.revoke_token("two", at(120)).await.unwrap();
    let mut revoked = store.revoked_tokens(at(30)).await.unwrap();
    revoked.sort_unstable();
    assert_eq!(revoked, ["one", "two"]);
    assert_eq!(store.revoked_tokens(at(61)).await.unwrap(), ["two"]);
    assert!(store.revoked_tokens(at(121)).await.unwrap().is_empty());
}

fn account(name: &str, hash: &str) -> NewAccount {
    let scopes = ScopeSet::from_iter([Scope::Submit, Scope::Read]);
    NewAccount {
        name: name.into(),
        password_hash: hash.into(),
        principal: Principal { subject: format!("user:{name}").into(), scopes },
        created_at: at(0),
    }
}
