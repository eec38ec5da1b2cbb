/* os_spawn: makes a process: fork by vfork, then exec, with pipes for its three streams.
 *
 * Invariants: everything that allocates or searches happens before vfork; between vfork and exec the child,
 *             which borrows our memory, makes system calls only. What goes wrong there comes back through a
 *             close-on-exec pipe as {step, errno}. Pipes, not sockets: a program that opens /dev/stdin or
 *             /dev/stderr gets ENXIO from a socket, and a pipe's round trip measured no slower.
 * Threads: worker 0. The parent-death signal is tied to the thread that forks, so that thread must live on.
 * Memory:  an arena for argv and the environment, freed before returning. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "env/os_internal.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4
#endif

enum step { STEP_SETUP, STEP_DIRECTORY, STEP_EXEC };
struct report {
    int step, number;
};

struct image {
    const char *path; /* of the program; argv[0] as given when it has a slash */
    const char *const *argv;
    char *const *environment;
    const char **shell_argv; /* for a script without "#!", as execvp does */
    const char *directory;
    int streams[3]; /* the child's ends */
    int report_fd;
    int parent_pid;
};

static _Noreturn void child_fail(const struct image *image, enum step step) {
    struct report report = {step, errno};
    ssize_t written = write(image->report_fd, &report, sizeof report);
    _exit(written < 0 ? 126 : 127);
}

/* In the child. System calls only. */
static _Noreturn void child_main(const struct image *image) {
    if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        child_fail(image, STEP_SETUP);
    if (getppid() != image->parent_pid)
        _exit(127); /* the parent died before the line above took effect */
    struct sigaction standard = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &standard, NULL); /* KILL, STOP and libc's own two refuse; that is fine */
    for (int i = 0; i < 3; i++) {
        if (dup2(image->streams[i], i) < 0)
            child_fail(image, STEP_SETUP);
    }
    /* Ours are close-on-exec already; a library's may not be. Kernels before 5.11 refuse: then only ours are.
     */
    syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC);
    if (image->directory && chdir(image->directory) < 0)
        child_fail(image, STEP_DIRECTORY);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(image->path, (char *const *)(uintptr_t)image->argv, image->environment);
    if (errno == ENOEXEC)
        execve("/bin/sh", (char *const *)(uintptr_t)image->shell_argv, image->environment);
    child_fail(image, STEP_EXEC);
}

static size_t count(const char *const *list) {
    size_t n = 0;
    while (list && list[n])
        n++;
    return n;
}

static size_t name_length(const char *variable) {
    const char *equals = strchr(variable, '=');
    return equals ? (size_t)(equals - variable) : strlen(variable);
}

/* Ours, with the child's own replacing or following. NULL: no memory. */
static const char **environment_merge(struct arena *arena, const char *const *added) {
    size_t ours = count((const char *const *)environ), theirs = count(added), used = 0;
    const char **merged = ARENA_ARRAY(arena, const char *, ours + theirs + 1);
    if (!merged)
        return NULL;
    for (size_t i = 0; i < ours; i++) {
        bool replaced = false;
        size_t length = name_length(environ[i]);
        for (size_t j = 0; j < theirs && !replaced; j++)
            replaced = name_length(added[j]) == length && memcmp(added[j], environ[i], length) == 0;
        if (!replaced)
            merged[used++] = environ[i];
    }
    for (size_t j = 0; j < theirs; j++)
        merged[used++] = added[j];
    merged[used] = NULL;
    return merged;
}

static const char *variable_in(const char **environment, const char *name) {
    size_t length = strlen(name);
    for (size_t i = 0; environment[i]; i++) {
        if (strncmp(environment[i], name, length) == 0 && environment[i][length] == '=')
            return environment[i] + length + 1;
    }
    return NULL;
}

/* The first executable file on the child's PATH. A relative name with a slash is left to the child, after its
 * chdir. */
static enum troupe_error program_find(struct arena *arena, const char *program, const char **environment,
                                      const char **ret_path, struct fault *fault) {
    if (strchr(program, '/')) {
        *ret_path = program;
        return TROUPE_OK;
    }
    const char *path = variable_in(environment, "PATH");
    if (!path)
        path = "/usr/local/bin:/usr/bin:/bin";
    bool forbidden = false;
    for (const char *end; *path; path = *end ? end + 1 : end) {
        end = strchrnul(path, ':');
        const char *candidate = end == path
                                    ? arena_format(arena, "./%s", program)
                                    : arena_format(arena, "%.*s/%s", (int)(end - path), path, program);
        if (!candidate)
            return fault_set(fault, TROUPE_NOMEM, program, "out of memory looking for the program");
        struct env_info info;
        if (os_info(NULL, candidate, &info) != TROUPE_OK || !info.exists || info.directory)
            continue;
        if (access(candidate, X_OK) == 0) {
            *ret_path = candidate;
            return TROUPE_OK;
        }
        forbidden = true;
    }
    if (forbidden)
        return fault_set(fault, TROUPE_IO, program,
                         "the program was found on PATH, but it is not executable");
    return fault_set(fault, TROUPE_NOT_FOUND, program, "no such program on PATH");
}

static enum troupe_error image_build(struct arena *arena, const struct env_child_spec *spec,
                                     struct image *image, struct fault *fault) {
    size_t arguments = count(spec->argv);
    if (arguments > ENV_ARGUMENTS_MAX || count(spec->environment) > ENV_ARGUMENTS_MAX)
        return fault_set(fault, TROUPE_LIMIT, spec->argv[0], "more than %d arguments or variables",
                         ENV_ARGUMENTS_MAX);
    const char **environment = environment_merge(arena, spec->environment);
    const char **shell_argv = ARENA_ARRAY(arena, const char *, arguments + 3);
    if (!environment || !shell_argv)
        return fault_set(fault, TROUPE_NOMEM, spec->argv[0], "out of memory starting the program");
    enum troupe_error error = program_find(arena, spec->argv[0], environment, &image->path, fault);
    if (error)
        return error;
    shell_argv[0] = "sh";
    shell_argv[1] = image->path;
    for (size_t i = 1; i <= arguments; i++)
        shell_argv[i + 1] = spec->argv[i];
    image->argv = spec->argv;
    image->shell_argv = shell_argv;
    image->environment = (char *const *)(uintptr_t)environment;
    image->directory = spec->directory;
    image->parent_pid = getpid();
    return TROUPE_OK;
}

/* Both ends close-on-exec and above 2, so that dup2 onto 0..2 in the child can never clobber one of them. */
static bool pipe_open(int fds[2]) {
    int made[2];
    if (pipe2(made, O_CLOEXEC) < 0)
        return false;
    bool moved = true;
    for (int i = 0; i < 2; i++) {
        fds[i] = made[i];
        if (made[i] <= 2) {
            fds[i] = fcntl(made[i], F_DUPFD_CLOEXEC, 3);
            close(made[i]);
            moved = moved && fds[i] >= 0;
        }
    }
    if (moved)
        return true;
    for (int i = 0; i < 2; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    return false;
}

static enum troupe_error fault_describe(const struct env_child_spec *spec, const struct image *image,
                                        const struct report *report, struct fault *fault) {
    const char *why = strerror(report->number);
    switch ((enum step)report->step) {
    case STEP_DIRECTORY:
        return fault_set(fault, os_error(report->number), spec->directory,
                         "cannot enter the working directory: %s", why);
    case STEP_EXEC:
        if (report->number == ENOENT && (image->path[0] != '/' || access(image->path, F_OK) != 0))
            return fault_set(fault, TROUPE_NOT_FOUND, spec->argv[0], "no such program");
        if (report->number == ENOENT)
            return fault_set(
                fault, TROUPE_NOT_FOUND, spec->argv[0],
                "the program exists, but the interpreter named in its first line (or its loader) does not");
        return fault_set(fault, TROUPE_IO, spec->argv[0], "cannot execute the program: %s", why);
    case STEP_SETUP:
        break;
    }
    return fault_set(fault, TROUPE_IO, spec->argv[0], "cannot set up the process: %s", why);
}

/* vfork shares our memory until the exec: a frame of its own, so that nothing of the caller's is clobbered.
 * All signals stay blocked across it, or a handler could run in the child on our memory. */
__attribute__((noinline)) static int fork_exec(const struct image *image, int *ret_number) {
    sigset_t all, before;
    sigfillset(&all);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    int pid = vfork();
#pragma GCC diagnostic pop
    if (pid == 0)
        child_main(image);
    *ret_number = pid < 0 ? errno : 0;
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return pid;
}

static void reap(int pid) {
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
}

/* Forks, waits for the exec to succeed or to say why not, and opens the pidfd. */
static enum troupe_error process_start(const struct env_child_spec *spec, struct image *image,
                                       struct os_spawned *spawned, struct fault *fault) {
    int report_fds[2];
    if (!pipe_open(report_fds))
        return fault_set(fault, TROUPE_IO, spec->argv[0], "cannot open a pipe: %s", strerror(errno));
    image->report_fd = report_fds[1];
    int number;
    int pid = fork_exec(image, &number);
    close(report_fds[1]);
    if (pid < 0) {
        close(report_fds[0]);
        return fault_set(fault, number == ENOMEM ? TROUPE_NOMEM : TROUPE_IO, spec->argv[0],
                         "cannot start a process: %s", strerror(number));
    }
    struct report report;
    ssize_t got;
    while ((got = read(report_fds[0], &report, sizeof report)) < 0 && errno == EINTR) {
    }
    close(report_fds[0]);
    if (got == (ssize_t)sizeof report) {
        reap(pid);
        return fault_describe(spec, image, &report, fault);
    }
    spawned->pid = pid;
    spawned->pid_fd = (int)syscall(SYS_pidfd_open, pid, 0u); /* close-on-exec by definition */
    if (spawned->pid_fd >= 0)
        return TROUPE_OK;
    number = errno;
    kill(-pid, SIGKILL);
    reap(pid);
    return fault_set(fault, TROUPE_IO, spec->argv[0], "cannot watch the process: %s", strerror(number));
}

enum troupe_error os_spawn(struct os_env *os, const struct env_child_spec *spec,
                           struct os_spawned *ret_spawned, struct fault *fault) {
    struct arena arena;
    struct image image = {0};
    int pipes[3][2]; /* each: read end, write end */
    int opened = 0;
    arena_init(&arena, os->env.account);
    enum troupe_error error = image_build(&arena, spec, &image, fault);
    while (!error && opened < 3) {
        if (pipe_open(pipes[opened]))
            opened++;
        else
            error = fault_set(fault, TROUPE_IO, spec->argv[0], "cannot open a pipe: %s", strerror(errno));
    }
    if (!error) {
        struct os_spawned spawned = {.input = pipes[0][1], .output = pipes[1][0], .errors = pipes[2][0]};
        int ours[3] = {spawned.input, spawned.output, spawned.errors};
        for (int i = 0; i < 3; i++) {
            image.streams[i] = pipes[i][i == 0 ? 0 : 1];
            CHECK(fcntl(ours[i], F_SETFL, O_NONBLOCK | (i == 0 ? O_WRONLY : O_RDONLY)) == 0);
        }
        error = process_start(spec, &image, &spawned, fault);
        if (!error)
            *ret_spawned = spawned;
    }
    for (int i = 0; i < opened; i++) {
        close(pipes[i][i == 0 ? 0 : 1]);
        if (error)
            close(pipes[i][i == 0 ? 1 : 0]);
    }
    arena_free(&arena);
    return error;
}
