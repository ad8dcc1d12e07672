//! `docs/packs.md` is a pack: its blocks, put together, are loaded; and what the tutorial shows is what `legwork pack new` writes.

use std::collections::BTreeMap;

use legwork_pack::{Host, PackFiles, PackSet, starter};

use super::support::host;

const PAGE: &str = include_str!("../../../../docs/packs.md");

/// The blocks of the page that are files, in order.
fn blocks() -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in PAGE.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => {
                open = Some((info.split_once(' ').map(|(_, path)| path.to_owned()).unwrap_or_default(), String::new()));
            }
            (Some(_), Some(_)) => blocks.extend(open.take().filter(|(path, _)| !path.is_empty())),
            (None, Some((_, text))) => text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    blocks
}

fn files(blocks: impl IntoIterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for (path, text) in blocks {
        let file = files.entry(path).or_default();
        if !file.is_empty() {
            file.push('\n');
        }
        *file += &text;
    }
    files
}

#[test]
fn the_examples_of_the_page_are_one_pack_with_every_runner() {
    let files = PackFiles::from_texts("docs", files(blocks()));
    let packs = PackSet::from_files(&[files], &host()).unwrap_or_else(|faults| panic!("{faults}"));
    let mut runners: Vec<&str> = packs.kinds().map(|(_, kind)| kind.runner.as_str()).collect();
    runners.sort_unstable();
    runners.dedup();
    assert_eq!(runners, ["builtin", "chain", "email", "export", "fan_out", "http", "report", "sms", "sql"]);
    let mut timings: Vec<&str> = packs.schedules().map(|(_, schedule)| schedule.timing.kind()).collect();
    timings.sort_unstable();
    timings.dedup();
    assert_eq!(timings, ["clocked", "crontab", "interval", "solar"]);
    for (_, kind) in packs.kinds() {
        kind.params.apply(&kind.example).unwrap_or_else(|faults| panic!("{}: {faults:?}", kind.name));
    }
}

#[test]
fn the_tutorial_shows_what_a_new_pack_holds() {
    let tutorial: BTreeMap<String, String> =
        starter("shop").unwrap().into_iter().map(|(path, text)| (path.to_owned(), text)).collect();
    let shown = files(blocks());
    for (path, text) in &tutorial {
        let shown = &shown[path];
        if path == "pack.toml" {
            assert!(shown.starts_with(text.as_str()), "the tutorial's pack.toml is not that of a new pack");
        } else {
            assert_eq!(shown, text, "{path}");
        }
    }
}

#[test]
fn a_new_pack_has_no_faults_under_any_name() {
    for name in ["shop", "my-packs-2", "blt"] {
        let files = PackFiles::from_texts(name, starter(name).unwrap());
        let packs = PackSet::from_files(&[files], &Host::default()).unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(packs.packs()[0].name, name);
        assert!(packs.kind(&format!("{name}.send_reminder")).is_some());
    }
    for name in ["", "Shop", "2go", "a b"] {
        assert!(starter(name).is_err(), "{name}");
    }
}
