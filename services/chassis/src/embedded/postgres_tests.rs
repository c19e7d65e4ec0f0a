//! A private cluster that is killed, restarted and started a second time.

use futures::FutureExt;
use nix::{sys::signal::kill, unistd::Pid};

use super::{
    making::is_mount_point,
    programs::{check_maker, check_version, chosen, made_by, version_in},
    *,
};

async fn count(server: &Postgres) -> i64 {
    let (client, connection) =
        tokio_postgres::connect(&server.url("kept"), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn data_outlives_a_kill_and_a_second_start() {
    let options = Options { durable: true, ..Options::throw_away(true) };
    let mut server = Postgres::start(options.clone()).await.unwrap();
    assert!(server.create_database("kept", None).await.unwrap());
    assert!(!server.create_database("kept", None).await.unwrap());
    {
        let (client, connection) =
            tokio_postgres::connect(&server.url("kept"), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute("CREATE TABLE t (n int); INSERT INTO t VALUES (1)").await.unwrap();
    }
    let first = server.pid();
    let reaper = |server: &Postgres| {
        let shell = &server.reaper.as_ref().expect("it is thrown away after us").0;
        Pid::from_raw(shell.id().try_into().unwrap())
    };
    let reaps_first = reaper(&server);
    server.kill9().await.unwrap();
    assert_eq!(server.pid(), 0);
    server.restart().await.unwrap();
    assert_ne!(server.pid(), first);
    assert!(kill(reaps_first, None).is_err(), "who would end the first one's pid is gone");
    assert!(kill(reaper(&server), None).is_ok());
    assert_eq!(count(&server).await, 1);

    // Another start on the same folder is refused while this one runs, and names the pid.
    let again = Options { throw_away: false, ..options.clone() };
    let error = Postgres::start(again.clone()).await.unwrap_err().to_string();
    assert!(error.contains(&server.pid().to_string()), "{error}");
    server.stop().await.unwrap();

    // A stale lock file of a process that is no PostgreSQL is a left-over.
    std::fs::write(options.dir.join("pg/postmaster.pid"), format!("{}\n", std::process::id())).unwrap();
    let second = Postgres::start(again).await.unwrap();
    assert_eq!(count(&second).await, 1);
}

#[tokio::test]
async fn a_cluster_is_in_its_place_only_when_it_is_whole() {
    let options = Options::throw_away(false);
    let half = options.dir.join("pg.new");
    std::fs::create_dir_all(half.join("base")).unwrap();
    std::fs::write(half.join("PG_VERSION"), "15\n").unwrap();
    std::fs::create_dir(options.dir.join("pg")).unwrap();
    let mut server = Postgres::start(options.clone()).await.unwrap();
    assert!(!half.exists(), "what an interrupted start left was taken away");
    {
        let (client, connection) =
            tokio_postgres::connect(&server.url("postgres"), tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let row = client.query_one("SHOW wal_compression", &[]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), "lz4", "our settings hold");
    }
    assert!(server.create_database("kept", None).await.unwrap());
    server.stop().await.unwrap();

    let again = Options { throw_away: false, ..options };
    let second = Postgres::start(again).await.unwrap();
    assert!(!second.create_database("kept", None).await.unwrap(), "a whole cluster is kept as it is");
}

/// A cluster that is not made yet.
fn unmade(options: Options) -> Postgres {
    let user = child::server_user(&USERS, PACKAGE).unwrap();
    let socket_dir = child::short_dir(user.as_ref()).unwrap();
    std::fs::create_dir_all(&options.dir).unwrap();
    let bin = find_binaries(&data(&options.dir)).unwrap();
    Postgres { bin, options, user, socket_dir, child: None, reaper: None }
}

#[tokio::test]
async fn a_server_whose_start_is_given_up_is_stopped() {
    let mut server = unmade(Options::throw_away(false));
    server.make().unwrap();
    server.configure().unwrap();
    // Asked once: by then it is spawned, and waited for.
    assert!(server.launch().now_or_never().is_none());
    let pid = server.pid();
    assert!(pid > 0, "it is known to whoever gives it up");
    drop(server);
    let gone = async {
        while kill(Pid::from_raw(pid), None).is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("it is stopped");
}

#[test]
fn a_link_is_followed_and_the_cluster_made_beside_its_target() {
    let server = unmade(Options::throw_away(false));
    let dir = &server.options.dir;
    // To a folder that is there and empty, or is not there yet.
    for (place, there) in [("disk/one", true), ("disk/two", false)] {
        if there {
            std::fs::create_dir_all(dir.join(place)).unwrap();
        }
        std::fs::remove_file(dir.join("pg")).ok();
        std::os::unix::fs::symlink(place, dir.join("pg")).unwrap();
        server.make().unwrap();
        assert!(dir.join("pg").is_symlink() && dir.join(place).join("PG_VERSION").exists(), "{place}");
    }
    assert_eq!(std::fs::read_dir(dir.join("disk")).unwrap().count(), 2, "no draft is left");
}

#[test]
fn a_folder_with_something_else_in_it_is_named() {
    let server = unmade(Options::throw_away(false));
    let data = server.data();
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("lost+found"), "").unwrap();
    let error = server.make().unwrap_err().to_string();
    assert!(error.starts_with(&format!("{} is not empty and holds no cluster", data.display())), "{error}");
    assert!(data.join("lost+found").exists());
    assert!(!is_mount_point(&data) && is_mount_point(Path::new("/proc")));
}

#[test]
fn two_starts_on_one_new_folder_make_one_cluster() {
    let options = Options::throw_away(false);
    let dir = options.dir.clone();
    let first = unmade(options.clone());
    let second = unmade(Options { throw_away: false, ..options });
    let makes = [first, second].map(|server| {
        std::thread::spawn(move || {
            let made = server.make();
            (server, made)
        })
    });
    // Held until both are done: the first takes the folder away when it goes.
    let made: Vec<_> = makes.into_iter().map(|make| make.join().unwrap()).collect();
    for (_, made) in &made {
        assert!(made.is_ok(), "{made:?}");
    }
    assert!(dir.join("pg/PG_VERSION").exists() && !dir.join("pg.new").exists());
}

#[tokio::test]
async fn a_cluster_that_does_not_read_our_settings_is_left_alone() {
    let options = Options::throw_away(false);
    let data = options.dir.join("pg");
    let installed = version_in(&find_binaries(&data).unwrap()).unwrap();
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("PG_VERSION"), format!("{installed}\n")).unwrap();
    std::fs::write(data.join("postgresql.conf"), "#include 'jianghan.conf'\n").unwrap();
    let error = Postgres::start(options).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("{} is no cluster of jianghan's", data.display())), "{error}");
}

#[test]
fn a_server_that_is_too_old_is_refused_by_its_version() {
    let dir = Path::new("/usr/lib/postgresql/bin");
    for told in ["postgres (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)", "postgres (PostgreSQL) 18devel"] {
        check_version(told, dir).unwrap();
    }
    for (told, version) in [
        ("postgres (PostgreSQL) 14.12 (Debian 14.12-1)", "is 14.12:"),
        ("postgres (PostgreSQL) 9.6.24", "is 9.6.24:"),
        ("", "is of no known version:"),
    ] {
        let error = check_version(told, dir).unwrap_err().to_string();
        assert!(error.starts_with("PostgreSQL 15 or newer is needed") && error.contains(version), "{error}");
    }
}

#[test]
fn the_version_that_made_the_cluster_is_chosen_and_of_others_the_newest_that_is_complete() {
    let folder = std::env::temp_dir().join(format!("jh-versions-{}", crate::clock::new_id().simple()));
    let (tree, data) = (folder.join("postgresql"), folder.join("pg"));
    let bin = |version: &str| tree.join(version).join("bin");
    let programs = |dir: &Path, names: &[&str]| {
        std::fs::create_dir_all(dir).unwrap();
        for name in names {
            std::fs::write(dir.join(name), "").unwrap();
        }
    };
    for version in ["9.6", "15", "16"] {
        programs(&bin(version), &["initdb", "postgres", "psql"]);
    }
    programs(&bin("17"), &["psql"]); // a client alone
    let path = Some(folder.join("bin"));

    assert_eq!(chosen(&tree, path.clone(), None), Some(bin("16")));
    std::fs::create_dir(&data).unwrap();
    assert_eq!(made_by(&data), None);
    std::fs::write(data.join("PG_VERSION"), "15\n").unwrap();
    assert_eq!(chosen(&tree, path.clone(), made_by(&data)), Some(bin("15")));
    assert_eq!(chosen(&tree, path.clone(), Some(17)), path, "which may be of that version");
    assert_eq!(chosen(&tree, None, Some(17)), Some(bin("16")), "which is refused, see below");
    assert_eq!(chosen(&folder.join("none"), path.clone(), None), path);
    assert_eq!(chosen(&folder.join("none"), None, None), None);

    assert!(check_maker(None, 16, &tree, &data).is_ok() && check_maker(Some(15), 15, &tree, &data).is_ok());
    let error = check_maker(Some(15), 16, &tree, &data).unwrap_err().to_string();
    let said = format!("{} was made by PostgreSQL 15, and the one in", data.display());
    assert!(error.starts_with(&said) && error.contains("JIANGHAN_PG_BIN"), "{error}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn names_of_databases_are_plain() {
    for name in ["", "a b", "a\"b", "A", &"x".repeat(60)] {
        assert!(!is_name(name), "{name}");
    }
    assert!(is_name("case_routing") && is_name("t_01"));
}
