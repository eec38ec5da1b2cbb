/* Power cuts: under each seed a store writes rows until the power goes, at a random event or inside a commit
 * at a random call to the disk; unsynced writes are then kept, dropped or torn, and the next life opens what
 * is left. What was acknowledged must be there, once, in order, byte for byte, in a database that passes its
 * integrity check.
 *
 * Fails when a row is acknowledged before it is durable, when recovery loses or doubles one, or when the file
 * is damaged. */
#include "sim_suite.h"

#include "../store/store_driver.h"

#include "../store/env_wrap.h"

#define EXPECT(condition)                                                                                    \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #condition);                         \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

#define LIVES 3
#define TEXT_BYTES_MAX 6000
#define ROWS_MAX 2000

static const enum store_row_kind kinds[] = {STORE_TRIAL_ASKED, STORE_STAGE_ENDED, STORE_TRIAL_TOLD};
#define KINDS ARRAY_COUNT(kinds)

struct scene { /* one seed */
    uint64_t seed;
    struct account account;
    struct env_disk *disk;
    struct random_stream random;
    uint32_t text_bytes_max;
    uint32_t first;        /* row with which the present life began */
    uint32_t acknowledged; /* rows below it were acknowledged OK, in any life */
    bool created;          /* store_open said OK once: the run exists from then on */
    uint64_t signature;    /* over the lives */
    uint64_t events, virtual_ns;
    char violation[512]; /* the first one; empty: none */
    unsigned cuts, recovered /* rows that were there without an acknowledgement */;
};

/* ---- rows: a function of the seed and the index ---- */

static char row_text[TEXT_BYTES_MAX + 1];

static struct driver_row row_at(const struct scene *scene, uint32_t index) {
    uint64_t word = hash_bytes(&index, sizeof index, scene->seed);
    size_t length = word % scene->text_bytes_max;
    memset(row_text, 'a' + (int)(word >> 32) % 26, length);
    row_text[length] = '\0';
    return (struct driver_row){{.kind = kinds[index % KINDS],
                                .trial = index / KINDS,
                                .stage = 1,
                                .attempt = 1,
                                .a = index,
                                .utc_ns = 1,
                                .real = (double)index},
                               index % KINDS == 1 ? "key" : NULL,
                               row_text};
}

static struct driver_row scene_row(void *context, uint32_t index) {
    const struct scene *scene = context;
    return row_at(scene, scene->first + index);
}

static void scene_answer(void *context, uint32_t index, const struct message_store_committed *answer) {
    struct scene *scene = context;
    if (answer->error == TROUPE_OK && scene->first + index == scene->acknowledged)
        scene->acknowledged++;
    else if (answer->error == TROUPE_OK)
        snprintf(scene->violation, sizeof scene->violation, "row %u was acknowledged after a hole at %u",
                 scene->first + index, scene->acknowledged);
}

/* ---- one life, ended by a cut ---- */

static void life_close(struct store *store, bool powered) {
    if (!powered)
        env_wrap_arm(1, true, TROUPE_IO); /* a dead machine checkpoints nothing */
    store_close(store);
}

static void life_run(struct scene *scene, unsigned life) {
    bool at_event = random_below(&scene->random, 2) == 0;
    bool flaky = random_below(&scene->random, 4) == 0; /* some disks also refuse on their own */
    bool long_life = scene->seed % 64 == 0;            /* long enough for checkpoints while running */
    uint64_t rows = 1 + random_below(&scene->random, long_life ? ROWS_MAX : 120);
    struct env_sim_options options = {
        .seed = scene->seed * LIVES + life,
        .disk = scene->disk,
        .faults = {.disk_write_fails = flaky ? 0.001 : 0, .disk_sync_fails = flaky ? 0.005 : 0},
    };
    if (at_event)
        options.faults.power_cut_after_events = 1 + random_below(&scene->random, 6 * rows);
    struct driver driver = {.count = (uint32_t)rows,
                            .window = (uint32_t)random_below(&scene->random, 40),
                            .make = scene_row,
                            .answered = scene_answer,
                            .context = scene};
    struct store_options store_options = {
        .create = true, .group_rows = 1 + (unsigned)random_below(&scene->random, long_life ? 4 : 32)};
    uint64_t dead_at = at_event ? 0 : 1 + random_below(&scene->random, 60 + 8 * rows);
    struct env *env = NULL;
    EXPECT(env_sim_create(&scene->account, &options, &env) == TROUPE_OK);
    env_wrap_arm(dead_at, true, TROUPE_IO);
    if (store_open(env, &scene->account, "/runs/one", &store_options, &driver.store, NULL) == TROUPE_OK) {
        scene->created = true;
        enum troupe_error error = driver_run(&driver, env, &scene->account);
        bool powered = error == TROUPE_OK && !env_wrap.fired;
        if (error != TROUPE_OK && error != TROUPE_CANCELLED)
            snprintf(scene->violation, sizeof scene->violation, "stuck (%s): %u rows written, %u answered",
                     error_name(error), driver.written, driver.answers);
        life_close(driver.store, powered);
        scene->cuts += !powered;
    }
    env_wrap_arm(0, false, TROUPE_OK);
    scene->signature = hash_bytes(&(uint64_t){env_sim_signature(env)}, sizeof(uint64_t), scene->signature);
    scene->events += env_sim_events(env);
    scene->virtual_ns += env_now(env);
    env_destroy(env);
    env_disk_power_cut(scene->disk, random_u64(&scene->random));
}

/* ---- what is left ---- */

struct inspection {
    struct scene *scene;
    unsigned kind;
    uint32_t next[KINDS]; /* index of the next row of that kind */
};

static bool inspect_row(void *context, const struct store_row *row, const char *name, const char *text) {
    struct inspection *inspection = context;
    struct scene *scene = inspection->scene;
    uint32_t index = inspection->next[inspection->kind];
    struct driver_row expected = row_at(scene, index);
    if (row->trial != expected.row.trial || row->a != index || row->real != (double)index ||
        strcmp(name, expected.name != NULL ? expected.name : "") != 0 || strcmp(text, expected.text) != 0) {
        snprintf(scene->violation, sizeof scene->violation,
                 "row %u (number %lld, trial %u) is not what was written", index, (long long)row->a,
                 row->trial);
        return false;
    }
    inspection->next[inspection->kind] += KINDS;
    return true;
}

static void scene_inspect(struct scene *scene) {
    struct env *env = NULL;
    struct store *store = NULL;
    struct store_reader *reader = NULL;
    struct fault fault = {0};
    struct inspection inspection = {.scene = scene, .next = {0, 1, 2}};
    const struct env_sim_options options = {.seed = 1, .disk = scene->disk};
    EXPECT(env_sim_create(&scene->account, &options, &env) == TROUPE_OK);
    enum troupe_error error = store_reader_open(env, &scene->account, "/runs/one", &reader, &fault);
    if (error == TROUPE_NOT_FOUND && !scene->created)
        goto out; /* nothing was promised yet */
    for (unsigned kind = 0; error == TROUPE_OK && kind < KINDS; kind++) {
        inspection.kind = kind;
        error = store_read(reader, kinds[kind], inspect_row, &inspection, &fault);
    }
    store_reader_close(reader);
    if (error == TROUPE_OK) /* the writer's recovery, then the whole check */
        error = store_open(env, &scene->account, "/runs/one", NULL, &store, &fault);
    reader = NULL;
    if (error == TROUPE_OK)
        error = store_reader_open(env, &scene->account, "/runs/one", &reader, &fault);
    if (error == TROUPE_OK)
        error = store_check(reader, &fault);
    store_reader_close(reader);
    store_close(store);
    uint32_t count = 0;
    for (unsigned kind = 0; kind < KINDS; kind++)
        count += inspection.next[kind] / KINDS;
    bool prefix = true;
    for (unsigned kind = 0; kind < KINDS; kind++)
        prefix = prefix && inspection.next[kind] >= count && inspection.next[kind] < count + KINDS;
    if (scene->violation[0] != '\0')
        goto out;
    if (error != TROUPE_OK)
        snprintf(scene->violation, sizeof scene->violation, "%s: %.128s: %.256s", error_name(error),
                 fault.where, fault.text);
    else if (!prefix)
        snprintf(scene->violation, sizeof scene->violation, "the %u rows are no prefix", count);
    else if (count < scene->acknowledged)
        snprintf(scene->violation, sizeof scene->violation, "%u rows are left of %u acknowledged", count,
                 scene->acknowledged);
    scene->recovered += count - scene->acknowledged;
    scene->acknowledged = count; /* the next life finds them: from now on they must stay */
    scene->first = count;
out:
    env_destroy(env);
}

/* ---- seeds ---- */

struct totals {
    unsigned cuts, rows, recovered;
    uint64_t events, virtual_ns;
};

/* False: a violation, in `ret_violation`. */
static bool seed_run(uint64_t seed, struct totals *totals, uint64_t *ret_signature, char ret_violation[512]) {
    struct scene scene = {.seed = seed, .account = ACCOUNT("scene")};
    random_seed(&scene.random, seed, 0);
    EXPECT(env_disk_create(&scene.account, &scene.disk) == TROUPE_OK);
    scene.text_bytes_max = random_below(&scene.random, 8) == 0 ? TEXT_BYTES_MAX : 300;
    for (unsigned life = 0; life < LIVES && scene.violation[0] == '\0'; life++) {
        life_run(&scene, life);
        if (scene.violation[0] == '\0')
            scene_inspect(&scene);
    }
    env_disk_free(scene.disk);
    EXPECT(scene.account.blocks == 0);
    totals->cuts += scene.cuts;
    totals->rows += scene.acknowledged;
    totals->recovered += scene.recovered;
    totals->events += scene.events;
    totals->virtual_ns += scene.virtual_ns;
    *ret_signature = scene.signature;
    memcpy(ret_violation, scene.violation, 512);
    return scene.violation[0] == '\0';
}

int main(int argc, char **argv) {
    struct sim_suite suite = sim_suite_start("store_cut_sim", 100, argc, argv);
    struct totals totals = {0};
    for (uint64_t seed = suite.first; seed < suite.first + suite.seeds; seed++) {
        uint64_t signature = 0, replayed = 0;
        struct totals ignored = {0};
        char violation[512];
        if (!seed_run(seed, &totals, &signature, violation))
            return sim_suite_violation(&suite, seed, violation);
        if (seed % 16 == 0 && (!seed_run(seed, &ignored, &replayed, violation) || replayed != signature))
            return sim_suite_violation(&suite, seed, "another signature when replayed");
    }
    char facts[200];
    snprintf(facts, sizeof facts, "%u cuts: %u rows kept, %u of them committed without their answer",
             totals.cuts, totals.rows, totals.recovered);
    return sim_suite_end(&suite, totals.events, totals.virtual_ns, facts);
}
