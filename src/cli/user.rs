//! `legwork user`.

use std::io::{self, BufRead as _, IsTerminal as _};

use clap::{Args, Subcommand};
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::CliError;
use super::client::{ApiRequest, Client};
use super::output::{self, OutputArgs};
use crate::app;
use crate::auth::Passwords;
use crate::auth::password::check_length;
use crate::auth::secrets::new_password;
use crate::config::Config;
use legwork_engine::clock::{Clock as _, SyncedClock};
use legwork_engine::domain::{Principal, Scope};
use legwork_engine::store::{NewAccount, SharedStore};

/// Make accounts for people, and set their passwords
#[derive(Debug, Args)]
pub(super) struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    Create(CreateArgs),
    SetPassword(SetPasswordArgs),
}

/// Make an account
///
/// It logs in with POST /api/v1/auth/token. The password is asked for on the terminal; where nothing is typed, or there is no terminal,
/// one is made and printed. Goes through the running server, or, where none answers, to the database itself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork user create anna --scope admin
  printf '%s' \"$PASSWORD\" | legwork user create ben --scope tasks:read --password-stdin")]
struct CreateArgs {
    /// The account's name
    name: String,
    /// What it may do: tasks:submit, tasks:read, tasks:control or admin; repeat it for more
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',')]
    scopes: Vec<Scope>,
    #[command(flatten)]
    password: PasswordArgs,
}

/// Set the password of an account
///
/// As with `user create`, it is asked for, or made and printed.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  legwork user set-password anna")]
struct SetPasswordArgs {
    /// The account's name
    name: String,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Debug, Args)]
struct PasswordArgs {
    /// Read the password from standard input, its first line
    #[arg(long)]
    password_stdin: bool,
}

pub(super) async fn run(args: UserArgs, config: Config, output: OutputArgs) -> Result<(), CliError> {
    let (name, scopes, args) = match args.command {
        UserCommand::Create(args) => (args.name, Some(args.scopes), args.password),
        UserCommand::SetPassword(args) => (args.name, None, args.password),
    };
    let (password, is_generated) = password(args.password_stdin)?;
    check_length(&password)?;
    let created = match through_server(&config, &name, scopes.as_deref(), &password).await {
        Err(CliError::Unreachable { .. }) if !config.client.url_is_set => {
            into_store(&config, &name, scopes.as_deref(), password.clone()).await?
        }
        answer => answer?,
    };
    let mut answer = json!({ "name": name, "created": created });
    if is_generated {
        answer["password"] = password.expose_secret().into();
    }
    output.print(&answer, |answer| output::fields(answer, &["name", "created", "password"]))
}

/// Returns whether the account was made.
async fn through_server(
    config: &Config,
    name: &str,
    scopes: Option<&[Scope]>,
    password: &SecretString,
) -> Result<bool, CliError> {
    let mut body = json!({ "name": name, "password": password.expose_secret(), "replace": scopes.is_none() });
    if let Some(scopes) = scopes {
        body["scopes"] = json!(scopes);
    }
    let answer = Client::new(config)?.send(ApiRequest::new(Method::POST, &["auth", "users"]).body(body)).await?;
    Ok(answer["created"] != Value::Bool(false))
}

/// Returns whether the account was made.
async fn into_store(config: &Config, name: &str, scopes: Option<&[Scope]>, password: SecretString) -> Result<bool, CliError> {
    let store = app::build_store(&config.store).await?;
    let written = write(&store, name, scopes, password).await;
    store.close().await;
    written
}

async fn write(store: &SharedStore, name: &str, scopes: Option<&[Scope]>, password: SecretString) -> Result<bool, CliError> {
    store.migrate().await?;
    let password_hash = Passwords::new(1).hash(password).await?;
    let Some(scopes) = scopes else {
        let found = store.set_password(name, &password_hash).await?;
        return if found { Ok(false) } else { Err(CliError::NotFound(format!("there is no account {name:?}"))) };
    };
    let principal = Principal { subject: name.into(), scopes: scopes.iter().copied().collect() };
    let account = NewAccount { name: name.to_owned(), password_hash, principal, created_at: SyncedClock::start().now() };
    if store.create_account(&account).await? {
        return Ok(true);
    }
    Err(CliError::Failed(format!("the account {name:?} exists; `legwork user set-password {name}` sets its password")))
}

/// The password, and whether it was made here and must be told.
fn password(from_stdin: bool) -> Result<(SecretString, bool), CliError> {
    let typed = if from_stdin {
        Some(first_line()?)
    } else if io::stdin().is_terminal() {
        typed_twice()?
    } else {
        None
    };
    match typed {
        Some(password) => Ok((password, false)),
        None => Ok((new_password().map_err(CliError::io("a password could not be made"))?, true)),
    }
}

/// `None` if nothing was typed.
fn typed_twice() -> Result<Option<SecretString>, CliError> {
    let ask = |prompt: &str| rpassword::prompt_password(prompt).map(SecretString::from).map_err(CliError::io("the terminal"));
    let first = ask("Password (12 characters or more; press Enter to generate one): ")?;
    if first.expose_secret().is_empty() {
        return Ok(None);
    }
    if first.expose_secret() == ask("Password again: ")?.expose_secret() {
        Ok(Some(first))
    } else {
        Err(CliError::Usage("the two passwords differ".into()))
    }
}

fn first_line() -> Result<SecretString, CliError> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(CliError::io("standard input"))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned().into())
}
