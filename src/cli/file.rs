//! `legwork file`: the stored files of a running server.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::CliError;
use super::client::{ApiRequest, Client, Upload, chain_of};
use super::output::{self, OutputArgs};
use crate::config::Config;

/// Upload, download and remove stored files
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  legwork file upload holiday.jpg
  legwork file download exports/0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57.csv --output users.csv
  legwork file remove uploads/0198c5a4-7d1e-7c3a-9f00-2b8d1c6e4a57.jpg")]
pub(super) struct FileArgs {
    #[command(subcommand)]
    command: FileCommand,
}

#[derive(Debug, Subcommand)]
enum FileCommand {
    /// Upload an image (JPEG, PNG, WebP, GIF) and print its stored path
    Upload {
        /// The image
        file: PathBuf,
    },
    /// Download a stored file
    Download {
        /// The stored path, as results of tasks name it
        path: String,
        /// The file to write; by default the last part of the stored path, in the working folder
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Remove stored files; links to them stop working
    Remove {
        /// The stored paths, as uploads and results of tasks name them
        #[arg(required = true)]
        paths: Vec<String>,
    },
}

pub(super) async fn run(args: FileArgs, config: Config, output: OutputArgs) -> Result<(), CliError> {
    let client = Client::new(&config)?;
    match args.command {
        FileCommand::Upload { file } => upload(&client, &file, output).await,
        FileCommand::Download { path, output: target } => download(&client, &path, target, output).await,
        FileCommand::Remove { paths } => remove(&client, &paths).await,
    }
}

async fn upload(client: &Client, file: &Path, output: OutputArgs) -> Result<(), CliError> {
    let content = tokio::fs::read(file).await.map_err(CliError::io(file.display().to_string()))?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let request = ApiRequest::new(Method::POST, &["files"]).upload(Upload { name, content });
    let stored = client.send(request).await?;
    output.print(&stored, |stored| output::fields(stored, &["file_path", "size", "content_type"]))
}

async fn download(client: &Client, path: &str, target: Option<PathBuf>, output: OutputArgs) -> Result<(), CliError> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let target = target.unwrap_or_else(|| PathBuf::from(name));
    let mut answer = client.open(ApiRequest::new(Method::GET, &parts(path))).await?;
    let failed = || CliError::io(target.display().to_string());
    let mut file = tokio::fs::File::create(&target).await.map_err(failed())?;
    let mut bytes = 0;
    while let Some(chunk) =
        answer.chunk().await.map_err(|error| CliError::Failed(format!("the connection broke: {}", chain_of(&error))))?
    {
        file.write_all(&chunk).await.map_err(failed())?;
        bytes += chunk.len();
    }
    file.flush().await.map_err(failed())?;
    output.print(&json!({ "file": target, "bytes": bytes }), |saved| output::fields(saved, &["file", "bytes"]))
}

async fn remove(client: &Client, paths: &[String]) -> Result<(), CliError> {
    let mut outcome = Ok(());
    for path in paths {
        // A file that is gone already does not keep the others.
        if let Err(error) = client.send(ApiRequest::new(Method::DELETE, &parts(path))).await {
            outcome = outcome.and(Err(error));
        }
    }
    outcome
}

/// The parts of the API's path to a file.
fn parts(path: &str) -> Vec<&str> {
    std::iter::once("files").chain(path.split('/')).collect()
}
