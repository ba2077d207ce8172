//! One download of a content at a time, also among programs.

use std::fs::{File, OpenOptions, TryLockError};
use std::time::{Duration, Instant};

use crate::cache::{Folder, make_parent};
use crate::{HubError, Patience};

/// How often a lock that another holds is tried.
const INTERVAL: Duration = Duration::from_millis(100);

/// Takes the lock of `etag`, which is held until the file is dropped or the program ends. Waits for as long as the
/// other who holds it receives something.
pub(super) fn take(folder: &Folder, etag: &str, patience: &Patience) -> Result<File, HubError> {
    let path = folder.lock(etag);
    make_parent(&path)?;
    let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(HubError::io(&path))?;
    let longest = patience.silence + patience.longest_pause;
    let (mut received, mut since) = (folder.received(etag), Instant::now());
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(HubError::io(&path)(error)),
            Err(TryLockError::WouldBlock) => std::thread::sleep(INTERVAL),
        }
        let now = folder.received(etag);
        if now != received {
            (received, since) = (now, Instant::now());
        } else if since.elapsed() > longest {
            return Err(HubError::Locked { path });
        }
    }
}
