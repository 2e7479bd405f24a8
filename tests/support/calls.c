/* Writes down in which order a program syncs, links and renames, to the file that
   LSRUN_TEST_CALLS names. For LD_PRELOAD, on Linux. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A name in a folder that is held open, as it is from outside. */
static const char *shown(const char *name, char *path) {
    char link[64];
    int file, end = 0;
    if (sscanf(name, "/proc/self/fd/%d%n", &file, &end) != 1 || name[end] != '/')
        return name;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, PATH_MAX);
    if (length <= 0)
        return name;
    snprintf(path + length, PATH_MAX, "%s", name + end);
    return path;
}

static void note(const char *what, const char *one, const char *other) {
    const char *log = getenv("LSRUN_TEST_CALLS");
    char line[4 * PATH_MAX + 32];
    if (!log)
        return;
    int length = snprintf(line, sizeof line, other ? "%s %s %s\n" : "%s %s\n", what, one, other);
    int file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (file < 0)
        return;
    if (write(file, line, length) != length)
        abort();
    syscall(SYS_close, file);
}

static void synced(int file) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length > 0) {
        path[length] = 0;
        note("sync", path, NULL);
    }
}

int fsync(int file) {
    int result = syscall(SYS_fsync, file);
    synced(file);
    return result;
}

int fdatasync(int file) {
    int result = syscall(SYS_fdatasync, file);
    synced(file);
    return result;
}

int rename(const char *from, const char *to) {
    int result = syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    char one[2 * PATH_MAX], other[2 * PATH_MAX];
    if (result == 0)
        note("rename", shown(from, one), shown(to, other));
    return result;
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    int result = syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
    char one[2 * PATH_MAX], other[2 * PATH_MAX];
    if (result == 0)
        note("link", shown(from, one), shown(to, other));
    return result;
}
