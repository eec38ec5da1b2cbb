/* sim_files: the file calls of an env on the simulated disk, with its faults and the moment the power goes.
 *
 * Invariants: each call that changes the disk is an event; the one at which the power goes may or may not
 * have reached the disk (the power cut decides), and it and every later call fail with IO. A refused write
 * leaves some of its beginning behind; a failed sync leaves what was unsynced to chance and never keeps it
 * later, as kernels do. Threads: one. Memory: a block an open file, the env's; the rest is the disk's. */
#include <string.h>

#include "env/sim_disk.h"

struct sim_file {
    struct env_file file;
    struct sim_inode *inode;
};

static struct sim_env *sim_of(struct env *env) {
    return (struct sim_env *)env;
}

static struct sim_inode *inode_of(const struct env_file *file) {
    return ((const struct sim_file *)file)->inode;
}

static enum troupe_error path_normal(const char *path, char ret[ENV_PATH_MAX]) {
    return path[0] ? env_normalise("/", path, ret, ENV_PATH_MAX) : TROUPE_NOT_FOUND;
}

/* A change of the disk is due: OK, or IO by fault or for want of power. *ret_cut: the power goes at this very
 * one, so it is recorded all the same. */
static enum troupe_error change_due(struct sim_env *sim, enum sim_kind kind, uint64_t value, bool *ret_cut) {
    bool powered = !sim->power_lost;
    if (!sim_powered(sim, kind, value)) {
        *ret_cut = powered;
        return TROUPE_IO;
    }
    *ret_cut = false;
    return sim_chance(sim, sim->options.faults.disk_write_fails) ? TROUPE_IO : TROUPE_OK;
}

static int64_t utc(struct sim_env *sim) {
    return sim->env.operations->utc(&sim->env);
}

/* ---- opening ---- */

static enum troupe_error file_make(struct sim_env *sim, const char *path, struct sim_inode **ret_inode) {
    struct sim_name *name = sim_names_entry(sim->disk, path);
    if (!name)
        return TROUPE_NOT_FOUND;
    bool cut;
    enum troupe_error error = change_due(sim, SIM_DISK_NAME, hash_bytes(path, strlen(path), 0), &cut);
    if (error && !cut) {
        sim_names_forget(name);
        return error;
    }
    struct sim_inode *inode = sim_inode_new(sim->disk, false);
    inode->modified_utc_ns = utc(sim);
    sim_names_set(name, inode);
    if (!error)
        *ret_inode = inode;
    return error;
}

static enum troupe_error file_find(struct sim_env *sim, const char *path, unsigned flags,
                                   struct sim_inode **ret_inode) {
    if (sim->power_lost)
        return TROUPE_IO;
    struct sim_inode *inode = sim_names_find(sim->disk, path);
    if (!inode)
        return flags & ENV_FILE_CREATE ? file_make(sim, path, ret_inode) : TROUPE_NOT_FOUND;
    if (flags & ENV_FILE_CREATE && flags & ENV_FILE_EXCLUSIVE)
        return TROUPE_EXISTS;
    if (inode->directory)
        return TROUPE_IO;
    *ret_inode = inode;
    return TROUPE_OK;
}

enum troupe_error sim_file_open(struct env *env, const char *path, unsigned flags, struct env_file **ret_file,
                                struct fault *fault) {
    struct sim_env *sim = sim_of(env);
    char normal[ENV_PATH_MAX];
    struct sim_inode *inode = NULL;
    struct sim_file *file = memory_alloc(env->account, sizeof *file);
    if (!file)
        return fault_set(fault, TROUPE_NOMEM, path, "out of memory opening the file");
    file->file.env = env;
    file->file.flags = flags;
    enum troupe_error error = path_normal(path, normal);
    if (!error)
        error = file_find(sim, normal, flags, &inode);
    if (error) {
        memory_free(env->account, file);
        return fault_set(fault, error, path, "cannot open the file: %s", error_text(error));
    }
    file->inode = inode;
    sim_inode_open(inode);
    sim->files_open++;
    if (flags & ENV_FILE_TRUNCATE && flags & (ENV_FILE_WRITE | ENV_FILE_APPEND) && inode->shown.length) {
        error = sim_file_truncate(&file->file, 0);
        if (error) {
            sim_file_close(&file->file);
            return fault_set(fault, error, path, "cannot empty the file: %s", error_text(error));
        }
    }
    *ret_file = &file->file;
    return TROUPE_OK;
}

void sim_file_close(struct env_file *base) {
    struct sim_file *file = (struct sim_file *)base;
    if (file->inode->locker == file)
        file->inode->locker = NULL;
    sim_inode_close(file->inode);
    sim_of(base->env)->files_open--;
    memory_free(base->env->account, file);
}

/* ---- one file ---- */

enum troupe_error sim_file_read(struct env_file *file, uint64_t offset, void *bytes, size_t length,
                                size_t *ret_length) {
    const struct sim_content *content = &inode_of(file)->shown;
    if (sim_of(file->env)->power_lost || !(file->flags & ENV_FILE_READ))
        return TROUPE_IO;
    size_t got = offset < content->length ? (size_t)(content->length - offset) : 0;
    if (got > length)
        got = length;
    if (got)
        memcpy(bytes, content->bytes + offset, got);
    *ret_length = got;
    return TROUPE_OK;
}

/* How many of the bytes still fit on the disk. */
static size_t room_for(const struct sim_env *sim, const struct sim_inode *inode, uint64_t offset,
                       size_t length) {
    uint64_t max = sim->options.faults.disk_bytes_max, end = offset + length;
    if (!max || end <= inode->shown.length)
        return length;
    uint64_t room = max > sim->disk->bytes_shown ? max - sim->disk->bytes_shown : 0;
    uint64_t end_max = inode->shown.length + room;
    if (end <= end_max)
        return length;
    return end_max > offset ? (size_t)(end_max - offset) : 0;
}

enum troupe_error sim_file_write(struct env_file *file, uint64_t offset, const void *bytes, size_t length) {
    struct sim_env *sim = sim_of(file->env);
    struct sim_inode *inode = inode_of(file);
    if (!(file->flags & (ENV_FILE_WRITE | ENV_FILE_APPEND)))
        return TROUPE_IO;
    bool cut;
    enum troupe_error error =
        change_due(sim, SIM_DISK_WRITE, hash_bytes(bytes, length, inode->number << 40 ^ offset), &cut);
    size_t fits = room_for(sim, inode, offset, length);
    if (error && !cut)
        fits = sim->power_lost ? 0 : random_below(&sim->faults, fits + 1);
    else if (fits < length && !error)
        error = TROUPE_DISK_FULL;
    sim_content_write(inode, offset, bytes, fits);
    inode->modified_utc_ns = utc(sim);
    return error;
}

enum troupe_error sim_file_append(struct env_file *file, const void *bytes, size_t length) {
    return sim_file_write(file, inode_of(file)->shown.length, bytes, length);
}

enum troupe_error sim_file_size(struct env_file *file, uint64_t *ret_bytes) {
    if (sim_of(file->env)->power_lost)
        return TROUPE_IO;
    *ret_bytes = inode_of(file)->shown.length;
    return TROUPE_OK;
}

enum troupe_error sim_file_truncate(struct env_file *file, uint64_t bytes) {
    struct sim_env *sim = sim_of(file->env);
    struct sim_inode *inode = inode_of(file);
    if (!(file->flags & (ENV_FILE_WRITE | ENV_FILE_APPEND)))
        return TROUPE_IO;
    bool cut;
    enum troupe_error error = change_due(sim, SIM_DISK_WRITE, inode->number << 40 ^ bytes, &cut);
    if (error && !cut)
        return error;
    uint64_t before = inode->shown.length;
    if (bytes > before && room_for(sim, inode, before, (size_t)(bytes - before)) < bytes - before)
        return error ? error : TROUPE_DISK_FULL;
    sim_content_truncate(inode, bytes);
    inode->modified_utc_ns = utc(sim);
    return error;
}

enum troupe_error sim_file_sync(struct env_file *file) {
    struct sim_env *sim = sim_of(file->env);
    struct sim_inode *inode = inode_of(file);
    if (!sim_powered(sim, SIM_DISK_SYNC, inode->number))
        return TROUPE_IO;
    if (sim_chance(sim, sim->options.faults.disk_sync_fails)) {
        sim_content_chance(inode, &sim->faults);
        return TROUPE_IO;
    }
    sim_content_settle(inode);
    return TROUPE_OK;
}

enum troupe_error sim_file_lock(struct env_file *file, struct fault *fault) {
    struct sim_inode *inode = inode_of(file);
    if (inode->locker && inode->locker != file)
        return fault_set(fault, TROUPE_LOCKED, "", "in use by the process with pid %d", SIM_PID);
    inode->locker = file;
    return TROUPE_OK;
}

bool sim_file_locked(struct env_file *file) {
    const struct sim_inode *inode = inode_of(file);
    return inode->locker && inode->locker != file;
}

/* ---- names ---- */

enum troupe_error sim_info(struct env *env, const char *path, struct env_info *ret_info) {
    struct sim_env *sim = sim_of(env);
    char normal[ENV_PATH_MAX];
    if (sim->power_lost)
        return TROUPE_IO;
    enum troupe_error error = path_normal(path, normal);
    if (error && error != TROUPE_NOT_FOUND)
        return error;
    const struct sim_inode *inode = error ? NULL : sim_names_find(sim->disk, normal);
    *ret_info = (struct env_info){.exists = inode != NULL};
    if (inode) {
        ret_info->directory = inode->directory;
        ret_info->bytes = inode->shown.length;
        ret_info->modified_utc_ns = inode->modified_utc_ns;
    }
    return TROUPE_OK;
}

static enum troupe_error directory_make(struct sim_env *sim, const char *path) {
    char normal[ENV_PATH_MAX];
    if (sim->power_lost)
        return TROUPE_IO;
    enum troupe_error error = path_normal(path, normal);
    if (error)
        return error;
    if (sim_names_find(sim->disk, normal))
        return TROUPE_EXISTS;
    struct sim_name *name = sim_names_entry(sim->disk, normal);
    if (!name)
        return TROUPE_NOT_FOUND;
    bool cut;
    error = change_due(sim, SIM_DISK_NAME, hash_bytes(normal, strlen(normal), 1), &cut);
    if (error && !cut) {
        sim_names_forget(name);
        return error;
    }
    struct sim_inode *inode = sim_inode_new(sim->disk, true);
    inode->modified_utc_ns = utc(sim);
    sim_names_set(name, inode);
    return error;
}

enum troupe_error sim_make_directory(struct env *env, const char *path, struct fault *fault) {
    enum troupe_error error = directory_make(sim_of(env), path);
    return error ? fault_set(fault, error, path, "cannot make the directory: %s", error_text(error))
                 : TROUPE_OK;
}

/* Both paths normal. As rename(2): a directory only over an empty one, a file only over a file, nothing into
 * itself. */
static enum troupe_error rename_check(struct sim_env *sim, const char *from, const char *to) {
    const struct sim_inode *moved = sim_names_find(sim->disk, from), *over = sim_names_find(sim->disk, to);
    size_t length = strlen(from);
    if (!moved || moved == sim->disk->root)
        return moved ? TROUPE_IO : TROUPE_NOT_FOUND;
    if (strncmp(from, to, length) == 0 && to[length] == '/')
        return moved->directory ? TROUPE_IO : TROUPE_NOT_FOUND;
    if (!over || over == moved)
        return TROUPE_OK;
    if (moved->directory != over->directory)
        return moved->directory ? TROUPE_NOT_FOUND : TROUPE_IO;
    return over->directory && !sim_names_empty(over) ? TROUPE_EXISTS : TROUPE_OK;
}

static enum troupe_error rename_normal(struct sim_env *sim, const char *from, const char *to) {
    enum troupe_error error = rename_check(sim, from, to);
    if (error || strcmp(from, to) == 0)
        return error;
    struct sim_name *target = sim_names_entry(sim->disk, to);
    if (!target)
        return TROUPE_NOT_FOUND;
    bool cut;
    error =
        change_due(sim, SIM_DISK_NAME, hash_bytes(from, strlen(from), hash_bytes(to, strlen(to), 2)), &cut);
    if (error && !cut) {
        sim_names_forget(target);
        return error;
    }
    sim_names_move(sim_names_entry(sim->disk, from), target);
    return error;
}

enum troupe_error sim_rename(struct env *env, const char *from, const char *to, struct fault *fault) {
    struct sim_env *sim = sim_of(env);
    char normal_from[ENV_PATH_MAX], normal_to[ENV_PATH_MAX];
    enum troupe_error error = sim->power_lost ? TROUPE_IO : path_normal(from, normal_from);
    if (!error)
        error = path_normal(to, normal_to);
    if (!error)
        error = rename_normal(sim, normal_from, normal_to);
    return error ? fault_set(fault, error, from, "cannot rename to %s: %s", to, error_text(error))
                 : TROUPE_OK;
}

enum troupe_error sim_sync_directory(struct env *env, const char *path) {
    struct sim_env *sim = sim_of(env);
    char normal[ENV_PATH_MAX];
    enum troupe_error error = sim->power_lost ? TROUPE_IO : path_normal(path, normal);
    if (error)
        return error;
    struct sim_inode *inode = sim_names_find(sim->disk, normal);
    if (!inode || !inode->directory)
        return TROUPE_NOT_FOUND;
    if (!sim_powered(sim, SIM_DISK_SYNC, inode->number) ||
        sim_chance(sim, sim->options.faults.disk_sync_fails))
        return TROUPE_IO;
    sim_names_settle(inode);
    return TROUPE_OK;
}

enum troupe_error sim_remove(struct env *env, const char *path) {
    struct sim_env *sim = sim_of(env);
    char normal[ENV_PATH_MAX];
    enum troupe_error error = sim->power_lost ? TROUPE_IO : path_normal(path, normal);
    if (error)
        return error;
    const struct sim_inode *inode = sim_names_find(sim->disk, normal);
    if (!inode || inode == sim->disk->root)
        return inode ? TROUPE_IO : TROUPE_NOT_FOUND;
    if (inode->directory && !sim_names_empty(inode))
        return TROUPE_EXISTS;
    bool cut;
    error = change_due(sim, SIM_DISK_NAME, hash_bytes(normal, strlen(normal), 3), &cut);
    if (!error || cut)
        sim_names_set(sim_names_entry(sim->disk, normal), NULL);
    return error;
}

enum troupe_error sim_list(struct env *env, const char *path, bool (*fn)(void *context, const char *name),
                           void *context) {
    struct sim_env *sim = sim_of(env);
    char normal[ENV_PATH_MAX];
    enum troupe_error error = sim->power_lost ? TROUPE_IO : path_normal(path, normal);
    if (error)
        return error;
    const struct sim_inode *inode = sim_names_find(sim->disk, normal);
    if (!inode || !inode->directory)
        return TROUPE_NOT_FOUND;
    size_t at = 0, length;
    const char *key;
    void *value;
    while (map_next(inode->names, &at, &key, &length, &value)) {
        const struct sim_name *name = value;
        if (name->shown && !fn(context, name->text))
            break;
    }
    return TROUPE_OK;
}

enum troupe_error sim_directory(struct env *env, char *ret_path, size_t size) {
    (void)env;
    if (size < 2)
        return TROUPE_LIMIT;
    memcpy(ret_path, "/", 2);
    return TROUPE_OK;
}
