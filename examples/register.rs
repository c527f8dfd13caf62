//! A service that registers itself: it echoes lines, is found in DNS while it runs, and leaves when it is told to.
//!
//!     cargo run --example register -- http://127.0.0.1:8053
//!     dig @127.0.0.1 -p 5300 _echo._tcp.sd.example.org SRV

#![allow(clippy::print_stdout)] // it talks to whoever tries it
#![allow(unreachable_pub)] // a test takes this file as a module

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use zonebeat::client::{Beating, Instance};

#[tokio::main]
#[allow(dead_code)] // the test calls `serve`
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:8053".to_owned());
    serve(&server, async { drop(tokio::signal::ctrl_c().await) }).await
}

/// Serves until `stop`, then leaves.
pub async fn serve(server: &str, stop: impl Future<Output = ()>) -> Result<(), Box<dyn std::error::Error>> {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let listener = TcpListener::bind((address, 0)).await?;
    let port = listener.local_addr()?.port();

    // Register when the service can be used, and not before.
    let beating = Instance::new("echo", "e1", port)
        .server(server)
        .address(address)
        .metadata("version", env!("CARGO_PKG_VERSION"))
        .lease(Duration::from_secs(5))
        .start()?;

    tokio::select! {
        () = stop => {}
        error = echo(&listener) => return Err(error.into()),
        () = tell(&beating) => {}
    }
    // Leave first and stop then: who asks from now on is not sent here any more.
    beating.leave().await?;
    println!("left");
    Ok(())
}

/// Says what becomes of the registration. The service itself needs none of this.
async fn tell(beating: &Beating) {
    match beating.registered().await {
        Ok(registered) => println!("registered as {}", registered.names.join(" ")),
        Err(lost) => println!("not registered: {lost}"),
    }
    println!("no longer registered: {}", beating.lost().await);
}

/// Echoes what each connection sends; ends only when no connection can be taken any more.
async fn echo(listener: &TcpListener) -> io::Error {
    loop {
        match listener.accept().await {
            Ok((connection, _)) => drop(tokio::spawn(echo_one(connection))),
            Err(error) => return error,
        }
    }
}

async fn echo_one(mut connection: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        match connection.read(&mut buffer).await? {
            0 => return Ok(()),
            read => connection.write_all(&buffer[..read]).await?,
        }
    }
}
