/* os_files: files and directories on a real disk.
 *
 * Invariants: every descriptor is close-on-exec; partial and interrupted calls are continued; a file is never
 *             world-writable. A sync writes data and what is needed to read it back (fdatasync).
 * Threads:    any; one file by one thread at a time unless reads and writes at offsets only.
 * Memory:     one small block an open file, charged to the env. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "env/os_internal.h"

struct os_file {
    struct env_file file;
    int fd;
};

static int descriptor(const struct env_file *file) {
    return ((const struct os_file *)file)->fd;
}

enum troupe_error os_file_open(struct env *env, const char *path, unsigned flags, struct env_file **ret_file,
                               struct fault *fault) {
    bool writes = flags & (ENV_FILE_WRITE | ENV_FILE_APPEND);
    int mode = writes ? (flags & ENV_FILE_READ ? O_RDWR : O_WRONLY) : O_RDONLY;
    mode |= O_CLOEXEC | (flags & ENV_FILE_CREATE ? O_CREAT : 0) | (flags & ENV_FILE_EXCLUSIVE ? O_EXCL : 0) |
            (flags & ENV_FILE_TRUNCATE ? O_TRUNC : 0) | (flags & ENV_FILE_APPEND ? O_APPEND : 0);
    struct os_file *file = memory_alloc(env->account, sizeof *file);
    if (!file)
        return fault_set(fault, TROUPE_NOMEM, path, "out of memory opening the file");
    do
        file->fd = open(path, mode, 0666);
    while (file->fd < 0 && errno == EINTR);
    int number = file->fd < 0 ? errno : 0;
    struct stat about;
    if (!number && fstat(file->fd, &about) == 0 && S_ISDIR(about.st_mode)) {
        close(file->fd);
        number = EISDIR;
    }
    if (number) {
        memory_free(env->account, file);
        return fault_set(fault, os_error(number), path, "cannot open the file: %s", strerror(number));
    }
    file->file.env = env;
    file->file.flags = flags;
    atomic_fetch_add_explicit(&((struct os_env *)env)->files_open, 1, memory_order_relaxed);
    *ret_file = &file->file;
    return TROUPE_OK;
}

enum troupe_error os_file_read(struct env_file *file, uint64_t offset, void *bytes, size_t length,
                               size_t *ret_length) {
    size_t done = 0;
    while (done < length) {
        ssize_t n = pread(descriptor(file), (char *)bytes + done, length - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return os_error(errno);
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *ret_length = done;
    return TROUPE_OK;
}

enum troupe_error os_file_write(struct env_file *file, uint64_t offset, const void *bytes, size_t length) {
    size_t done = 0;
    while (done < length) {
        ssize_t n =
            pwrite(descriptor(file), (const char *)bytes + done, length - done, (off_t)(offset + done));
        if (n < 0 && errno != EINTR)
            return os_error(errno);
        done += n > 0 ? (size_t)n : 0;
    }
    return TROUPE_OK;
}

enum troupe_error os_file_append(struct env_file *file, const void *bytes, size_t length) {
    if (!(file->flags & ENV_FILE_APPEND)) {
        uint64_t end;
        enum troupe_error error = os_file_size(file, &end);
        return error ? error : os_file_write(file, end, bytes, length);
    }
    size_t done = 0;
    while (done < length) {
        ssize_t n = write(descriptor(file), (const char *)bytes + done, length - done);
        if (n < 0 && errno != EINTR)
            return os_error(errno);
        done += n > 0 ? (size_t)n : 0;
    }
    return TROUPE_OK;
}

enum troupe_error os_file_size(struct env_file *file, uint64_t *ret_bytes) {
    struct stat about;
    if (fstat(descriptor(file), &about) != 0)
        return os_error(errno);
    *ret_bytes = (uint64_t)about.st_size;
    return TROUPE_OK;
}

enum troupe_error os_file_truncate(struct env_file *file, uint64_t bytes) {
    int failed;
    do
        failed = ftruncate(descriptor(file), (off_t)bytes);
    while (failed && errno == EINTR);
    return failed ? os_error(errno) : TROUPE_OK;
}

enum troupe_error os_file_sync(struct env_file *file) {
    /* Never repeated on failure: after one the kernel may have marked the lost pages clean. */
    return fdatasync(descriptor(file)) == 0 ? TROUPE_OK : os_error(errno);
}

/* Who holds the lock on this file, from /proc/locks ("1: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE 0 EOF");
 * 0: unknown.
 */
static long lock_holder(int fd) {
    struct stat about;
    FILE *locks = fopen("/proc/locks", "re");
    long holder = 0;
    char line[256];
    if (locks && fstat(fd, &about) == 0) {
        while (!holder && fgets(line, sizeof line, locks)) {
            long pid;
            unsigned major_number, minor_number;
            unsigned long inode;
            if (sscanf(line, "%*s FLOCK ADVISORY WRITE %ld %x:%x:%lu", &pid, &major_number, &minor_number,
                       &inode) == 4 &&
                inode == about.st_ino && makedev(major_number, minor_number) == about.st_dev && pid > 0)
                holder = pid;
        }
    }
    if (locks)
        fclose(locks);
    return holder;
}

/* flock decides, and /proc/locks knows its holder's pid. The record lock that goes with it refuses nobody: it is there
 * because one of its kind can be seen without being taken, also where /proc/locks does not tell (another pid namespace,
 * file systems whose device numbers differ there). */
static struct flock whole_file(void) {
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
}

bool os_file_locked(struct env_file *file) {
    struct flock lock = whole_file();
    if (fcntl(descriptor(file), F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
        return true;
    return lock_holder(descriptor(file)) != 0;
}

enum troupe_error os_file_lock(struct env_file *file, struct fault *fault) {
    int failed;
    do
        failed = flock(descriptor(file), LOCK_EX | LOCK_NB);
    while (failed && errno == EINTR);
    if (!failed) {
        struct flock lock = whole_file();
        (void)fcntl(descriptor(file), F_OFD_SETLK, &lock); /* without it a look has /proc/locks alone */
        return TROUPE_OK;
    }
    if (errno != EWOULDBLOCK)
        return fault_set(fault, os_error(errno), "", "cannot lock the file: %s", strerror(errno));
    long holder = lock_holder(descriptor(file));
    if (holder)
        return fault_set(fault, TROUPE_LOCKED, "", "in use by the process with pid %ld", holder);
    return fault_set(fault, TROUPE_LOCKED, "", "in use by another process");
}

void os_file_close(struct env_file *file) {
    struct env *env = file->env;
    close(descriptor(file)); /* data errors are reported by env_file_sync, which is what promises anything */
    atomic_fetch_sub_explicit(&((struct os_env *)env)->files_open, 1, memory_order_relaxed);
    memory_free(env->account, file);
}

enum troupe_error os_info(struct env *env, const char *path, struct env_info *ret_info) {
    (void)env;
    struct stat about;
    if (stat(path, &about) != 0) {
        if (errno != ENOENT && errno != ENOTDIR)
            return os_error(errno);
        *ret_info = (struct env_info){.exists = false};
        return TROUPE_OK;
    }
    *ret_info = (struct env_info){
        .exists = true,
        .directory = S_ISDIR(about.st_mode),
        .waits = !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode),
        .bytes = (uint64_t)about.st_size,
        .modified_utc_ns = (int64_t)about.st_mtim.tv_sec * 1000000000 + about.st_mtim.tv_nsec,
    };
    return TROUPE_OK;
}

enum troupe_error os_make_directory(struct env *env, const char *path, struct fault *fault) {
    (void)env;
    if (mkdir(path, 0777) == 0)
        return TROUPE_OK;
    return fault_set(fault, os_error(errno), path, "cannot make the directory: %s", strerror(errno));
}

enum troupe_error os_rename(struct env *env, const char *from, const char *to, struct fault *fault) {
    (void)env;
    if (rename(from, to) == 0)
        return TROUPE_OK;
    return fault_set(fault, os_error(errno), from, "cannot rename to %s: %s", to, strerror(errno));
}

enum troupe_error os_sync_directory(struct env *env, const char *path) {
    (void)env;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return os_error(errno);
    enum troupe_error error = fsync(fd) == 0 ? TROUPE_OK : os_error(errno);
    /* Some file systems cannot sync a directory and say so; they have nothing to promise. */
    if (error && (errno == EINVAL || errno == ENOTSUP))
        error = TROUPE_OK;
    close(fd);
    return error;
}

enum troupe_error os_remove(struct env *env, const char *path) {
    (void)env;
    if (unlink(path) == 0)
        return TROUPE_OK;
    if (errno != EISDIR && errno != EPERM)
        return os_error(errno);
    return rmdir(path) == 0 ? TROUPE_OK : os_error(errno);
}

enum troupe_error os_list(struct env *env, const char *path, bool (*fn)(void *context, const char *name),
                          void *context) {
    (void)env;
    DIR *directory = opendir(path);
    if (!directory)
        return os_error(errno);
    const struct dirent *entry;
    bool more = true;
    while (more && (errno = 0, entry = readdir(directory))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            more = fn(context, entry->d_name);
    }
    enum troupe_error error = more ? os_error(errno) : TROUPE_OK;
    closedir(directory);
    return error;
}

enum troupe_error os_directory(struct env *env, char *ret_path, size_t size) {
    (void)env;
    return getcwd(ret_path, size) ? TROUPE_OK : os_error(errno == ERANGE ? ENAMETOOLONG : errno);
}
