/* Exchanges the names in a folder as fast as it can: each is for a moment a link to a
   file that this user may not touch. `racer FOLDER NAME VICTIM STOP` goes on until a file
   STOP exists, and prints how often. NAME is exchanged always, other names that a restore
   makes when they are there. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static long swaps;

static void swap(const char *name, const char *victim) {
    if (rename(name, "aside") != 0)
        return;
    if (symlink(victim, name) == 0) {
        for (volatile int wait = 0; wait < 3000; wait++)
            ;
        unlink(name);
    }
    /* What somebody made meanwhile stays. */
    if (link("aside", name) == 0)
        unlink("aside");
    else
        rename("aside", name);
    swaps++;
}

int main(int count, char **words) {
    char log[512];
    if (count != 5 || chdir(words[1]) != 0)
        return 2;
    while (access(words[4], F_OK) != 0) {
        swap(words[2], words[3]);
        snprintf(log, sizeof log, "%s-wal", words[2]);
        if (symlink(words[3], log) == 0)
            unlink(log);
        DIR *folder = opendir(".");
        struct dirent *entry;
        while (folder && (entry = readdir(folder)))
            if (strstr(entry->d_name, ".before-restore-") || strstr(entry->d_name, "lsrun-"))
                swap(entry->d_name, words[3]);
        if (folder)
            closedir(folder);
        usleep(50);
    }
    printf("%ld\n", swaps);
    return 0;
}
