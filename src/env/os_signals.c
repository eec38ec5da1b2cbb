/* os_signals: signals to Troupe itself, read through the loop.
 *
 * Invariants: the signals are blocked in every thread (threads that env makes block all of them) and arrive
 * on a signalfd, so no code of ours ever runs in a handler. Children get the default mask back. Threads:
 * env_signals on worker 0's thread before other threads of the caller's are made; callbacks on worker 0. */
#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "env/os_internal.h"

static void signal_set(sigset_t *ret_set) {
    sigemptyset(ret_set);
    sigaddset(ret_set, SIGINT);
    sigaddset(ret_set, SIGTERM);
    sigaddset(ret_set, SIGHUP);
    sigaddset(ret_set, SIGWINCH);
}

static enum env_signal signal_meaning(uint32_t number) {
    switch (number) {
    case SIGHUP:
        return ENV_SIGNAL_RELOAD;
    case SIGWINCH:
        return ENV_SIGNAL_RESIZE;
    default:
        return ENV_SIGNAL_STOP;
    }
}

static void on_signal(uv_poll_t *handle, int status, int events) {
    (void)status;
    (void)events;
    struct os_env *os = handle->data;
    os->callbacks++;
    struct signalfd_siginfo info;
    while (os->signal_fd >= 0 && read(os->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        if (os->signal_fn != NULL) /* nobody listens any more while a run is taken down */
            os->signal_fn(os->signal_context, signal_meaning(info.ssi_signo));
}

enum troupe_error os_signals(struct env *env, void (*fn)(void *context, enum env_signal signal),
                             void *context) {
    struct os_env *os = (struct os_env *)env;
    os->signal_fn = fn;
    os->signal_context = context;
    if (os->signal_fd >= 0)
        return TROUPE_OK;
    sigset_t set;
    signal_set(&set);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return TROUPE_IO;
    if (uv_poll_init(&os->loop, &os->signal_poll, fd) != 0) {
        close(fd);
        return TROUPE_IO;
    }
    os->signals_ready = true;
    os->signal_fd = fd;
    os->signal_poll.data = os;
    CHECK(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    os->loop_changed = true;
    CHECK(uv_poll_start(&os->signal_poll, UV_READABLE, on_signal) == 0);
    return TROUPE_OK;
}

void os_signals_close(struct os_env *os) {
    if (!os->signals_ready)
        return;
    uv_close((uv_handle_t *)&os->signal_poll, NULL);
    /* What came too late to be heard must not end the process the moment it is unblocked. */
    struct signalfd_siginfo info;
    while (read(os->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
    }
    close(os->signal_fd);
    os->signal_fd = -1;
    os->signals_ready = false;
    sigset_t set;
    signal_set(&set);
    CHECK(pthread_sigmask(SIG_UNBLOCK, &set, NULL) == 0);
}
