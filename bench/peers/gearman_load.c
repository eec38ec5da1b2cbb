/* peer_gearman TASKS OUTSTANDING [GEARMAND]: four submitter processes give tasks to four worker processes whose
 * work is nothing through a gearmand of its own on the loopback interface, OUTSTANDING at a time in all.
 * Prints
 *     gearmand dispatch_OUTSTANDING TASKS_PER_S WALL_NS CPU_NS
 * the last two of a task; CPU is of all nine processes, from their start to their end. bench/dispatch_load.c
 * does the same through Troupe.
 *
 * Both sides speak the protocol themselves, with as few system calls as it allows: submitters replace
 * what one read brought by one write; a worker sends its answer and its next request in one write.
 * libgearman makes more. Plain POSIX: nothing of Troupe is in what it is compared with. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SUBMITTERS = 4, WORKERS = 4, HEADER = 12 };
enum packet {
    CAN_DO = 1,
    PRE_SLEEP = 4,
    NOOP = 6,
    SUBMIT_JOB = 7,
    JOB_CREATED = 8,
    GRAB_JOB = 9,
    NO_JOB = 10,
    JOB_ASSIGN = 11,
    WORK_COMPLETE = 13
};

struct link {
    int socket;
    size_t in_length, out_length;
    char in[1 << 18], out[1 << 18];
};

__attribute__((noreturn)) static void fatal(const char *what) {
    fprintf(stderr, "peer_gearman: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void packet_put(struct link *link, enum packet type, const char *data, size_t length) {
    char *at = link->out + link->out_length;
    uint32_t words[] = {htonl((uint32_t)type), htonl((uint32_t)length)};
    if (link->out_length + HEADER + length > sizeof link->out)
        fatal("a packet too much");
    memcpy(at, "\0REQ", 4);
    memcpy(at + 4, words, sizeof words);
    memcpy(at + HEADER, data, length);
    link->out_length += HEADER + length;
}

static void link_flush(struct link *link) {
    for (size_t at = 0; at < link->out_length;) {
        ssize_t count = write(link->socket, link->out + at, link->out_length - at);
        if (count < 0 && errno != EINTR)
            fatal("write");
        if (count > 0)
            at += (size_t)count;
    }
    link->out_length = 0;
}

/* Reads once and gives each whole packet to `take`. False: the other side has ended. */
static int link_read(struct link *link,
                     void (*take)(struct link *link, enum packet type, const char *data, size_t length)) {
    ssize_t count = read(link->socket, link->in + link->in_length, sizeof link->in - link->in_length);
    if (count <= 0)
        return 0;
    link->in_length += (size_t)count;
    size_t at = 0;
    while (link->in_length - at >= HEADER) {
        uint32_t words[2];
        memcpy(words, link->in + at + 4, sizeof words);
        uint32_t type = ntohl(words[0]), length = ntohl(words[1]);
        if (memcmp(link->in + at, "\0RES", 4) != 0 || length > sizeof link->in - HEADER) {
            errno = EPROTO;
            fatal("not a packet");
        }
        if (link->in_length - at < HEADER + length)
            break;
        take(link, (enum packet)type, link->in + at + HEADER, length);
        at += HEADER + length;
    }
    link->in_length -= at;
    memmove(link->in, link->in + at, link->in_length);
    return 1;
}

static int connection_open(uint16_t port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection < 0)
        fatal("socket");
    if (connect(connection, (struct sockaddr *)&address, sizeof address) != 0) {
        close(connection);
        return -1;
    }
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return connection;
}

/* ---- a worker ---- */

static void worker_take(struct link *link, enum packet type, const char *data, size_t length) {
    if (type == JOB_ASSIGN) {
        char answer[256];
        size_t handle = strnlen(data, length) + 1; /* its zero byte parts it from the result */
        if (handle > sizeof answer - 4)
            fatal("a handle too long");
        memcpy(answer, data, handle);
        memcpy(answer + handle, "null", 4);
        packet_put(link, WORK_COMPLETE, answer, handle + 4);
        packet_put(link, GRAB_JOB, "", 0);
    } else if (type == NO_JOB)
        packet_put(link, PRE_SLEEP, "", 0);
    else if (type == NOOP)
        packet_put(link, GRAB_JOB, "", 0);
}

__attribute__((noreturn)) static void worker_main(struct link *link, uint16_t port) {
    link->socket = connection_open(port);
    packet_put(link, CAN_DO, "nothing", 7);
    packet_put(link, GRAB_JOB, "", 0);
    do
        link_flush(link);
    while (link_read(link, worker_take));
    exit(0);
}

/* ---- a submitter ---- */

static unsigned submitted, completed;

static void submitter_take(struct link *link, enum packet type, const char *data, size_t length) {
    (void)link, (void)data, (void)length;
    if (type == WORK_COMPLETE)
        completed++;
    else if (type != JOB_CREATED) {
        errno = EPROTO;
        fatal("an unexpected packet");
    }
}

__attribute__((noreturn)) static void submitter_main(struct link *link, uint16_t port, unsigned tasks,
                                                     unsigned outstanding) {
    /* function, no unique id, and as many bytes of work as Troupe's tasks have */
    static const char job[] =
        "nothing\0\0\"variables\":{\"lr\":0.00123,\"depth\":7},\"inputs\":{},\"data\":{},\"seed\":1";
    link->socket = connection_open(port);
    while (completed < tasks) {
        for (; submitted < tasks && submitted - completed < outstanding; submitted++)
            packet_put(link, SUBMIT_JOB, job, sizeof job - 1);
        link_flush(link);
        if (!link_read(link, submitter_take))
            fatal("gearmand has ended");
    }
    exit(0);
}

/* ---- all of them ---- */

static uint16_t free_port(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0 || bind(probe, (struct sockaddr *)&address, sizeof address) != 0 ||
        getsockname(probe, (struct sockaddr *)&address, &length) != 0)
        fatal("a free port");
    close(probe);
    return ntohs(address.sin_port);
}

static pid_t server_start(const char *program, uint16_t port) {
    char listen_option[] = "--listen=127.0.0.1", port_option[32];
    snprintf(port_option, sizeof port_option, "--port=%u", (unsigned)port);
    pid_t server = fork();
    if (server < 0)
        fatal("fork");
    if (server == 0) {
        execlp(program, program, listen_option, port_option, "--log-file=none", (char *)NULL);
        fatal(program);
    }
    for (;;) { /* it does not tell when it listens */
        int connection = connection_open(port), status;
        if (connection >= 0) {
            close(connection);
            return server;
        }
        if (waitpid(server, &status, WNOHANG) == server)
            fatal("gearmand did not start");
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static double seconds_of(struct timeval time) {
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

int main(int argc, char **argv) {
    unsigned tasks = argc >= 3 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    unsigned outstanding = argc >= 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    if (tasks < SUBMITTERS || outstanding < SUBMITTERS || outstanding > 4096 ||
        tasks % SUBMITTERS + outstanding % SUBMITTERS != 0) {
        fprintf(
            stderr,
            "usage: peer_gearman TASKS OUTSTANDING [GEARMAND] (both multiples of 4, OUTSTANDING to 4096)\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    static struct link link;
    uint16_t port = free_port();
    pid_t server = server_start(argc > 3 ? argv[3] : "gearmand", port), submitters[SUBMITTERS], worker;
    struct timespec began, done;
    clock_gettime(CLOCK_MONOTONIC, &began);
    for (unsigned at = 0; at < WORKERS; at++)
        if ((worker = fork()) == 0)
            worker_main(&link, port);
        else if (worker < 0)
            fatal("fork");
    for (unsigned at = 0; at < SUBMITTERS; at++)
        if ((submitters[at] = fork()) == 0)
            submitter_main(&link, port, tasks / SUBMITTERS, outstanding / SUBMITTERS);
        else if (submitters[at] < 0)
            fatal("fork");
    int status, failed = 0;
    for (unsigned at = 0; at < SUBMITTERS; at++)
        failed |= waitpid(submitters[at], &status, 0) < 0 || status != 0;
    clock_gettime(CLOCK_MONOTONIC, &done);
    kill(server, SIGTERM);
    while (wait(&status) > 0) /* workers end with their connection */
        ;
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    double wall_s = (double)(done.tv_sec - began.tv_sec) + (double)(done.tv_nsec - began.tv_nsec) / 1e9;
    double cpu_s = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
    if (failed)
        return 1;
    printf("gearmand dispatch_%u %.0f %.0f %.0f\n", outstanding, tasks / wall_s, wall_s * 1e9 / tasks,
           cpu_s * 1e9 / tasks);
    return 0;
}
