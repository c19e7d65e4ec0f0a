//! Small files that are there whole or not at all, whenever the process or the machine stops: written aside, synced, then put in
//! place.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::clock::new_id;

/// For what its owner alone may read.
pub const PRIVATE: u32 = 0o600;

/// For what anybody may read whom the umask lets.
pub const SHARED: u32 = 0o666;

/// Puts a file in place, over an older one, with this mode.
///
/// # Errors
/// When the disk is full, and the like; then the older one stays.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let aside = aside(path);
    write_new(&aside, bytes, mode)?;
    fs::rename(&aside, path).inspect_err(|_| {
        fs::remove_file(&aside).ok();
    })?;
    sync_folder(path);
    Ok(())
}

/// Makes a file with this mode; false when there is one, which stays as it is. Of several processes at once one wins.
///
/// # Errors
/// When the disk is full, and the like; then there is none.
pub fn create(path: &Path, bytes: &[u8], mode: u32) -> io::Result<bool> {
    let aside = aside(path);
    write_new(&aside, bytes, mode)?;
    let placed = match fs::hard_link(&aside, path) {
        // Those of memory sticks have no links.
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
            write_new(path, bytes, mode)
        }
        linked => linked,
    };
    fs::remove_file(&aside).ok();
    match placed {
        Ok(()) => {
            sync_folder(path);
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// A name beside a file that nobody else takes.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".new-{}", new_id().simple()));
    name.into()
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).inspect_err(|_| {
        fs::remove_file(path).ok();
    })
}

/// Keeps the name of a file over a power cut, where the file system can; the file is whole under either name.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).ok();
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn scratch() -> PathBuf {
        let dir = std::env::temp_dir().join(format!("jh-files-{}", new_id().simple()));
        fs::create_dir(&dir).unwrap();
        dir
    }

    #[test]
    fn a_file_is_replaced_whole_made_once_and_leaves_nothing_beside_it() {
        let dir = scratch();
        let path = dir.join("secret");
        assert!(create(&path, b"first", PRIVATE).unwrap());
        assert!(!create(&path, b"second", PRIVATE).unwrap(), "what is there stays");
        assert_eq!(fs::read(&path).unwrap(), b"first");
        replace(&path, b"third", PRIVATE).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, PRIVATE);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_cannot_be_put_in_place_leaves_nothing_aside() {
        let dir = scratch();
        let taken = dir.join("taken");
        fs::create_dir_all(taken.join("by a folder")).unwrap();
        assert!(replace(&taken, b"text", SHARED).is_err());
        assert!(replace(&dir.join("no/such/file"), b"text", SHARED).is_err());
        assert!(create(&dir.join("no/such/file"), b"text", SHARED).is_err());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        fs::remove_dir_all(dir).unwrap();
    }
}
