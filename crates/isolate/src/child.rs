//! The child's side: limits itself, does what is asked, and ends with its parent.
//!
//! There is no runtime, no configuration and no log here: a child is to be small, and knows nothing that could be stolen from it.

use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, sync_channel};

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::frame::{self, Answer, Request};

/// The word of a handler that panicked.
const PANICKED: &str = "ChildPanicked";
/// Files that a child may have open: the three that it is given, what it reads and what it writes.
const MAX_OPEN_FILES: u64 = 32;
/// The thread that reads requests does nothing else.
const READER_STACK_BYTES: usize = 128 << 10;

/// Why a handler did not do its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// A stable machine-readable code, chosen by the work, for example `NotAnImage`.
    pub word: String,
    /// The reason, as a sentence for people.
    pub message: String,
    /// Whether every further attempt would be refused as well.
    pub is_final: bool,
}

/// Does one sort of work: args as JSON, the result as JSON.
pub type Handler = fn(&RawValue) -> Result<Value, Refusal>;

/// Serves requests until the parent is gone. `memory` is how many bytes it may have.
pub fn serve(memory: u64, handlers: &[(&str, Handler)]) -> ExitCode {
    // A panic is an answer; its text goes there.
    std::panic::set_hook(Box::new(|_| {}));
    let served = close_inherited()
        .and_then(|()| limit(memory))
        .and_then(|()| requests())
        .and_then(|requests| answer_all(&requests, handlers));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(io::stderr(), "the child cannot work: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Closes what the parent's own parents left open for all whom they start; what the parent opened itself is closed already.
fn close_inherited() -> io::Result<()> {
    // Listed first and closed then: the list is a file too, and gone by then.
    let open: Vec<i32> = match std::fs::read_dir("/proc/self/fd") {
        Ok(entries) => entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect(),
        Err(_) => Vec::new(),
    };
    for number in open.into_iter().filter(|number| *number > 2) {
        match nix::unistd::close(number) {
            Ok(()) | Err(nix::errno::Errno::EBADF) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn limit(memory: u64) -> io::Result<()> {
    let at_most = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(Resource::Data, at_most(memory))?;
    setrlimit(Resource::Core, at_most(0))?;
    setrlimit(Resource::Nofile, at_most(MAX_OPEN_FILES))?;
    setrlimit(Resource::Fsize, at_most(memory))?;
    #[cfg(target_os = "linux")]
    {
        rustix::thread::set_no_new_privs(true)?;
        rustix::thread::set_name(c"legwork-child")?;
    }
    Ok(())
}

/// Requests come by a thread of their own, so that the end of the parent ends us in the middle of work too.
fn requests() -> io::Result<Receiver<Vec<u8>>> {
    let (sender, receiver) = sync_channel(1);
    let read = move || {
        let mut stdin = io::stdin().lock();
        while let Ok(Some(request)) = frame::read(&mut stdin) {
            if sender.send(request).is_err() {
                break;
            }
        }
        std::process::exit(0);
    };
    std::thread::Builder::new().name("requests".into()).stack_size(READER_STACK_BYTES).spawn(read)?;
    // From here on nothing can be started; for root that is no limit.
    setrlimit(Resource::Nproc, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(receiver)
}

fn answer_all(requests: &Receiver<Vec<u8>>, handlers: &[(&str, Handler)]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    while let Ok(request) = requests.recv() {
        let outcome = answer(&request, handlers);
        drop(request);
        let answer = Answer { resident: resident(), outcome };
        frame::write(&mut stdout, &serde_json::to_vec(&answer)?)?;
    }
    Ok(())
}

fn answer(request: &[u8], handlers: &[(&str, Handler)]) -> Result<Box<RawValue>, Refusal> {
    let refused = |word: &str, message: String| Refusal { word: word.to_owned(), message, is_final: true };
    let request: Request<String, Box<RawValue>> =
        serde_json::from_slice(request).map_err(|error| refused("BadRequest", error.to_string()))?;
    let handler = handlers.iter().find(|(work, _)| *work == request.work).map(|(_, handler)| handler);
    let handler = handler.ok_or_else(|| refused("UnknownWork", format!("{} is no work of this program", request.work)))?;
    limit_time(request.cpu_seconds).map_err(|error| refused("BadRequest", error.to_string()))?;
    let done = catch_unwind(AssertUnwindSafe(|| handler(&request.args)));
    let done = done.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no reason was given".into());
        refused(PANICKED, format!("the code that worked on it panicked: {text}"))
    })??;
    to_raw_value(&done).map_err(|error| refused("BadResult", error.to_string()))
}

/// Seconds on the processor from now on. The parent counts the time that passes; this is for a child whose parent cannot.
fn limit_time(seconds: u64) -> io::Result<()> {
    let used = u64::try_from(clock_gettime(ClockId::ProcessCPUTime).tv_sec).unwrap_or(0);
    let until = used.saturating_add(seconds).saturating_add(1);
    Ok(setrlimit(Resource::Cpu, Rlimit { current: Some(until), maximum: None })?)
}

/// Bytes that are this process's own, not of its program's file; 0 where that cannot be told.
fn resident() -> u64 {
    let Ok(statm) = std::fs::read_to_string("/proc/self/statm") else { return 0 };
    let pages: Vec<u64> = statm.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [_, resident, shared, ..] = pages.as_slice() else { return 0 };
    resident.saturating_sub(*shared) * rustix::param::page_size() as u64
}
