//! A mail server that takes everything as fast as it can, and the floor that bulk mail stands on. `scripts/bench-mail` runs both.
//!
//! `smtp_sink serve ADDRESS STATS [DROP]` takes mail at ADDRESS and tells at STATS, one line of JSON a connection, how many messages and recipients
//! came. Of a thousand recipients it drops DROP at their first message: it keeps that, and ends the connection without an answer.
//! `smtp_sink blast ADDRESS CONNECTIONS MESSAGES BYTES` sends messages of so many bytes, pipelined, and prints how many a second.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What has come.
#[derive(Default)]
struct Kept {
    messages: u64,
    bytes: u64,
    dropped: u64,
    /// Copies by recipient.
    copies: HashMap<u64, u32>,
}

impl Kept {
    fn reported(&self) -> String {
        let most = self.copies.values().copied().max().unwrap_or(0);
        let twice = self.copies.values().filter(|&&copies| copies > 1).count();
        format!(
            "{{\"messages\": {}, \"recipients\": {}, \"twice\": {twice}, \"most_copies\": {most}, \"dropped\": {}, \"bytes\": {}}}\n",
            self.messages,
            self.copies.len(),
            self.dropped,
            self.bytes
        )
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let number = |place: usize| words.get(place).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
    let address = |place: usize| words.get(place).and_then(|word| word.parse::<SocketAddr>().ok());
    match (words.first().map(String::as_str), address(1)) {
        (Some("serve"), Some(listen)) => serve(listen, address(2), number(3)).await,
        (Some("blast"), Some(to)) => blast(to, number(2).max(1), number(3), usize::try_from(number(4)).unwrap_or(0)).await,
        // `cargo bench` passes no words: there is nothing to measure from inside.
        _ => Ok(()),
    }
}

async fn serve(listen: SocketAddr, stats: Option<SocketAddr>, drop_per_mille: u64) -> io::Result<()> {
    let kept: Arc<Mutex<Kept>> = Arc::default();
    if let Some(stats) = stats {
        let (listener, kept) = (TcpListener::bind(stats).await?, kept.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let reported = kept.lock().map(|kept| kept.reported()).unwrap_or_default();
                stream.write_all(reported.as_bytes()).await.ok();
            }
        });
    }
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let kept = kept.clone();
        tokio::spawn(async move { converse(stream, &kept, drop_per_mille).await.ok() });
    }
}

/// One connection: what came in one read is answered in one write.
async fn converse(mut stream: TcpStream, kept: &Mutex<Kept>, drop_per_mille: u64) -> io::Result<()> {
    const DOT: &[u8] = b"\r\n.\r\n";
    stream.write_all(b"220 sink ESMTP\r\n").await?;
    let (mut buffer, mut answers) = (Vec::with_capacity(1 << 16), Vec::with_capacity(1 << 12));
    let (mut recipient, mut is_data) = (0_u64, false);
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        let mut at = 0;
        loop {
            let rest = &buffer[at..];
            if is_data {
                let Some(end) = rest.windows(DOT.len()).position(|window| window == DOT) else { break };
                at += end + DOT.len();
                is_data = false;
                if !keep(kept, recipient, end, drop_per_mille) {
                    return Ok(());
                }
                answers.extend_from_slice(b"250 2.0.0 taken\r\n");
                continue;
            }
            let Some(end) = rest.iter().position(|&byte| byte == b'\n') else { break };
            let line = &rest[..end];
            at += end + 1;
            match line.get(..4).unwrap_or_default() {
                b"EHLO" => answers.extend_from_slice(b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n"),
                b"RCPT" => {
                    let mut hasher = DefaultHasher::new();
                    line.hash(&mut hasher);
                    recipient = hasher.finish();
                    answers.extend_from_slice(b"250 2.1.5 ok\r\n");
                }
                b"DATA" => {
                    is_data = true;
                    answers.extend_from_slice(b"354 go ahead\r\n");
                }
                b"QUIT" => {
                    answers.extend_from_slice(b"221 2.0.0 bye\r\n");
                    return stream.write_all(&answers).await;
                }
                _ => answers.extend_from_slice(b"250 2.0.0 ok\r\n"),
            }
        }
        buffer.drain(..at);
        if !answers.is_empty() {
            stream.write_all(&answers).await?;
            answers.clear();
        }
    }
}

/// Keeps a message; `false` where its connection is to end without an answer.
fn keep(kept: &Mutex<Kept>, recipient: u64, bytes: usize, drop_per_mille: u64) -> bool {
    let Ok(mut kept) = kept.lock() else { return false };
    kept.messages += 1;
    kept.bytes += bytes as u64;
    let copies = kept.copies.entry(recipient).or_default();
    *copies += 1;
    let is_dropped = *copies == 1 && recipient % 1_000 < drop_per_mille;
    kept.dropped += u64::from(is_dropped);
    !is_dropped
}

async fn blast(to: SocketAddr, connections: u64, messages: u64, bytes: usize) -> io::Result<()> {
    let line = [b'x'; 76];
    let mut content = b"From: <a@example.org>\r\nSubject: blast\r\n\r\n".to_vec();
    while content.len() < bytes {
        content.extend_from_slice(&line);
        content.extend_from_slice(b"\r\n");
    }
    content.extend_from_slice(b".\r\n");
    let content: Arc<[u8]> = content.into();
    let started = Instant::now();
    let mut all = JoinSet::new();
    for connection in 0..connections {
        let content = content.clone();
        all.spawn(async move { blast_one(to, connection, messages / connections, &content).await });
    }
    for ended in all.join_all().await {
        ended?;
    }
    let sent = messages / connections * connections;
    let rate = f64::from(u32::try_from(sent).unwrap_or(u32::MAX)) / started.elapsed().as_secs_f64();
    writeln!(io::stdout(), "{rate:.0}")
}

/// What a connection does, and nothing besides: the next mail is staged behind the content of each.
async fn blast_one(to: SocketAddr, connection: u64, messages: u64, content: &[u8]) -> io::Result<()> {
    let mut stream = BufReader::new(TcpStream::connect(to).await?);
    stream.get_ref().set_nodelay(true)?;
    let mut line = String::new();
    let stage = |number: u64| format!("MAIL FROM:<a@example.org>\r\nRCPT TO:<{connection}-{number}@example.net>\r\nDATA\r\n");
    stream.read_line(&mut line).await?;
    stream.get_mut().write_all(b"EHLO blast\r\n").await?;
    answers(&mut stream, 3, &mut line).await?;
    stream.get_mut().write_all(stage(0).as_bytes()).await?;
    answers(&mut stream, 3, &mut line).await?;
    let mut out = Vec::new();
    for number in 1..=messages {
        out.clear();
        out.extend_from_slice(content);
        let is_last = number == messages;
        if !is_last {
            out.extend_from_slice(stage(number).as_bytes());
        }
        stream.get_mut().write_all(&out).await?;
        answers(&mut stream, if is_last { 1 } else { 4 }, &mut line).await?;
    }
    Ok(())
}

async fn answers(stream: &mut BufReader<TcpStream>, count: usize, line: &mut String) -> io::Result<()> {
    for _ in 0..count {
        line.clear();
        if stream.read_line(line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}
