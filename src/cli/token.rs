//! `legwork token`.

#![expect(
    clippy::doc_markdown,
    reason = "doc comments of arguments are the help text, where backticks would only stand in the way"
)]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use super::CliError;
use super::client::{ApiRequest, Client};
use super::output::{self, OutputArgs};
use crate::app;
use crate::auth::{IssueError, KeyError, MAX_SUBJECT_CHARS, Tokens};
use crate::config::{Config, parse_duration};
use legwork_engine::clock::{Clock as _, SyncedClock};
use legwork_engine::domain::{Principal, Scope};

/// Until when a revoked id is kept whose token's end is not known: as the server keeps it.
const NEVER: i64 = 253_370_764_800;

/// Make and revoke tokens
#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    Create(CreateArgs),
    Revoke(RevokeArgs),
}

/// Make a token for a service, and print it
///
/// Needs the server's JWT_SECRET, or, embedded, its DATA_DIR; neither a server nor a database.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork token create --subject shop --scope tasks:submit --scope tasks:read --ttl 30d
  TOKEN=$(legwork token create --subject me --scope admin)")]
struct CreateArgs {
    /// Whose token it is; tasks belong to their subject
    #[arg(long, value_name = "NAME", value_parser = parse_subject)]
    subject: String,
    /// What it allows: tasks:submit, tasks:read, tasks:control or admin; repeat it for more
    #[arg(long = "scope", value_name = "SCOPE", required = true, num_args = 1.., value_delimiter = ',')]
    scopes: Vec<Scope>,
    /// How long it lasts: 30m, 12h, 30d
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_ttl)]
    ttl: Duration,
}

/// Revoke a token: every server refuses it within seconds
///
/// Goes through the running server, or, where none answers, to the database itself.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  legwork token revoke eyJhbGciOi…\n  legwork token revoke 3q2-7w8Jp0m…")]
struct RevokeArgs {
    /// The token itself, or its id (its claim jti)
    #[arg(value_name = "TOKEN")]
    revoked: String,
}

pub(super) async fn run(args: TokenArgs, config: Config, output: OutputArgs) -> Result<(), CliError> {
    match args.command {
        TokenCommand::Create(args) => create(args, config, output),
        TokenCommand::Revoke(args) => revoke(&args.revoked, &config).await,
    }
}

fn create(args: CreateArgs, config: Config, output: OutputArgs) -> Result<(), CliError> {
    let config = app::with_secrets(config)?;
    let tokens = Tokens::new(&config.auth).map_err(|error| match error {
        KeyError::None => IssueError::NoSecret.into(),
        error => CliError::from(error),
    })?;
    let principal = Principal { subject: args.subject.into(), scopes: args.scopes.into_iter().collect() };
    let token = tokens.issue(&principal, args.ttl, SyncedClock::start().now())?;
    let answer = json!({ "access_token": token, "token_type": "Bearer", "expires_in": args.ttl.as_secs() });
    output.print(&answer, |_| token.clone())
}

async fn revoke(token: &str, config: &Config) -> Result<(), CliError> {
    let (id, expires_at) = id_of(token)?;
    let path = ["auth", "tokens", &id];
    let request = ApiRequest::new(Method::DELETE, &path);
    let request = match expires_at {
        Some(at) => request.query("expires_at", at),
        None => request,
    };
    let through_server = async { Client::new(config)?.send(request).await };
    match through_server.await {
        Err(CliError::Unreachable { .. }) if !config.client.url_is_set => into_store(config, &id, expires_at).await?,
        answer => drop(answer?),
    }
    output::say(&format!("The token with the id {id} is revoked."));
    Ok(())
}

async fn into_store(config: &Config, id: &str, expires_at: Option<Timestamp>) -> Result<(), CliError> {
    let store = app::build_store(&config.store).await?;
    let never = Timestamp::from_second(NEVER).unwrap_or(Timestamp::MAX);
    let written = async {
        store.migrate().await?;
        store.revoke_token(id, expires_at.unwrap_or(never)).await
    };
    let written = written.await;
    store.close().await;
    Ok(written?)
}

/// A token's id and end, or the id that was given as such. The token need not be valid: the server only learns its id.
fn id_of(token: &str) -> Result<(String, Option<Timestamp>), CliError> {
    let mut parts = token.split('.');
    let unreadable = || CliError::Usage("the token cannot be read: it is neither a whole JWT nor the id of one".into());
    let (Some(_), Some(claims), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        // A piece of a token begins as all of them do.
        let is_id = !token.is_empty() && !token.contains('.') && !token.starts_with("eyJ");
        return if is_id { Ok((token.to_owned(), None)) } else { Err(unreadable()) };
    };
    let claims = URL_SAFE_NO_PAD.decode(claims).ok().and_then(|json| serde_json::from_slice::<Value>(&json).ok());
    let claims = claims.ok_or_else(unreadable)?;
    let id = claims["jti"]
        .as_str()
        .ok_or_else(|| CliError::Usage("the token has no jti, so it cannot be revoked by its id".into()))?;
    Ok((id.to_owned(), claims["exp"].as_i64().and_then(|second| Timestamp::from_second(second).ok())))
}

fn parse_ttl(text: &str) -> Result<Duration, String> {
    let ttl = parse_duration(text)?;
    if ttl >= Duration::from_secs(1) { Ok(ttl) } else { Err("a token lasts a second at least".into()) }
}

fn parse_subject(text: &str) -> Result<String, String> {
    let is_fit = (1..=MAX_SUBJECT_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    let wrong = || format!("a subject has 1 to {MAX_SUBJECT_CHARS} characters, none of them a control character");
    is_fit.then(|| text.to_owned()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_revoked_by_its_id_and_an_id_by_itself() {
        assert_eq!(id_of("an-id").unwrap(), ("an-id".to_owned(), None));
        let claims = URL_SAFE_NO_PAD.encode(r#"{"jti": "x1", "exp": 60}"#);
        let (id, at) = id_of(&format!("e30.{claims}.sig")).unwrap();
        assert_eq!((id.as_str(), at.unwrap().as_second()), ("x1", 60));
        for piece in ["a.b.c", "a.b", "eyJhbGciOiJIUzI1NiJ9", ""] {
            assert!(id_of(piece).unwrap_err().to_string().contains("cannot be read"), "{piece}");
        }
        assert!(id_of("e30.e30.c").unwrap_err().to_string().contains("jti"));
    }
}
