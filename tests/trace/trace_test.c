/* Traces from emit to file and back: what was emitted and not counted as dropped comes out once, in order, with its
 * time; damage anywhere is refused by name after what is whole before it. Fails if a record is lost without being
 * counted, if a torn or flipped file is believed, or if a failed write costs records. */
#include "../base/cmocka_base.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "trace/trace.h"

#define OK(call) assert_int_equal((call), TROUPE_OK)

struct place {
    struct account account;
    struct env *env;
    struct env_file *file;
    struct tracer *tracer;
    char path[64];
};

static int place_setup(void **state) {
    struct place *place = calloc(1, sizeof(*place));
    place->account = ACCOUNT("trace_test");
    OK(env_os_create(&place->account, &place->env));
    snprintf(place->path, sizeof(place->path), "/tmp/troupe-trace-XXXXXX");
    int fd = mkstemp(place->path);
    assert_true(fd >= 0);
    close(fd);
    OK(env_file_open(place->env, place->path, ENV_FILE_READ | ENV_FILE_WRITE | ENV_FILE_APPEND, &place->file,
                     NULL));
    *state = place;
    return 0;
}

static int place_teardown(void **state) {
    struct place *place = *state;
    tracer_free(place->tracer);
    env_file_close(place->file);
    OK(env_remove(place->env, place->path));
    env_destroy(place->env);
    assert_int_equal(place->account.bytes, 0);
    assert_int_equal(place->account.blocks, 0);
    free(place);
    return 0;
}

static void place_tracer(struct place *place, unsigned threads_max, size_t ring_records) {
    tracer_free(place->tracer);
    OK(tracer_create(place->env, &place->account, threads_max, ring_records, &place->tracer));
    tracer_enable(place->tracer, true);
}

static void drain(struct place *place) {
    struct fault fault = {0};
    if (trace_drain(place->tracer, place->file, &fault) != TROUPE_OK)
        fail_msg("%s: %s", fault.where, fault.text);
}

/* The whole file, for the caller to free. */
static struct buffer place_bytes(struct place *place) {
    struct buffer bytes;
    buffer_init(&bytes, &place->account, 0);
    OK(env_read_file(place->env, place->path, &bytes, NULL));
    return bytes;
}

/* ---- what a reader sees ---- */

struct seen {
    uint64_t count, next[8]; /* per thread: the value that must come next, or a later one */
    uint64_t last_ns[8], skipped, stop_after;
};

static bool see(void *context, const struct trace_record *record, uint64_t time_ns) {
    struct seen *seen = context;
    assert_true(record->thread < 8);
    assert_true(record->value >= seen->next[record->thread]);
    seen->skipped += record->value - seen->next[record->thread];
    seen->next[record->thread] = record->value + 1;
    assert_true(record->span == (record->value ^ record->thread) &&
                record->extra == (uint32_t)~record->value);
    assert_int_equal(record->kind, record->value % TRACE_KIND_COUNT);
    assert_true(time_ns >= seen->last_ns[record->thread]);
    seen->last_ns[record->thread] = time_ns;
    return ++seen->count != seen->stop_after;
}

static void emit(struct tracer *tracer, unsigned thread, uint64_t value) {
    trace_emit(tracer, thread, (enum trace_kind)(value % TRACE_KIND_COUNT), value ^ thread, value,
               (uint32_t)~value);
}

static enum troupe_error place_read(struct place *place, struct seen *seen, struct fault *fault) {
    struct buffer bytes = place_bytes(place);
    enum troupe_error error = trace_read(bytes.bytes, bytes.length, "t", see, seen, fault);
    buffer_free(&bytes);
    return error;
}

static void records_come_back(void **state) {
    struct place *place = *state;
    struct random_stream random;
    uint64_t emitted[3] = {0}, total = 0;
    random_seed(&random, 5, 5);
    place_tracer(place, 3, 256);
    for (unsigned step = 0; step < 6000; step++) {
        unsigned thread = (unsigned)random_below(&random, 3);
        emit(place->tracer, thread, emitted[thread]++);
        total++;
        if (random_below(&random, 200) == 0)
            drain(place);
    }
    drain(place);
    struct seen seen = {0};
    OK(place_read(place, &seen, NULL));
    assert_int_equal(tracer_emitted(place->tracer) + tracer_dropped(place->tracer), total);
    assert_int_equal(seen.count, tracer_emitted(place->tracer));
    assert_true(seen.count > 3000);
}

static void a_full_ring_drops_and_counts(void **state) {
    struct place *place = *state;
    static const struct {
        size_t asked, capacity;
    } rings[] = {{0, 64}, {1, 64}, {64, 64}, {65, 128}, {1000, 1024}};
    for (size_t at = 0; at < ARRAY_COUNT(rings); at++) {
        place_tracer(place, 2, rings[at].asked);
        for (uint64_t value = 0; value < rings[at].capacity + 10; value++)
            emit(place->tracer, 0, value);
        emit(place->tracer, 1, 0); /* the other ring has room */
        assert_int_equal(tracer_emitted(place->tracer), rings[at].capacity + 1);
        assert_int_equal(tracer_dropped(place->tracer), 10);
        OK(env_file_truncate(place->file, 0));
        drain(place);
        for (uint64_t value = 0; value < 5; value++) /* room again; the gap shows in the values */
            emit(place->tracer, 0, 5000 + value);
        drain(place);
        struct seen seen = {0};
        OK(place_read(place, &seen, NULL));
        assert_int_equal(seen.count, rings[at].capacity + 6);
        assert_int_equal(seen.skipped, 5000 - rings[at].capacity);
    }
}

static void off_is_off(void **state) {
    struct place *place = *state;
    trace_emit(NULL, 0, TRACE_NONE, 0, 0, 0);
    place_tracer(place, 1, 64);
    tracer_enable(place->tracer, false);
    emit(place->tracer, 0, 0);
    assert_int_equal(tracer_emitted(place->tracer), 0);
    tracer_enable(place->tracer, true);
    emit(place->tracer, 0, 0);
    assert_int_equal(tracer_emitted(place->tracer), 1);
    tracer_free(NULL);
    assert_string_equal(trace_kind_name(TRACE_TASK_QUEUED), "task queued");
    assert_string_equal(trace_kind_name((enum trace_kind)9999), "unknown");
    struct tracer *tracer = NULL;
    assert_int_equal(tracer_create(place->env, &place->account, 0, 64, &tracer), TROUPE_INVALID);
    assert_int_equal(tracer_create(place->env, &place->account, 65536, 64, &tracer), TROUPE_INVALID);
    assert_int_equal(tracer_create(place->env, &place->account, 1, (1u << 24) + 1, &tracer), TROUPE_INVALID);
    assert_null(tracer);
}

/* Another process appends to the same file: a second header, the same order of reading. */
static void segments_follow_each_other(void **state) {
    struct place *place = *state;
    for (uint64_t segment = 0; segment < 3; segment++) {
        place_tracer(place, 1, 64);
        for (uint64_t value = 0; value < 10; value++)
            emit(place->tracer, 0, segment * 10 + value);
        drain(place);
        drain(place); /* nothing new: nothing written */
    }
    struct seen seen = {0};
    OK(place_read(place, &seen, NULL));
    assert_int_equal(seen.count, 30);
    assert_int_equal(seen.skipped, 0);
    seen = (struct seen){.stop_after = 13};
    OK(place_read(place, &seen, NULL));
    assert_int_equal(seen.count, 13);
}

/* In virtual time ticks are nanoseconds, and a reader gives them back exactly. */
struct stamped {
    struct env *env;
    struct tracer *tracer;
    uint64_t times_ns[20];
    unsigned emitted, read;
};

static void stamp(void *arg) {
    struct stamped *stamped = arg;
    stamped->times_ns[stamped->emitted++] = env_now(stamped->env);
    trace_emit(stamped->tracer, 0, TRACE_LOOKUP, 0, 0, 0);
    if (stamped->emitted == ARRAY_COUNT(stamped->times_ns))
        env_workers_stop(stamped->env);
}

static bool check_stamp(void *context, const struct trace_record *record, uint64_t time_ns) {
    struct stamped *stamped = context;
    assert_int_equal(record->kind, TRACE_LOOKUP);
    assert_int_equal(time_ns, stamped->times_ns[stamped->read++]);
    return true;
}

static struct env_step idle(void *context, unsigned worker) {
    (void)context, (void)worker;
    return (struct env_step){false, UINT64_MAX};
}

static void virtual_times_are_exact(void **state) {
    (void)state;
    struct account account = ACCOUNT("trace_test");
    struct stamped stamped = {0};
    struct env_file *file = NULL;
    OK(env_sim_create(&account, &(struct env_sim_options){.seed = 3}, &stamped.env));
    OK(tracer_create(stamped.env, &account, 1, 64, &stamped.tracer));
    tracer_enable(stamped.tracer, true);
    for (uint64_t at = 0; at < ARRAY_COUNT(stamped.times_ns); at++)
        env_sim_at(stamped.env, env_now(stamped.env) + at * at * 1000003, stamp, &stamped);
    struct env_workers workers = {.count = 1, .step = idle};
    OK(env_workers_run(stamped.env, &workers));
    OK(env_file_open(stamped.env, "/t", ENV_FILE_READ | ENV_FILE_WRITE | ENV_FILE_CREATE, &file, NULL));
    OK(trace_drain(stamped.tracer, file, NULL));
    struct buffer bytes;
    buffer_init(&bytes, &account, 0);
    OK(env_read_file(stamped.env, "/t", &bytes, NULL));
    OK(trace_read(bytes.bytes, bytes.length, "t", check_stamp, &stamped, NULL));
    assert_int_equal(stamped.read, ARRAY_COUNT(stamped.times_ns));
    buffer_free(&bytes);
    env_file_close(file);
    tracer_free(stamped.tracer);
    env_destroy(stamped.env);
    assert_int_equal(account.bytes, 0);
}

/* ---- damage ---- */

/* A header and blocks of 5 and 3 records. */
static struct buffer small_trace(struct place *place) {
    place_tracer(place, 1, 64);
    for (uint64_t value = 0; value < 5; value++)
        emit(place->tracer, 0, value);
    drain(place);
    for (uint64_t value = 5; value < 8; value++)
        emit(place->tracer, 0, value);
    drain(place);
    return place_bytes(place);
}

static void a_torn_file_gives_what_is_whole(void **state) {
    struct place *place = *state;
    struct buffer bytes = small_trace(place);
    size_t first = 48, second = first + 48 + 5 * 32, end = second + 48 + 3 * 32;
    assert_int_equal(bytes.length, end);
    for (size_t length = 0; length <= end; length++) {
        char *exact = malloc(length + 1); /* so that a sanitizer sees a read past the end */
        assert_non_null(exact);
        memcpy(exact + 1, bytes.bytes, length);
        struct seen seen = {0};
        struct fault fault = {0};
        enum troupe_error error = trace_read(exact + 1, length, "t", see, &seen, &fault);
        bool whole = length == first || length == second || length == end;
        assert_int_equal(error, whole ? TROUPE_OK : TROUPE_CORRUPT);
        assert_int_equal(seen.count, length < second ? 0 : length < end ? 5 : 8);
        if (!whole) {
            size_t at = length < first ? 0 : length < second ? first : second;
            char where[32];
            snprintf(where, sizeof(where), "t: byte %zu", at);
            assert_string_equal(fault.where, where);
            assert_true(fault.text[0] != '\0');
        }
        free(exact);
    }
    buffer_free(&bytes);
}

static void every_flipped_byte_is_seen(void **state) {
    struct place *place = *state;
    struct buffer bytes = small_trace(place);
    for (size_t at = 0; at < bytes.length; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            struct seen seen = {0};
            struct fault fault = {0};
            bytes.bytes[at] = (char)(bytes.bytes[at] ^ (1 << bit));
            enum troupe_error error = trace_read(bytes.bytes, bytes.length, "t", see, &seen, &fault);
            bytes.bytes[at] = (char)(bytes.bytes[at] ^ (1 << bit));
            assert_true(error == TROUPE_CORRUPT || (error == TROUPE_NEWER && at >= 8 && at < 12));
            assert_int_equal(seen.count, at < 48 + 48 + 5 * 32 ? 0 : 5);
            assert_true(fault.error == error && fault.text[0] != '\0');
        }
    buffer_free(&bytes);
}

/* Anything at all, with the right beginnings so that it gets further. */
static void noise_is_refused(void **state) {
    struct place *place = *state;
    struct buffer bytes = small_trace(place);
    struct random_stream random;
    random_seed(&random, 6, 6);
    for (unsigned round = 0; round < 3000; round++) {
        char noise[400];
        size_t length = (size_t)random_below(&random, sizeof(noise) + 1);
        size_t kept = (size_t)random_below(&random, 160);
        for (size_t at = 0; at < length; at++)
            noise[at] = at < kept ? bytes.bytes[at] : (char)random_u64(&random);
        struct seen seen = {0};
        enum troupe_error error = trace_read(noise, length, "t", see, &seen, NULL);
        assert_true(error != TROUPE_OK || length == 48);
    }
    buffer_free(&bytes);
}

/* ---- a disk without room ---- */

static void file_size_limit(uint64_t bytes) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes == 0 ? limit.rlim_max : bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_failed_drain_loses_nothing(void **state) {
    struct place *place = *state;
    signal(SIGXFSZ, SIG_IGN);
    static const uint64_t limits[] = {1, 20, 48, 100, 48 + 48 + 100 * 32 - 1};
    for (size_t at = 0; at < ARRAY_COUNT(limits); at++) {
        OK(env_file_truncate(place->file, 0));
        place_tracer(place, 2, 128);
        for (uint64_t value = 0; value < 100; value++) {
            emit(place->tracer, 0, value);
            emit(place->tracer, 1, value);
        }
        struct fault fault = {0};
        file_size_limit(limits[at]);
        enum troupe_error error = trace_drain(place->tracer, place->file, &fault);
        file_size_limit(0);
        assert_int_equal(error, TROUPE_DISK_FULL);
        assert_string_equal(fault.where, "trace file");
        uint64_t bytes = 1;
        OK(env_file_size(place->file, &bytes));
        assert_int_equal(bytes, limits[at] < 48 ? 0 : 48); /* cut back to what is whole */
        drain(place);
        struct seen seen = {0};
        OK(place_read(place, &seen, NULL));
        assert_int_equal(seen.count, 200);
        assert_int_equal(seen.skipped, 0);
    }
}

/* ---- threads and memory ---- */

#define PRODUCERS 3
#define EACH 30000

struct producer {
    struct tracer *tracer;
    unsigned thread;
    _Atomic unsigned *running;
};

static void *produce(void *arg) {
    const struct producer *producer = arg;
    for (uint64_t value = 0; value < EACH; value++)
        emit(producer->tracer, producer->thread, value);
    atomic_fetch_sub(producer->running, 1);
    return NULL;
}

static void producers_beside_a_drain(void **state) {
    struct place *place = *state;
    pthread_t threads[PRODUCERS];
    struct producer producers[PRODUCERS];
    _Atomic unsigned running = PRODUCERS;
    place_tracer(place, PRODUCERS, 512);
    for (unsigned at = 0; at < PRODUCERS; at++) {
        producers[at] = (struct producer){place->tracer, at, &running};
        assert_int_equal(pthread_create(&threads[at], NULL, produce, &producers[at]), 0);
    }
    while (atomic_load(&running) > 0)
        drain(place);
    for (unsigned at = 0; at < PRODUCERS; at++)
        assert_int_equal(pthread_join(threads[at], NULL), 0);
    drain(place);
    struct seen seen = {0};
    OK(place_read(place, &seen, NULL));
    assert_int_equal(seen.count, tracer_emitted(place->tracer));
    assert_int_equal(seen.count + tracer_dropped(place->tracer), PRODUCERS * EACH);
    assert_true(seen.count >= 512);
}

static void refused_memory_leaks_nothing(void **state) {
    struct place *place = *state;
    int64_t before = place->account.blocks;
    unsigned refused = 0;
    FOR_EACH_FAILING_ALLOCATION(n) {
        struct tracer *tracer = NULL;
        enum troupe_error error = tracer_create(place->env, &place->account, 3, 64, &tracer);
        assert_int_equal(error, memory_fail_fired() ? TROUPE_NOMEM : TROUPE_OK);
        assert_true((tracer == NULL) == (error != TROUPE_OK));
        refused += error != TROUPE_OK;
        tracer_free(tracer);
        assert_int_equal(place->account.blocks, before);
    }
    assert_int_equal(refused, 5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_come_back, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_full_ring_drops_and_counts, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(off_is_off, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(segments_follow_each_other, place_setup, place_teardown),
        cmocka_unit_test(virtual_times_are_exact),
        cmocka_unit_test_setup_teardown(a_torn_file_gives_what_is_whole, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(every_flipped_byte_is_seen, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(noise_is_refused, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(a_failed_drain_loses_nothing, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(producers_beside_a_drain, place_setup, place_teardown),
        cmocka_unit_test_setup_teardown(refused_memory_leaks_nothing, place_setup, place_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
