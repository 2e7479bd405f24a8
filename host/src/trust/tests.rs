use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::*;

/// Another user: nobody, or, for nobody, root.
const OTHER: u32 = 65534;

fn am_root() -> bool {
    me() == 0
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A file `a/b/file` in a private folder.
fn tree() -> (tempfile::TempDir, PathBuf) {
    let top = tempfile::tempdir().unwrap();
    let folder = top.path().join("a/b");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("file");
    std::fs::write(&file, "mine").unwrap();
    for path in [top.path().join("a"), folder] {
        mode(&path, 0o755);
    }
    mode(&file, 0o644);
    (top, file)
}

fn why(path: &Path) -> String {
    Trust::mine().file(path).unwrap_err().to_string()
}

#[test]
fn ones_own_files_are_trusted_and_those_that_others_may_write_are_not() {
    let (top, file) = tree();
    assert_eq!(Trust::mine().read(&file, 4).unwrap(), b"mine");
    assert!(matches!(Trust::mine().read(&file, 3), Err(Distrust::TooLarge { .. })));
    for (path, bits) in [(file.clone(), 0o666), (top.path().join("a"), 0o777)] {
        let before = std::fs::metadata(&path).unwrap().permissions().mode();
        mode(&path, bits);
        let distrust = Trust::mine().file(&file).unwrap_err();
        assert!(distrust.is_about_others());
        assert!(distrust.to_string().contains("can be written by others"), "{distrust}");
        // What it says to do, works.
        let fix = distrust.fix().unwrap();
        assert!(std::process::Command::new("sh").args(["-c", &fix]).status().unwrap().success());
        Trust::mine().file(&file).unwrap_or_else(|error| panic!("{fix}: {error}"));
        mode(&path, before);
    }
    assert!(Trust::mine().file(&top.path().join("none")).unwrap_err().is_missing());
    assert!(why(&top.path().join("a")).contains("not a regular file"));
    assert!(Trust::mine().folder(&file).unwrap_err().to_string().contains("not a folder"));
}

#[test]
fn the_groups_bit_is_fine_for_a_group_of_ones_own() {
    let (top, file) = tree();
    let own = rustix::process::getegid().as_raw();
    for path in [file.clone(), top.path().join("a")] {
        mode(&path, 0o775);
    }
    // In a container or a build the first group may be anybody's.
    let private = groups::is_private(own, &[me()]);
    assert_eq!(Trust::mine().file(&file).is_ok(), private, "gid {own}");
    if am_root() {
        // A group with another user as a member.
        let Some(gid) = foreign_group() else { return };
        chown(&file, None, Some(gid)).unwrap();
        assert!(why(&file).contains("can be written by others"), "gid {gid}");
    }
}

/// A group that is the first one of a user that is neither this one nor root.
fn foreign_group() -> Option<u32> {
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':').skip(2);
        let uid: u32 = fields.next()?.parse().ok()?;
        let gid: u32 = fields.next()?.parse().ok()?;
        (uid != 0 && uid != me() && gid != 0).then_some(gid)
    })
}

#[test]
fn a_sticky_folder_is_passed_through_and_is_no_place_of_ones_own() {
    let (top, file) = tree();
    mode(&top.path().join("a"), 0o1777);
    Trust::mine().file(&file).unwrap();
    assert!(Trust::mine().folder(&top.path().join("a")).is_err());
    Trust::mine().chain_of(&file).unwrap();
    assert!(Trust::mine().chain_of(&top.path().join("a/x")).is_err());
    mode(&top.path().join("a"), 0o755);
    Trust::mine().folder(&top.path().join("a/b")).unwrap();
}

#[test]
fn links_are_followed_and_what_they_lead_through_counts() {
    let (top, file) = tree();
    let link = top.path().join("link");
    symlink("a/../a/b/./file", &link).unwrap();
    assert_eq!(Trust::mine().read(&link, 9).unwrap(), b"mine");
    let around = top.path().join("around");
    symlink(&around, &around).unwrap();
    assert!(matches!(Trust::mine().file(&around), Err(Distrust::Io(..))));
    // A link to a file of root's is root's file; through a foreign folder it is not.
    let out = top.path().join("out");
    symlink("/etc/passwd", &out).unwrap();
    Trust::mine().file(&out).unwrap();
    mode(file.parent().unwrap(), 0o777);
    assert!(why(&link).contains("can be written by others"));
}

#[test]
fn devices_and_pipes_are_not_opened() {
    let (top, _file) = tree();
    let pipe = top.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    // It would wait for a writer forever.
    assert!(why(&pipe).contains("not a regular file"));
    assert!(why(Path::new("/dev/zero")).contains("not a regular file"));
}

#[test]
fn what_another_user_owns_is_not_trusted_unless_that_user_is() {
    let (top, file) = tree();
    if !am_root() {
        // Root's are: that is all that can be shown without being root.
        Trust::mine().file(Path::new("/etc/passwd")).unwrap();
        assert!(!Trust { owners: vec![me() + 1] }.holds(me()));
        return;
    }
    for path in [file.clone(), top.path().join("a")] {
        chown(&path, Some(OTHER), None).unwrap();
        assert!(why(&file).contains("belongs to another user"), "{}", why(&file));
        Trust::mine().and(Some(OTHER)).file(&file).unwrap();
        chown(&path, Some(0), None).unwrap();
    }
    let link = top.path().join("link");
    symlink(&file, &link).unwrap();
    std::os::unix::fs::lchown(&link, Some(OTHER), None).unwrap();
    let distrust = Trust::mine().file(&link).unwrap_err();
    assert!(matches!(&distrust, Distrust::Owner { path, .. } if *path == link), "{distrust}");
    let fix = distrust.fix().unwrap();
    assert!(std::process::Command::new("sh").args(["-c", &fix]).status().unwrap().success());
    Trust::mine().file(&link).unwrap();
}

#[test]
fn a_private_folder_is_made_and_not_taken_over() {
    let (top, _file) = tree();
    let folder = top.path().join("x/y");
    private_folder(&folder).unwrap();
    assert_eq!(std::fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    private_folder(&folder).unwrap();
    mode(&top.path().join("x"), 0o777);
    assert!(private_folder(&folder).unwrap_err().is_about_others());
    if am_root() {
        mode(&top.path().join("x"), 0o755);
        chown(&folder, Some(OTHER), None).unwrap();
        assert!(private_folder(&folder).unwrap_err().is_about_others());
    }
}

/// Another user exchanges an entry of a folder like `/tmp` as fast as possible: what
/// is opened is root's or nothing.
#[test]
fn a_racer_gets_nothing_opened() {
    use std::os::unix::process::CommandExt;

    let (top, good) = tree();
    mode(top.path(), 0o755);
    let shared = top.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    mode(&shared, 0o1777);
    if !am_root() {
        // Alone: the same exchange by one user is between two trusted places.
        symlink(good.parent().unwrap(), shared.join("x")).unwrap();
        assert_eq!(Trust::mine().read(&shared.join("x/file"), 9).unwrap(), b"mine");
        return;
    }
    let script = "mkdir evil && echo evil > evil/file && ln -s \"$1\" good
        while :; do mv -T evil x; mv -T x evil; mv -T good x; mv -T x good; done";
    let mut racer = std::process::Command::new("sh")
        .args(["-c", script, "racer"])
        .arg(good.parent().unwrap())
        .current_dir(&shared)
        .uid(OTHER)
        .gid(OTHER)
        .spawn()
        .unwrap();
    let target = shared.join("x/file");
    let (mut refused, mut tries) = (0, 0);
    let deadline = Instant::now() + Duration::from_secs(60);
    // Until both states were met often enough.
    while refused < 200 && Instant::now() < deadline {
        tries += 1;
        match Trust::mine().read(&target, 9) {
            Ok(bytes) => assert_eq!(bytes, b"mine", "after {tries}"),
            Err(error) => refused += u32::from(error.is_about_others()),
        }
    }
    racer.kill().unwrap();
    racer.wait().unwrap();
    assert!(refused >= 200, "the racer was met {refused} times of {tries}");
}

#[tokio::test]
async fn the_other_end_of_a_socket_is_known() {
    let top = tempfile::tempdir().unwrap();
    let path = top.path().join("s");
    let _listener = tokio::net::UnixListener::bind(&path).unwrap();
    let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    assert!(peer_is_trusted(&stream, &path));
    if !am_root() {
        return;
    }
    // Another user's, in a folder of its own and in a shared one.
    for (bits, trusted) in [(0o755, true), (0o1777, false)] {
        use std::os::unix::process::CommandExt;
        let folder = top.path().join(format!("of-{bits:o}"));
        std::fs::create_dir(&folder).unwrap();
        mode(top.path(), 0o755);
        mode(&folder, bits);
        chown(&folder, Some(OTHER), None).unwrap();
        let path = folder.join("s");
        let code = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\n\
                    s.listen()\nwhile True: s.accept()";
        let mut other = std::process::Command::new("python3")
            .args(["-c", code])
            .arg(&path)
            .uid(OTHER)
            .gid(OTHER)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let stream = loop {
            match tokio::net::UnixStream::connect(&path).await {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert_eq!(peer_is_trusted(&stream, &path), trusted, "{bits:o}");
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
