/* worker_link: see the header. */
#include "agent/worker_link.h"

#include "agent/worker_protocol.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

void worker_link_init(struct worker_link *link, struct env *env, struct account *account, size_t line_max,
                      const struct worker_link_events *events, void *context) {
    *link = (struct worker_link){.env = env, .events = events, .context = context, .line_max = line_max};
    buffer_init(&link->partial, account, line_max + 1);
}

/* Keeps the last line that says something; it is what a person wants to see when the child has died. */
static void error_line_keep(struct worker_link *link, const char *bytes, size_t length) {
    for (size_t at = 0; at < length; at++) {
        char byte = bytes[at];
        if (byte == '\n') {
            link->error_open = false;
            continue;
        }
        if ((byte == ' ' || byte == '\t' || byte == '\r') && !link->error_open)
            continue;
        if (!link->error_open) {
            link->error_open = true;
            link->error_length = 0;
        }
        if (link->error_length + 1 < sizeof link->error_line)
            link->error_line[link->error_length++] = byte;
    }
    link->error_line[link->error_length] = 0;
}

static void broken(struct worker_link *link, enum troupe_error error, const char *bytes, size_t length,
                   size_t seen) {
    link->muted = true;
    link->events->broken(link->context, error, bytes, length, seen);
}

/* The rest of a chunk that has no newline. */
static void tail_keep(struct worker_link *link, const char *bytes, size_t length) {
    size_t seen = link->partial.length + length;
    if (seen >= link->line_max) { /* its newline would not fit any more */
        bool started = link->partial.length > 0;
        broken(link, TROUPE_LIMIT, started ? link->partial.bytes : bytes,
               started ? link->partial.length : length, seen);
        return;
    }
    buffer_append(&link->partial, bytes, length);
    if (buffer_ok(&link->partial) != TROUPE_OK)
        broken(link, TROUPE_NOMEM, bytes, length, seen);
}

static void line_hand_on(struct worker_link *link, const char *bytes, size_t length) {
    if (length >= link->line_max)
        broken(link, TROUPE_LIMIT, bytes, length, length + 1);
    else if (length > 0 && !(length == 1 && bytes[0] == '\r'))
        link->events->line(link->context, bytes, length);
}

static void output(void *context, enum env_stream stream, const char *bytes, size_t length) {
    struct worker_link *link = context;
    if (stream == ENV_STREAM_ERR) {
        error_line_keep(link, bytes, length);
        link->events->errors(link->context, bytes, length);
        return;
    }
    bool whole = false;
    while (length > 0 && !link->muted) {
        const char *end = memchr(bytes, '\n', length);
        if (!end) {
            tail_keep(link, bytes, length);
            break;
        }
        whole = true;
        size_t piece = (size_t)(end - bytes);
        if (link->partial.length > 0) {
            tail_keep(link, bytes, piece);
            if (!link->muted)
                line_hand_on(link, link->partial.bytes, link->partial.length);
            buffer_clear(&link->partial);
        } else
            line_hand_on(link, bytes, piece);
        bytes += piece + 1;
        length -= piece + 1;
    }
    if (whole)
        link->events->read(link->context);
}

static void output_closed(void *context) {
    struct worker_link *link = context;
    if (!link->muted)
        link->events->closed(link->context);
}

static void exited(void *context, int status, int signal, const struct env_usage *usage) {
    struct worker_link *link = context;
    link->ended = true;
    link->status = status;
    link->signal = signal;
    link->usage = *usage;
    link->events->ended(link->context);
}

enum troupe_error worker_link_spawn(struct worker_link *link, const struct env_child_spec *spec,
                                    struct fault *fault) {
    CHECK(!link->child);
    struct env_child_spec own = *spec;
    own.events = (struct env_child_events){
        .output = output, .output_closed = output_closed, .exited = exited, .context = link};
    buffer_clear(&link->partial);
    link->muted = link->ended = link->error_open = false;
    link->status = link->signal = 0;
    link->usage = (struct env_usage){0};
    link->error_length = 0;
    link->error_line[0] = 0;
    return env_child_spawn(link->env, &own, &link->child, fault);
}

enum troupe_error worker_link_write(struct worker_link *link, const char *bytes, size_t length) {
    return link->child && !link->ended ? env_child_write(link->child, bytes, length) : TROUPE_DEAD;
}

void worker_link_mute(struct worker_link *link) {
    link->muted = true;
}

void worker_link_kill(struct worker_link *link, int signal) {
    if (link->child && !link->ended)
        env_child_kill(link->child, signal);
}

void worker_link_close_input(struct worker_link *link) {
    if (link->child && !link->ended)
        env_child_close_input(link->child);
}

uint64_t worker_link_cpu(const struct worker_link *link) {
    if (!link->child)
        return 0;
    return link->ended ? link->usage.cpu_ns : env_child_cpu(link->child);
}

uint64_t worker_link_core_wait(const struct worker_link *link) {
    return link->child ? env_child_core_wait(link->child) : ENV_UNKNOWN;
}

void worker_link_describe_end(const struct worker_link *link, char *out, size_t size) {
    int used;
    if (link->signal > 0) {
        const char *name = sigabbrev_np(link->signal);
        used = snprintf(out, size, "killed by signal %d%s%s%s", link->signal, name ? " (SIG" : "",
                        name ? name : "", name ? ")" : "");
    } else
        used = snprintf(out, size, "exited with status %d", link->status);
    if (link->error_length > 0 && used >= 0 && (size_t)used + 32 < size) {
        char words[WORKER_ERROR_LINE_MAX];
        used += snprintf(out + used, size - (size_t)used, "; its last words: ");
        snprintf(out + used, size - (size_t)used, "%s",
                 worker_quote(link->error_line, link->error_length, words, sizeof words));
    }
}

void worker_link_close(struct worker_link *link) {
    if (link->child)
        env_child_release(link->child);
    link->child = NULL;
    link->muted = true;
}

void worker_link_free(struct worker_link *link) {
    worker_link_close(link);
    buffer_free(&link->partial);
}
