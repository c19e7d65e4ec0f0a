//! Making a cluster: whole, or not at all.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use super::{CONF, INCLUDE, Postgres, child};

impl Postgres {
    /// Makes the cluster where there is none, beside its place, and moves it there when it is whole: one that is there is complete, at
    /// whatever moment an earlier start was killed. Nothing can be moved to where something is mounted: there it is made in
    /// its place, and one that was not made to its end is refused by the next start.
    pub(super) fn make(&self) -> anyhow::Result<()> {
        // Another start on the same folder waits, and finds the cluster made.
        let lock = self.options.dir.join("pg.lock");
        let locked = std::fs::OpenOptions::new().create(true).append(true).open(&lock);
        let _held = locked
            .and_then(|file| file.lock().map(|()| file))
            .with_context(|| format!("cannot lock {}", lock.display()))?;
        if self.data().join("PG_VERSION").exists() {
            return Ok(());
        }
        let place = self.place()?;
        anyhow::ensure!(
            is_free(&place),
            "{} is not empty and holds no cluster: choose another data folder, or remove it if nothing in it is \
             needed",
            place.display()
        );
        if is_mount_point(&place) {
            return self.make_in(&place);
        }
        let mut draft = place.clone().into_os_string();
        draft.push(".new");
        let draft = PathBuf::from(draft);
        remove(&draft)?;
        self.make_in(&draft)?;
        match std::fs::rename(&draft, &place) {
            // A mount of a folder of the same file system.
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                remove(&draft)?;
                return self.make_in(&place);
            }
            moved => moved.with_context(|| format!("cannot make {}", place.display()))?,
        }
        let around = place.parent().unwrap_or(&self.options.dir);
        let made = std::fs::File::open(around).and_then(|dir| dir.sync_all());
        made.with_context(|| format!("writing the folder {}", around.display()))
    }

    fn make_in(&self, dir: &Path) -> anyhow::Result<()> {
        child::private_dir(dir, self.user.as_ref())?;
        child::check_reachable(dir, self.user.as_ref())?;
        self.initdb(dir)
    }

    /// The folder of the cluster itself, where `pg` is a link to it.
    fn place(&self) -> anyhow::Result<PathBuf> {
        let data = self.data();
        let Ok(target) = std::fs::read_link(&data) else { return Ok(data) };
        let target = self.options.dir.join(target);
        let made = std::fs::create_dir_all(&target).and_then(|()| target.canonicalize());
        made.with_context(|| {
            format!("cannot make the folder {}, which {} is a link to", target.display(), data.display())
        })
    }

    fn initdb(&self, dir: &Path) -> anyhow::Result<()> {
        let mut command = child::command(&self.bin.join("initdb"), self.user.as_ref(), "KILL");
        command.arg("-D").arg(dir).args(["-U", "jianghan", "-A", "trust", "-E", "UTF8"]);
        // The order of C.UTF-8 is that of C, which PostgreSQL knows and needs not ask the C library for.
        command.args(["--locale=C.UTF-8", "--lc-collate=C", "--no-instructions"]).current_dir(dir);
        if !self.options.durable {
            command.arg("-N");
        }
        let made = command.output().context("cannot run initdb")?;
        if !made.status.success() {
            bail!("initdb failed: {}", String::from_utf8_lossy(&made.stderr).trim());
        }
        let conf = std::fs::OpenOptions::new().append(true).open(dir.join(CONF));
        let written = conf.and_then(|mut conf| {
            writeln!(conf, "\n{INCLUDE}")?;
            conf.sync_all()
        });
        written.context("writing postgresql.conf")
    }
}

/// Whether nothing is there, or an empty folder.
fn is_free(place: &Path) -> bool {
    match std::fs::read_dir(place) {
        Ok(mut found) => found.next().is_none(),
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    }
}

/// Whether a folder is of another file system than the one around it.
pub(super) fn is_mount_point(place: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| std::fs::metadata(path).ok().map(|found| found.dev());
    let own = device(place);
    own.is_some() && own != place.parent().and_then(device)
}

/// Removes a folder, if it is there.
fn remove(dir: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}
