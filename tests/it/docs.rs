//! The documents are true: their commands run against an embedded server, the answers that they show have the fields of real answers, their links lead
//! somewhere, and the parts that are generated from the code are current.
//!
//! `CONTRIBUTING.md` describes the fenced blocks that these tests understand.

mod generated;
mod links;
mod page;
mod run;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use page::{Block, Page};

/// Makes a test of each page, which runs its commands on a server of its own.
macro_rules! pages {
    ($($name:ident: $path:literal,)*) => {
        /// The pages whose commands are run, those of the kinds apart.
        const RUN: &[&str] = &[$($path),*];

        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                run::pages(&[Page::read($path)]).await;
            }
        )*
    };
}

pages! {
    the_commands_of_the_readme: "README.md",
    the_commands_of_the_quickstart: "docs/quickstart.md",
    the_commands_of_the_api: "docs/api.md",
    the_commands_of_authorization: "docs/authorization.md",
    the_commands_of_files: "docs/files.md",
    the_commands_of_schedules: "docs/schedules.md",
    the_commands_of_coming_from_celery: "docs/from-celery.md",
    the_commands_of_templates: "docs/templates.md",
    the_commands_of_configuration: "docs/configuration.md",
    the_commands_of_security: "docs/security.md",
    the_commands_of_the_clients: "docs/clients.md",
    the_commands_of_the_command_line: "docs/cli.md",
    the_commands_of_operations: "docs/operations.md",
    the_commands_of_troubleshooting: "docs/troubleshooting.md",
}

/// The pages of the kinds share a server: each shows its own kind only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_of_the_kinds() {
    let pages: Vec<Page> = paths_in("docs/kinds").iter().map(|path| Page::read(path)).collect();
    run::pages(&pages).await;
}

#[test]
fn every_page_with_commands_is_run() {
    for path in documents().iter().filter(|path| !path.starts_with("docs/kinds/")) {
        let has_commands = Page::read(path).blocks.iter().any(|block| matches!(block, Block::Commands { .. }));
        assert_eq!(has_commands, RUN.contains(&path.as_str()), "{path}: the list of pages in tests/it/docs.rs does not fit it");
    }
}

#[test]
fn every_kind_has_a_page_and_every_page_a_kind() {
    let pages: BTreeSet<String> = paths_in("docs/kinds")
        .iter()
        .map(|path| path.trim_start_matches("docs/kinds/").trim_end_matches(".md").to_owned())
        .filter(|name| name != "README")
        .collect();
    let kinds: BTreeSet<String> = generated::kind_names();
    assert_eq!(pages, kinds);
    let index = Page::read("docs/kinds/README.md").text;
    for kind in kinds {
        assert!(index.contains(&format!("[`{kind}`]({kind}.md)")), "docs/kinds/README.md does not list {kind}");
    }
}

#[test]
fn the_readme_is_short() {
    let length = Page::read("README.md").text.len();
    assert!(length <= 8 * 1024, "README.md has {length} bytes; 8 KiB are allowed: move details into docs/");
}

/// The folder of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Markdown files of users, relative to the repository.
fn documents() -> Vec<String> {
    let mut paths = vec!["README.md".to_owned()];
    paths.extend(paths_in("docs"));
    paths.extend(paths_in("docs/kinds"));
    paths
}

fn paths_in(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    let pages = files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let mut names: Vec<String> = pages.map(|path| format!("{folder}/{}", path.file_name().unwrap().to_str().unwrap())).collect();
    names.sort();
    names
}
