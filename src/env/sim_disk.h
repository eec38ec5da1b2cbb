/* sim_disk: the simulated disk: what the machine shows of it, and what of that would outlive a power cut.
 *
 * Every file has two contents, the machine's and the disk's, and the list of writes between them; every name
 * in a directory has two files, and one list of changes between them, disk-wide. A sync settles its part of a
 * list, a power cut all of both, by the seed. Two bounds stand for a kernel that writes back on its own:
 * past SIM_UNSETTLED_MAX changes the oldest are settled.
 *
 * Threads: one. Memory: the account given to env_disk_create; the disk outlives envs. It stands for hardware,
 * so a refused allocation is asked for again: no caller is told that a disk has no memory. */
#ifndef ENV_SIM_DISK_H
#define ENV_SIM_DISK_H

#include "env/sim_internal.h"

enum {
    SIM_SECTOR_BYTES = 512,
    SIM_UNSETTLED_MAX = 4096, /* of one file's writes, and of the disk's name changes */
};

struct sim_content {
    unsigned char *bytes; /* zero from `length` to `capacity` */
    uint64_t length, capacity;
};

/* One write (bytes) or truncation (to `offset`) that the disk does not have yet. */
struct sim_write {
    struct sim_write *next;
    bool truncates;
    uint64_t offset, length;
    unsigned char bytes[];
};

struct sim_name;
struct sim_inode {
    struct env_disk *disk;
    uint64_t number;     /* creation order */
    uint64_t uses;       /* names of either kind, changes, open files; 0: freed */
    uint64_t shown_uses; /* of these: shown names and open files; 0: its bytes are free again */
    uint64_t mark;       /* scratch of a pass */
    bool directory;
    int64_t modified_utc_ns;
    /* a file */
    struct sim_content shown, kept;
    struct sim_write *writes, **writes_last;
    unsigned writes_count;
    const void *locker; /* the open file that holds the lock */
    /* a directory */
    struct map *names; /* text -> struct sim_name */
};

struct sim_name {
    struct sim_inode *directory;
    struct sim_inode *shown, *kept; /* NULL: no such name */
    unsigned changes;               /* of the list that are about it */
    uint64_t mark;                  /* scratch of a pass */
    size_t length;
    char text[];
};

/* A name, or in a rename two, that point elsewhere. */
struct sim_change {
    struct sim_name *name[2]; /* the second may be NULL */
    struct sim_inode *to[2];  /* NULL: removed */
    bool settle;              /* scratch: chosen in this pass */
};

struct env_disk {
    struct account *account;
    struct sim_inode *root;
    uint64_t inodes_made, marks_made;
    uint64_t bytes_shown;       /* of all files that are there for the machine */
    struct sim_change *changes; /* SIM_UNSETTLED_MAX, oldest first */
    unsigned changes_count;
    unsigned attached; /* envs */
};

void sim_disk_attach(struct env_disk *disk);
void sim_disk_detach(struct env_disk *disk);

/* sim_content.c: files' bytes. */
void sim_content_write(struct sim_inode *file, uint64_t offset, const void *bytes, uint64_t length);
void sim_content_truncate(struct sim_inode *file, uint64_t length);
void sim_content_settle(struct sim_inode *file); /* a sync: the disk has it all */
/* Each write so far is kept, dropped or torn: what a power cut does, and a failed sync. */
void sim_content_chance(struct sim_inode *file, struct random_stream *random);
void sim_content_forget(struct sim_inode *file); /* the machine shows what the disk has */
void sim_content_free(struct sim_inode *file);

/* sim_names.c: directories. Paths are absolute and normal. */
void *sim_disk_take(struct env_disk *disk, size_t bytes); /* never NULL: there is nobody to tell */
struct sim_inode *sim_inode_new(struct env_disk *disk, bool directory);    /* no uses yet */
void sim_inode_open(struct sim_inode *inode);                              /* a use that shows it */
void sim_inode_close(struct sim_inode *inode);                             /* frees it after the last use */
struct sim_inode *sim_names_find(struct env_disk *disk, const char *path); /* NULL: nothing there */
/* The entry for the last part of `path`, made (pointing nowhere) if need be; NULL: no such directory, or the
 * root. One that still points nowhere is dropped by sim_names_forget. */
struct sim_name *sim_names_entry(struct env_disk *disk, const char *path);
void sim_names_forget(struct sim_name *name);
void sim_names_set(struct sim_name *name, struct sim_inode *to);
void sim_names_move(struct sim_name *from, struct sim_name *to);
bool sim_names_empty(const struct sim_inode *directory);
void sim_names_settle(struct sim_inode *directory); /* a sync of it */

#endif
