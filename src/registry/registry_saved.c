/* Saved: what a namespace says, as text that outlives the process, and back.
 *
 *   text := "registry 1 " rows utc_ns "\n" row*
 *   row  := length health load node lease word word word word opaque_length "\n" name opaque "\n"
 *
 * Numbers are hexadecimal, lower case, a blank behind each; lease is what is left of it in ns, 0: none; the words are the
 * capabilities; opaque is a pair of digits for each byte. Saved are the rows that find returns: UP or DEGRADED, alive, not
 * expired. Who drains or is down is not taken up again.
 * Threads: any reader. Memory: the caller's buffer; reading allocates nothing. */
#include "registry/registry_private.h"

#define SAVED_FORMAT 1U

/* ---- writing ---- */

static void put_number(struct buffer *out, uint64_t value) {
    char text[17], *at = text + sizeof text;
    *--at = ' ';
    do {
        *--at = "0123456789abcdef"[value & 15];
        value >>= 4;
    } while (value != 0);
    buffer_append(out, at, (size_t)(text + sizeof text - at));
}

static void put_row(const struct registry *registry, const struct registry_row *row, uint64_t now_ns,
                    struct buffer *out) {
    struct registry_view view;
    registry_row_view(registry, row, &view);
    put_number(out, view.name_length);
    put_number(out, view.health);
    put_number(out, view.load);
    put_number(out, view.node);
    put_number(out, view.lease_ns == 0 ? 0 : view.lease_ns > now_ns ? view.lease_ns - now_ns : 1);
    for (unsigned word = 0; word < ARRAY_COUNT(view.capabilities->bits); word++) {
        put_number(out, view.capabilities->bits[word]);
    }
    put_number(out, view.opaque_length);
    buffer_append(out, "\n", 1);
    buffer_append(out, row->name, view.name_length);
    for (unsigned at = 0; at < view.opaque_length; at++) {
        buffer_format(out, "%02x", ((const unsigned char *)view.opaque)[at]);
    }
    buffer_append(out, "\n", 1);
}

enum troupe_error registry_save(struct registry *registry, const char *name_space, struct buffer *out,
                                size_t *ret_rows) {
    const struct capability_set any = {{0}};
    size_t most = registry_count(registry) + 1;
    const struct registry_row **rows = memory_alloc(registry->account, most * sizeof *rows);
    if (rows == NULL) {
        return TROUPE_NOMEM;
    }
    size_t count = registry_find(registry, name_space, &any, rows, most);
    buffer_text(out, "registry ");
    put_number(out, SAVED_FORMAT);
    put_number(out, count);
    put_number(out, (uint64_t)env_utc(registry->env));
    buffer_text(out, "\n");
    uint64_t now_ns = env_now(registry->env);
    for (size_t at = 0; at < count; at++) {
        put_row(registry, rows[at], now_ns, out);
    }
    memory_free(registry->account, rows);
    *ret_rows = count;
    return buffer_ok(out);
}

/* ---- reading ---- */

struct saved_text {
    const char *text;
    size_t length, at;
    bool bad;
};

static int digit_of(char byte) {
    return byte >= '0' && byte <= '9' ? byte - '0' : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* A number of up to `most`, and the blank behind it. */
static uint64_t get_number(struct saved_text *saved, uint64_t most) {
    uint64_t value = 0;
    unsigned digits = 0;
    for (int digit; saved->at < saved->length && (digit = digit_of(saved->text[saved->at])) >= 0;
         saved->at++) {
        value = value << 4 | (unsigned)digit;
        digits++;
    }
    bool whole = digits > 0 && digits <= 16 && value <= most && saved->at < saved->length &&
                 saved->text[saved->at] == ' ';
    saved->bad = saved->bad || !whole;
    saved->at++;
    return value;
}

static void get_end(struct saved_text *saved) {
    saved->bad = saved->bad || saved->at >= saved->length || saved->text[saved->at] != '\n';
    saved->at++;
}

static void get_opaque(struct saved_text *saved, unsigned char *opaque, size_t length) {
    if (saved->bad || length * 2 > saved->length - saved->at) {
        saved->bad = true;
        return;
    }
    for (size_t at = 0; at < length; at++, saved->at += 2) {
        int high = digit_of(saved->text[saved->at]), low = digit_of(saved->text[saved->at + 1]);
        saved->bad = saved->bad || high < 0 || low < 0;
        opaque[at] = (unsigned char)((unsigned)high << 4 | (unsigned)low);
    }
}

/* `name` and `opaque` have room for the longest. */
static void get_row(struct saved_text *saved, char *name, unsigned char *opaque, struct registration *ret) {
    size_t length = (size_t)get_number(saved, REGISTRY_NAME_MAX);
    struct registration registration = {.name = name, .opaque = opaque};
    registration.health = (enum health)get_number(saved, HEALTH_DEGRADED);
    registration.load = (uint8_t)get_number(saved, REGISTRY_LOADS - 1);
    registration.node = (uint16_t)get_number(saved, UINT16_MAX);
    registration.lease_ns = get_number(saved, UINT64_MAX);
    for (unsigned word = 0; word < ARRAY_COUNT(registration.capabilities.bits); word++) {
        registration.capabilities.bits[word] = get_number(saved, UINT64_MAX);
    }
    registration.opaque_length = (size_t)get_number(saved, REGISTRY_OPAQUE_MAX);
    get_end(saved);
    if (saved->bad || length == 0 || length > saved->length - saved->at ||
        memchr(saved->text + saved->at, '\0', length) != NULL) {
        saved->bad = true;
        return;
    }
    memcpy(name, saved->text + saved->at, length);
    name[length] = '\0';
    saved->at += length;
    get_opaque(saved, opaque, registration.opaque_length);
    get_end(saved);
    *ret = registration;
}

static enum troupe_error damaged(const struct saved_text *saved, const char *source, struct fault *fault) {
    return fault_set(fault, TROUPE_CORRUPT, source,
                     "the saved registry is damaged before byte %zu: expected what registry_save wrote",
                     saved->at < saved->length ? saved->at : saved->length);
}

enum troupe_error registry_saved_read(const char *text, size_t length, const char *source, int64_t utc_ns,
                                      const struct registry_saved *to, struct fault *fault) {
    static const char begins[] = "registry ";
    struct saved_text saved = {.text = text, .length = length, .at = sizeof begins - 1};
    char name[REGISTRY_NAME_MAX + 1];
    unsigned char opaque[REGISTRY_OPAQUE_MAX] NOT_CLEARED;
    if (length < sizeof begins || memcmp(text, begins, sizeof begins - 1) != 0) {
        saved.at = 0;
        return damaged(&saved, source, fault);
    }
    uint64_t format = get_number(&saved, UINT64_MAX);
    if (!saved.bad && format != SAVED_FORMAT) {
        return fault_set(fault, format > SAVED_FORMAT ? TROUPE_NEWER : TROUPE_CORRUPT, source,
                         "a saved registry of format %llu; this program reads format %u",
                         (unsigned long long)format, SAVED_FORMAT);
    }
    uint64_t rows = get_number(&saved, length);
    int64_t saved_utc_ns = (int64_t)get_number(&saved, INT64_MAX);
    get_end(&saved);
    /* A row takes 24 bytes at least: no more is believed. */
    if (!saved.bad && to->begin != NULL) {
        to->begin(to->context, rows < length / 24 ? (size_t)rows : length / 24);
    }
    uint64_t passed_ns = utc_ns > saved_utc_ns ? (uint64_t)(utc_ns - saved_utc_ns) : 0;
    for (uint64_t row = 0; row < rows && !saved.bad; row++) {
        struct registration registration = {0};
        get_row(&saved, name, opaque, &registration);
        if (saved.bad) {
            break;
        }
        bool expired = registration.lease_ns != 0 && registration.lease_ns <= passed_ns;
        registration.lease_ns -= registration.lease_ns != 0 && !expired ? passed_ns : 0;
        enum troupe_error error = to->fn(to->context, &registration, expired);
        if (error != TROUPE_OK) {
            return fault_set(fault, error, source, "'%.100s' could not be registered: %s", name,
                             error_text(error));
        }
    }
    return saved.bad || saved.at != length ? damaged(&saved, source, fault) : TROUPE_OK;
}
