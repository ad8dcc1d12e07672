//! Scripts that Redis runs. A server that has lost a script gets its text again.

use redis::{Cmd, FromRedisValue, RedisResult, Script};

use super::link::{Link, Request};

/// A script and its hash, by which it is called.
pub(super) struct ServerScript {
    text: &'static str,
    hash: Script,
}

impl ServerScript {
    /// Takes the text of a script.
    pub fn new(text: &'static str) -> Self {
        Self { text, hash: Script::new(text) }
    }

    /// Calls the script. `add_args` adds the number of keys, the keys and the other arguments; it may be called twice.
    pub async fn call<T: FromRedisValue>(&self, link: &Link, add_args: impl Fn(&mut Cmd)) -> RedisResult<T> {
        let command = |name: &str, script: &str| {
            let mut command = redis::cmd(name);
            add_args(command.arg(script));
            command
        };
        match link.send(Request::One(&command("EVALSHA", self.hash.get_hash()))).await {
            Err(error) if error.code() == Some("NOSCRIPT") => link.send(Request::One(&command("EVAL", self.text))).await,
            answer => answer,
        }
    }
}
