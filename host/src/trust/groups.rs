//! Who is in a group, according to this machine's own files. Debian, Ubuntu and
//! others give each user a private group and make new files writable by
//! it: that is not another user.

use std::collections::HashMap;

/// Whether the group `gid` has nobody in it but root and `owners`.
///
/// A group that this machine's files do not know (LDAP, a container without a user
/// database) counts as a user's own when its number is the user's.
pub(super) fn is_private(gid: u32, owners: &[u32]) -> bool {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    private_in(&read("/etc/passwd"), &read("/etc/group"), gid, owners)
}

fn private_in(passwd: &str, group: &str, gid: u32, owners: &[u32]) -> bool {
    // Root's group: whoever is in it was made an administrator.
    if gid == 0 {
        return true;
    }
    let trusted = |uid: u32| uid == 0 || owners.contains(&uid);
    let mut known = false;
    let mut users = HashMap::new();
    for line in passwd.lines() {
        let mut fields = line.split(':');
        let (Some(name), Some(uid), Some(primary)) =
            (fields.next(), number(fields.nth(1)), number(fields.next()))
        else {
            continue;
        };
        users.insert(name, uid);
        if primary == gid {
            known = true;
            if !trusted(uid) {
                return false;
            }
        }
    }
    for line in group.lines() {
        let mut fields = line.split(':');
        let (Some(id), Some(members)) = (number(fields.nth(2)), fields.next()) else { continue };
        if id != gid {
            continue;
        }
        known = true;
        for member in members.split(',').map(str::trim).filter(|member| !member.is_empty()) {
            if !users.get(member).is_some_and(|uid| trusted(*uid)) {
                return false;
            }
        }
    }
    known || owners.contains(&gid)
}

fn number(field: Option<&str>) -> Option<u32> {
    field?.trim().parse().ok()
}

/// `ann, uid 1000`, or the number alone.
pub(super) fn user(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (number(fields.nth(1)) == Some(uid)).then(|| name.to_owned())
    });
    match name {
        Some(name) => format!("{name}, uid {uid}"),
        None => format!("uid {uid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::private_in;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n\
                          bob:x:1001:1002::/home/bob:/bin/sh\ncat:x:1003:100::/:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nann:x:1000:\nbob:x:1002:ann\nusers:x:100:\nstaff:x:50:\n\
                         wheel:x:10:root\n";

    #[test]
    fn a_group_without_others_is_the_users_own() {
        let private = |gid, uid| private_in(PASSWD, GROUP, gid, &[uid]);
        assert!(private(1000, 1000), "ann's own");
        assert!(private(50, 1000), "nobody is in it");
        assert!(private(10, 1000), "root is in it");
        assert!(private(0, 1000));
        assert!(!private(1002, 1001), "ann is in bob's");
        assert!(!private(100, 1000), "cat has it as the first one");
        assert!(!private(1000, 1001), "ann's, for bob");
        // No user database: by the number.
        assert!(private_in("", "", 1234, &[1234]));
        assert!(!private_in("", "", 1234, &[1235]));
    }
}
