//! `legwork child`: what [`legwork_isolate`] starts. Not a command for people, and so not in the help; it comes before everything
//! else, because a child is to be small.

use std::ffi::OsString;
use std::process::ExitCode;

use legwork_isolate::child::{Handler, serve};

/// The work that children do.
const WORK: &[(&str, Handler)] = &[(legwork_image::WORK, legwork_image::handle)];

/// Serves, where the command line is that of a child.
pub(super) fn run(mut args: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    if args.nth(1)? != "child" {
        return None;
    }
    let memory = args.next()?.to_str()?.parse().ok()?;
    Some(serve(memory, WORK))
}
