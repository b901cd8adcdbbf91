//! The floor: what an HTTP exchange costs when nothing is done with what came. See `scoria_loadtest::bare`.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use scoria_loadtest::bare::{Reading, serve};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// A bare hyper server: reads each body and answers 31 bytes of JSON
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Threads of the runtime
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// Drop the pieces of a body as they come, instead of collecting it first
    #[arg(long)]
    drain_only: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let reading = if arguments.drain_only { Reading::Drain } else { Reading::Collect };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(arguments.threads.into()).enable_all().build();
    let outcome = runtime.and_then(|runtime| {
        runtime.block_on(async {
            let listener = TcpListener::bind(arguments.listen).await?;
            let mut end = signal(SignalKind::terminate())?;
            // Whoever started it reads the port from here. If nobody does, serving goes on.
            drop(writeln!(std::io::stdout(), "listening on {}", listener.local_addr()?));
            tokio::select! {
                outcome = serve(listener, reading) => outcome,
                _ = end.recv() => Ok(()),
            }
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "bare: {}: {error}", arguments.listen));
            ExitCode::FAILURE
        }
    }
}
