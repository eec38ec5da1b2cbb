/* SQLite's allocator, over base's, and its file layer (sqlite3_vfs, version 2), over env_file. The latter
 * claims what the unix one claims of a disk (powersafe overwrite, 4 KiB sectors), so that a simulated power
 * cut meets the same writes and syncs as a real one.
 *
 * Invariants: a method returns SQLITE_OK only when env did all of it; short reads are zero-filled and said
 *             so; a created file's directory is synced with the file's first sync; delete syncs it when
 *             asked.
 * Threads: SQLite calls a file's methods from the thread that uses its connection.
 * Memory:  the instance is one block; a file is SQLite's block of szOsFile bytes, its name SQLite's until
 *          close. */
#include "store/port_sqlite_vfs.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#define VFS_PATH_MAX 1024
#define VFS_SECTOR_BYTES 4096
/* Milliseconds from noon, 24 November 4714 BC (the Julian epoch, SQLite's) to 1970. */
#define JULIAN_EPOCH_MS INT64_C(210866760000000)

struct store_vfs {
    sqlite3_vfs base;
    struct env *env;
    struct account *account;
    char name[32];
};

struct vfs_file {
    sqlite3_file base;
    struct store_vfs *vfs;
    struct env_file *file;
    const char *path;     /* SQLite's, valid until close */
    bool directory_dirty; /* made here and its name not yet synced */
    bool delete_on_close;
};

static struct vfs_file *vfs_file_of(sqlite3_file *file) {
    return (struct vfs_file *)(void *)file;
}

static struct store_vfs *vfs_of(sqlite3_vfs *base) {
    return base->pAppData;
}

/* `io` is the extended code of the operation, for what has no better name. */
static int vfs_status(enum troupe_error error, int io) {
    switch (error) {
    case TROUPE_OK:
        return SQLITE_OK;
    case TROUPE_NOMEM:
        return SQLITE_IOERR_NOMEM;
    case TROUPE_DISK_FULL:
        return SQLITE_FULL;
    default:
        return io;
    }
}

static enum troupe_error vfs_sync_parent(struct env *env, const char *path) {
    char directory[VFS_PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return env_sync_directory(env, ".");
    size_t length = slash == path ? 1 : (size_t)(slash - path);
    if (length >= sizeof directory)
        return TROUPE_LIMIT;
    memcpy(directory, path, length);
    directory[length] = '\0';
    return env_sync_directory(env, directory);
}

/* ---- files ---- */

static int vfs_close(sqlite3_file *base) {
    struct vfs_file *file = vfs_file_of(base);
    enum troupe_error error = TROUPE_OK;
    env_file_close(file->file);
    file->file = NULL;
    if (file->delete_on_close)
        error = env_remove(file->vfs->env, file->path);
    return vfs_status(error, SQLITE_IOERR_CLOSE);
}

static int vfs_read(sqlite3_file *base, void *bytes, int length, sqlite3_int64 offset) {
    struct vfs_file *file = vfs_file_of(base);
    size_t got = 0;
    enum troupe_error error = env_file_read(file->file, (uint64_t)offset, bytes, (size_t)length, &got);
    if (error != TROUPE_OK)
        return vfs_status(error, SQLITE_IOERR_READ);
    if (got == (size_t)length)
        return SQLITE_OK;
    memset((char *)bytes + got, 0, (size_t)length - got);
    return SQLITE_IOERR_SHORT_READ;
}

static int vfs_write(sqlite3_file *base, const void *bytes, int length, sqlite3_int64 offset) {
    struct vfs_file *file = vfs_file_of(base);
    return vfs_status(env_file_write(file->file, (uint64_t)offset, bytes, (size_t)length),
                      SQLITE_IOERR_WRITE);
}

static int vfs_truncate(sqlite3_file *base, sqlite3_int64 bytes) {
    return vfs_status(env_file_truncate(vfs_file_of(base)->file, (uint64_t)bytes), SQLITE_IOERR_TRUNCATE);
}

static int vfs_sync(sqlite3_file *base, int flags) {
    struct vfs_file *file = vfs_file_of(base);
    (void)flags; /* data-only syncs are full ones here */
    if (PLANT(SYNC_SKIPPED))
        return SQLITE_OK;
    enum troupe_error error = env_file_sync(file->file);
    if (error != TROUPE_OK)
        return vfs_status(error, SQLITE_IOERR_FSYNC);
    if (!file->directory_dirty)
        return SQLITE_OK;
    error = vfs_sync_parent(file->vfs->env, file->path);
    if (error != TROUPE_OK)
        return vfs_status(error, SQLITE_IOERR_DIR_FSYNC);
    file->directory_dirty = false;
    return SQLITE_OK;
}

static int vfs_size(sqlite3_file *base, sqlite3_int64 *ret_bytes) {
    uint64_t bytes = 0;
    enum troupe_error error = env_file_size(vfs_file_of(base)->file, &bytes);
    if (error != TROUPE_OK)
        return vfs_status(error, SQLITE_IOERR_FSTAT);
    *ret_bytes = (sqlite3_int64)bytes;
    return SQLITE_OK;
}

static int vfs_lock(sqlite3_file *base, int level) {
    (void)base, (void)level;
    return SQLITE_OK;
}

static int vfs_check_reserved_lock(sqlite3_file *base, int *ret_reserved) {
    (void)base;
    *ret_reserved = 0;
    return SQLITE_OK;
}

static int vfs_file_control(sqlite3_file *base, int operation, void *arg) {
    (void)base, (void)operation, (void)arg;
    return SQLITE_NOTFOUND;
}

static int vfs_sector_size(sqlite3_file *base) {
    (void)base;
    return VFS_SECTOR_BYTES;
}

static int vfs_characteristics(sqlite3_file *base) {
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

static const sqlite3_io_methods vfs_methods = {
    .iVersion = 1, /* no shared memory: WAL in exclusive locking mode only */
    .xClose = vfs_close,
    .xRead = vfs_read,
    .xWrite = vfs_write,
    .xTruncate = vfs_truncate,
    .xSync = vfs_sync,
    .xFileSize = vfs_size,
    .xLock = vfs_lock,
    .xUnlock = vfs_lock,
    .xCheckReservedLock = vfs_check_reserved_lock,
    .xFileControl = vfs_file_control,
    .xSectorSize = vfs_sector_size,
    .xDeviceCharacteristics = vfs_characteristics,
};

/* ---- the file system ---- */

static int vfs_open(sqlite3_vfs *base, const char *path, sqlite3_file *sqlite_file, int flags,
                    int *ret_flags) {
    struct store_vfs *vfs = vfs_of(base);
    struct vfs_file *file = vfs_file_of(sqlite_file);
    memset(file, 0, sizeof *file); /* pMethods NULL: SQLite does not close what failed to open */
    if (path == NULL)
        return SQLITE_CANTOPEN; /* a nameless temporary file: temp_store is MEMORY, so nobody needs one */
    struct env_info info = {0};
    enum troupe_error error = env_info(vfs->env, path, &info);
    if (error != TROUPE_OK)
        return vfs_status(error, SQLITE_CANTOPEN);
    unsigned mode = ENV_FILE_READ;
    if (flags & SQLITE_OPEN_READWRITE)
        mode |= ENV_FILE_WRITE;
    if (flags & SQLITE_OPEN_CREATE)
        mode |= ENV_FILE_CREATE;
    if (flags & SQLITE_OPEN_EXCLUSIVE)
        mode |= ENV_FILE_EXCLUSIVE;
    error = env_file_open(vfs->env, path, mode, &file->file, NULL);
    if (error != TROUPE_OK)
        return error == TROUPE_NOMEM ? SQLITE_NOMEM : vfs_status(error, SQLITE_CANTOPEN);
    file->vfs = vfs;
    file->path = path;
    file->directory_dirty = !info.exists;
    file->delete_on_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
    file->base.pMethods = &vfs_methods;
    if (ret_flags != NULL)
        *ret_flags = flags;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *base, const char *path, int sync_directory) {
    struct env *env = vfs_of(base)->env;
    enum troupe_error error = env_remove(env, path);
    if (error == TROUPE_NOT_FOUND)
        return SQLITE_IOERR_DELETE_NOENT;
    if (error != TROUPE_OK)
        return vfs_status(error, SQLITE_IOERR_DELETE);
    if (sync_directory == 0)
        return SQLITE_OK;
    return vfs_status(vfs_sync_parent(env, path), SQLITE_IOERR_DIR_FSYNC);
}

/* As in the unix VFS, an empty file counts as absent: an empty journal is not a hot one. */
static int vfs_access(sqlite3_vfs *base, const char *path, int flags, int *ret_yes) {
    struct env_info info = {0};
    enum troupe_error error = env_info(vfs_of(base)->env, path, &info);
    if (error != TROUPE_OK)
        return vfs_status(error, SQLITE_IOERR_ACCESS);
    *ret_yes = info.exists && (flags != SQLITE_ACCESS_EXISTS || info.directory || info.bytes > 0);
    return SQLITE_OK;
}

static int vfs_full_path(sqlite3_vfs *base, const char *path, int size, char *ret_path) {
    enum troupe_error error = env_absolute(vfs_of(base)->env, path, ret_path, (size_t)size);
    return error == TROUPE_NOMEM ? SQLITE_NOMEM : vfs_status(error, SQLITE_CANTOPEN_FULLPATH);
}

static int vfs_random(sqlite3_vfs *base, int length, char *ret_bytes) {
    struct env *env = vfs_of(base)->env;
    for (int at = 0; at < length;) {
        uint64_t word = env_random(env);
        int part = length - at < (int)sizeof word ? length - at : (int)sizeof word;
        memcpy(ret_bytes + at, &word, (size_t)part);
        at += part;
    }
    return length;
}

/* Virtual time does not pass inside a job: pretend that it slept. */
static int vfs_sleep(sqlite3_vfs *base, int microseconds) {
    (void)base;
    return microseconds;
}

static int vfs_time_ms(sqlite3_vfs *base, sqlite3_int64 *ret_ms) {
    *ret_ms = env_utc(vfs_of(base)->env) / 1000000 + JULIAN_EPOCH_MS;
    return SQLITE_OK;
}

static int vfs_time_days(sqlite3_vfs *base, double *ret_days) {
    sqlite3_int64 ms = 0;
    vfs_time_ms(base, &ms);
    *ret_days = (double)ms / 86400000.0;
    return SQLITE_OK;
}

static int vfs_last_error(sqlite3_vfs *base, int size, char *ret_text) {
    (void)base, (void)size, (void)ret_text;
    return 0; /* codes already tell full disk and no memory apart */
}

/* ---- SQLite's allocator: it must be able to say how large a block is, so the size goes in front ---- */

#define SIZE_HEADER_BYTES 16

static void *library_alloc(int bytes) {
    char *block = memory_library_alloc((size_t)bytes + SIZE_HEADER_BYTES);
    if (block == NULL)
        return NULL;
    memcpy(block, &bytes, sizeof bytes);
    return block + SIZE_HEADER_BYTES;
}

static void library_free(void *block) {
    if (block != NULL)
        memory_library_free((char *)block - SIZE_HEADER_BYTES);
}

static void *library_resize(void *block, int bytes) {
    char *moved = memory_library_resize((char *)block - SIZE_HEADER_BYTES, (size_t)bytes + SIZE_HEADER_BYTES);
    if (moved == NULL)
        return NULL;
    memcpy(moved, &bytes, sizeof bytes);
    return moved + SIZE_HEADER_BYTES;
}

static int library_size(void *block) {
    int bytes = 0;
    if (block != NULL)
        memcpy(&bytes, (char *)block - SIZE_HEADER_BYTES, sizeof bytes);
    return bytes;
}

static int library_round_up(int bytes) {
    return (bytes + 7) & ~7;
}

static int library_init(void *context) {
    (void)context;
    return SQLITE_OK;
}

static void library_shutdown(void *context) {
    (void)context;
}

/* A program that embeds us may have started SQLite already; then its allocator stays, which is fine.
 * Allocation statistics are off: they would take a process-wide lock for each block. */
static void library_configure(void) {
    static const sqlite3_mem_methods methods = {
        .xMalloc = library_alloc,
        .xFree = library_free,
        .xRealloc = library_resize,
        .xSize = library_size,
        .xRoundup = library_round_up,
        .xInit = library_init,
        .xShutdown = library_shutdown,
    };
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK)
        sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

enum troupe_error store_library_start(struct fault *fault) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, library_configure);
    int status = sqlite3_initialize(); /* does nothing the second time; may be repeated after a failure */
    if (status != SQLITE_OK)
        return fault_set(fault, TROUPE_NOMEM, "SQLite", "could not be started: %s", sqlite3_errstr(status));
    return TROUPE_OK;
}

/* SQLite's random numbers (a WAL's salts are some) come from one stream of the process, which it seeds from the
 * default VFS: in a simulation they must be a function of the simulation's seed. 0: the system's entropy again. */
static _Atomic unsigned simulated; /* VFSs registered */

static void library_random(unsigned seed) {
    sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, (int)seed, (sqlite3 *)NULL);
}

/* ---- registration ---- */

enum troupe_error store_vfs_register(struct env *env, struct account *account, struct store_vfs **ret_vfs) {
    /* Names only have to differ within the process; relaxed: the counter orders nothing. */
    static _Atomic unsigned long registered;
    struct store_vfs *vfs = memory_alloc(account, sizeof *vfs);
    if (vfs == NULL)
        return TROUPE_NOMEM;
    unsigned long number = atomic_fetch_add_explicit(&registered, 1, memory_order_relaxed);
    snprintf(vfs->name, sizeof vfs->name, "troupe-%lu", number);
    vfs->env = env;
    vfs->account = account;
    vfs->base = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = (int)sizeof(struct vfs_file),
        .mxPathname = VFS_PATH_MAX,
        .zName = vfs->name,
        .pAppData = vfs,
        .xOpen = vfs_open,
        .xDelete = vfs_delete,
        .xAccess = vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_random,
        .xSleep = vfs_sleep,
        .xCurrentTime = vfs_time_days,
        .xCurrentTimeInt64 = vfs_time_ms,
        .xGetLastError = vfs_last_error,
    };
    if (sqlite3_vfs_register(&vfs->base, 0) != SQLITE_OK) {
        memory_free(account, vfs);
        return TROUPE_NOMEM;
    }
    if (atomic_fetch_add_explicit(&simulated, 1, memory_order_relaxed) == 0)
        library_random((unsigned)env_random(env) | 1u);
    *ret_vfs = vfs;
    return TROUPE_OK;
}

const char *store_vfs_name(const struct store_vfs *vfs) {
    return vfs->name;
}

void store_vfs_unregister(struct store_vfs *vfs) {
    if (vfs == NULL)
        return;
    int status = sqlite3_vfs_unregister(&vfs->base);
    CHECK(status == SQLITE_OK); /* it only unlinks from a list */
    /* Relaxed: simulations are single threads; this counts those of the process. */
    if (atomic_fetch_sub_explicit(&simulated, 1, memory_order_relaxed) == 1)
        library_random(0);
    memory_free(vfs->account, vfs);
}
