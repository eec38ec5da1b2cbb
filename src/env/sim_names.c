/* sim_names: directories of the simulated disk: names as the machine shows them, as a power cut would leave
 * them, and the changes between the two.
 *
 * Invariants: applying the list of changes in order to the kept names gives the shown ones. A change is
 * atomic (a rename never leaves both names or neither), and brings with it every earlier one about the same
 * name or file: a file renamed twice has one name. Nothing else is promised: a file's sync does not keep its
 * name, a directory's sync does not keep the directory itself.
 *
 * Threads: one. Memory: the disk's; an inode lives while a name, a change or an open file refers to it. */
#include <string.h>

#include "env/sim_disk.h"

enum { WRITE_BACK = SIM_UNSETTLED_MAX / 4 }; /* changes settled at a time when the list is full */

void *sim_disk_take(struct env_disk *disk, size_t bytes) {
    void *block = memory_alloc(disk->account, bytes);
    if (!block)
        block = memory_alloc(disk->account, bytes);
    CHECK(block);
    return block;
}

/* ---- inodes ---- */

struct sim_inode *sim_inode_new(struct env_disk *disk, bool directory) {
    struct sim_inode *inode = sim_disk_take(disk, sizeof *inode);
    inode->disk = disk;
    inode->number = disk->inodes_made++;
    inode->directory = directory;
    if (!directory)
        return inode;
    enum troupe_error error = map_create(disk->account, &inode->names);
    if (error)
        error = map_create(disk->account, &inode->names);
    CHECK(!error);
    return inode;
}

static void inode_hold(struct sim_inode *inode) {
    if (inode)
        inode->uses++;
}

static void inode_drop(struct sim_inode *inode) {
    if (!inode || --inode->uses)
        return;
    struct account *account = inode->disk->account;
    size_t at = 0, length;
    const char *key;
    void *value;
    while (inode->names && map_next(inode->names, &at, &key, &length, &value)) {
        struct sim_name *name = value;
        if (name->shown)
            sim_inode_close(name->shown);
        inode_drop(name->kept);
        memory_free(account, name);
    }
    map_free(inode->names);
    sim_content_free(inode);
    memory_free(account, inode);
}

void sim_inode_open(struct sim_inode *inode) {
    inode->uses++;
    inode->shown_uses++;
}

void sim_inode_close(struct sim_inode *inode) {
    if (--inode->shown_uses == 0)
        inode->disk->bytes_shown -= inode->shown.length;
    inode_drop(inode);
}

/* ---- paths ---- */

/* Follows the parts of `path` up to `end`. */
static struct sim_inode *walk(struct env_disk *disk, const char *path, const char *end) {
    struct sim_inode *inode = disk->root;
    while (path < end) {
        path += *path == '/';
        size_t length = strcspn(path, "/");
        if (length == 0)
            break;
        struct sim_name *name = inode->directory ? map_get(inode->names, path, length) : NULL;
        if (!name || !name->shown)
            return NULL;
        inode = name->shown;
        path += length;
    }
    return inode;
}

struct sim_inode *sim_names_find(struct env_disk *disk, const char *path) {
    return walk(disk, path, path + strlen(path));
}

struct sim_name *sim_names_entry(struct env_disk *disk, const char *path) {
    const char *last = strrchr(path, '/') + 1;
    size_t length = strlen(last);
    struct sim_inode *directory = length ? walk(disk, path, last - 1) : NULL;
    if (!directory || !directory->directory)
        return NULL;
    struct sim_name *name = map_get(directory->names, last, length);
    if (name)
        return name;
    name = sim_disk_take(disk, sizeof *name + length + 1);
    name->directory = directory;
    name->length = length;
    memcpy(name->text, last, length);
    enum troupe_error error = map_put(directory->names, last, length, name);
    if (error)
        error = map_put(directory->names, last, length, name);
    CHECK(!error);
    return name;
}

void sim_names_forget(struct sim_name *name) {
    if (name->shown || name->kept || name->changes)
        return;
    map_remove(name->directory->names, name->text, name->length);
    memory_free(name->directory->disk->account, name);
}

bool sim_names_empty(const struct sim_inode *directory) {
    size_t at = 0, length;
    const char *key;
    void *value;
    while (map_next(directory->names, &at, &key, &length, &value))
        if (((struct sim_name *)value)->shown)
            return false;
    return true;
}

/* ---- changes ---- */

static void name_show(struct sim_name *name, struct sim_inode *to) {
    struct sim_inode *before = name->shown;
    if (to)
        sim_inode_open(to);
    name->shown = to;
    if (before)
        sim_inode_close(before);
}

static void name_keep(struct sim_name *name, struct sim_inode *to) {
    struct sim_inode *before = name->kept;
    inode_hold(to);
    name->kept = to;
    inode_drop(before);
}

static void change_end(struct sim_change *change, bool settled) {
    for (unsigned i = 0; i < 2 && change->name[i]; i++)
        if (settled)
            name_keep(change->name[i], change->to[i]);
    for (unsigned i = 0; i < 2 && change->name[i]; i++) {
        struct sim_name *name = change->name[i];
        struct sim_inode *directory = name->directory;
        inode_drop(change->to[i]);
        name->changes--;
        sim_names_forget(name);
        inode_drop(directory);
    }
}

/* Settles the chosen ones in order, drops the others when `all`, and closes the gaps. */
static void changes_end(struct env_disk *disk, bool all) {
    unsigned left = 0;
    for (unsigned i = 0; i < disk->changes_count; i++) {
        struct sim_change change = disk->changes[i];
        if (change.settle || all)
            change_end(&change, change.settle);
        else
            disk->changes[left++] = change;
    }
    disk->changes_count = left;
}

static void change_add(struct env_disk *disk, struct sim_change change) {
    if (disk->changes_count == SIM_UNSETTLED_MAX) {
        for (unsigned i = 0; i < WRITE_BACK; i++)
            disk->changes[i].settle = true;
        changes_end(disk, false);
    }
    disk->changes[disk->changes_count++] = change;
    for (unsigned i = 0; i < 2 && change.name[i]; i++) {
        inode_hold(change.to[i]);
        inode_hold(change.name[i]->directory);
        change.name[i]->changes++;
    }
    for (unsigned i = 0; i < 2 && change.name[i]; i++)
        name_show(change.name[i], change.to[i]);
}

void sim_names_set(struct sim_name *name, struct sim_inode *to) {
    change_add(name->directory->disk, (struct sim_change){.name = {name}, .to = {to}});
}

void sim_names_move(struct sim_name *from, struct sim_name *to) {
    change_add(from->directory->disk, (struct sim_change){.name = {to, from}, .to = {from->shown}});
}

/* A look at the changes from the newest to the oldest: what is chosen, and what that is about. */
struct pass {
    uint64_t mark;
    bool all; /* a directory moves: everything before it comes along, or it could end up inside itself */
};

static void change_choose(struct sim_change *change, struct pass *pass) {
    change->settle = true;
    for (unsigned i = 0; i < 2 && change->name[i]; i++) {
        change->name[i]->mark = pass->mark;
        if (change->to[i])
            change->to[i]->mark = pass->mark;
    }
    if (change->name[1] && change->to[0]->directory)
        pass->all = true;
}

/* Is it about something that a later, chosen change is about? */
static bool change_needed(const struct sim_change *change, const struct pass *pass) {
    for (unsigned i = 0; i < 2 && change->name[i]; i++)
        if (change->name[i]->mark == pass->mark || (change->to[i] && change->to[i]->mark == pass->mark))
            return true;
    return pass->all;
}

static bool change_in(const struct sim_change *change, const struct sim_inode *directory) {
    return change->name[0]->directory == directory ||
           (change->name[1] && change->name[1]->directory == directory);
}

void sim_names_settle(struct sim_inode *directory) {
    struct env_disk *disk = directory->disk;
    struct pass pass = {.mark = ++disk->marks_made};
    for (unsigned i = disk->changes_count; i-- > 0;) {
        struct sim_change *change = &disk->changes[i];
        if (change_in(change, directory) || change_needed(change, &pass))
            change_choose(change, &pass);
    }
    changes_end(disk, false);
}

/* ---- the disk ---- */

enum troupe_error env_disk_create(struct account *account, struct env_disk **ret_disk) {
    struct env_disk *disk = memory_alloc(account, sizeof *disk);
    if (!disk)
        return TROUPE_NOMEM;
    disk->account = account;
    disk->changes = memory_alloc(account, SIM_UNSETTLED_MAX * sizeof *disk->changes);
    if (!disk->changes) {
        memory_free(account, disk);
        return TROUPE_NOMEM;
    }
    disk->root = sim_inode_new(disk, true);
    sim_inode_open(disk->root);
    *ret_disk = disk;
    return TROUPE_OK;
}

void sim_disk_attach(struct env_disk *disk) {
    disk->attached++;
}

void sim_disk_detach(struct env_disk *disk) {
    disk->attached--;
}

void env_disk_free(struct env_disk *disk) {
    if (!disk)
        return;
    CHECK(!disk->attached);
    changes_end(disk, true);
    sim_inode_close(disk->root);
    memory_free(disk->account, disk->changes);
    memory_free(disk->account, disk);
}

/* What the machine remembers of a directory, and of all below it, is what the disk has. */
static void directory_forget(struct sim_inode *directory, struct random_stream *random) {
    size_t at = 0, length;
    const char *key;
    void *value;
    while (map_next(directory->names, &at, &key, &length, &value)) {
        struct sim_name *name = value;
        name_show(name, name->kept);
        if (!name->kept) {
            sim_names_forget(name);
        } else if (name->kept->directory) {
            directory_forget(name->kept, random);
        } else {
            sim_content_chance(name->kept, random);
            sim_content_forget(name->kept);
        }
    }
}

static uint64_t directory_bytes(const struct sim_inode *directory) {
    uint64_t bytes = 0;
    size_t at = 0, length;
    const char *key;
    void *value;
    while (map_next(directory->names, &at, &key, &length, &value)) {
        const struct sim_inode *inode = ((struct sim_name *)value)->shown;
        if (inode)
            bytes += inode->directory ? directory_bytes(inode) : inode->shown.length;
    }
    return bytes;
}

void env_disk_power_cut(struct env_disk *disk, uint64_t seed) {
    CHECK(!disk->attached);
    struct random_stream random;
    random_seed(&random, seed, 4);
    struct pass pass = {.mark = ++disk->marks_made};
    double keep = (double)random_below(&random, 5) / 4;
    for (unsigned i = disk->changes_count; i-- > 0;) {
        struct sim_change *change = &disk->changes[i];
        if (random_unit(&random) < keep || change_needed(change, &pass))
            change_choose(change, &pass);
    }
    changes_end(disk, true);
    directory_forget(disk->root, &random);
    disk->bytes_shown = directory_bytes(disk->root);
}
