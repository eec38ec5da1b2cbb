/* Every allocation, and every call to the disk, refused in turn on the path of a whole run, start to end, and of its
 * resume: no crash, no leak, an error that says what and where, and nothing acknowledged is lost.
 *
 *   run_refusal_sim [--seeds N] [--first S]      N: how far apart the refusals of memory are (1: every one)
 *
 * The quick tier takes every 151st allocation and every 38th call; ./dev soak every one. */
#include "run_world.h"
#include "sim_suite.h"

#include <stdio.h>

#include "../store/env_wrap.h"

enum refusal { REFUSE_MEMORY, REFUSE_DISK, REFUSE_DISK_FULL, REFUSALS };
static const char *const refusal_names[REFUSALS] = {"allocation", "call to the disk", "space on the disk"};

static void arm(enum refusal refusal, int64_t n) {
    if (refusal == REFUSE_MEMORY)
        memory_fail_after(n);
    else
        env_wrap_arm((uint64_t)n, refusal == REFUSE_DISK_FULL,
                     refusal == REFUSE_DISK ? TROUPE_IO : TROUPE_DISK_FULL);
}

static bool disarm(enum refusal refusal) {
    bool fired = refusal == REFUSE_MEMORY ? memory_fail_fired() != 0 : env_wrap.fired;
    memory_fail_after(0);
    env_wrap_arm(0, false, TROUPE_OK);
    return fired;
}

/* A run with the n-th refused, then resumed in peace (or begun anew, when it had not come into being). True: the
 * refusal was reached. */
static bool live_with(struct run_world *world, enum refusal refusal, int64_t n, bool in_resume) {
    struct run_life life = {.seed = 5};
    struct run_life_end end = {0};
    run_world_begin(world, 5);
    if (in_resume) { /* the life before was cut short */
        struct run_life cut = {.seed = 4, .power_cut_after_events = 700};
        run_world_live(world, &cut, &end);
        env_disk_power_cut(world->disk, 4);
        life.resume = run_world_exists(world);
        if (!life.resume)
            run_violation(world, "there is nothing to resume");
    }
    arm(refusal, n);
    run_world_live(world, &life, &end);
    bool fired = disarm(refusal);
    if (end.error != TROUPE_OK && end.fault.text[0] == '\0')
        run_violation(world, "%s without a word", error_name(end.error));
    if (end.error != TROUPE_OK && !fired)
        run_violation(world, "%s without a refusal: %.300s", error_name(end.error), end.fault.text);
    bool there = run_world_exists(world);
    if (!there && world->acknowledged > 0)
        run_violation(world, "the run is gone");
    if (there && end.error != TROUPE_OK && world->violation[0] == '\0') {
        struct run_life again = {.resume = true, .seed = 6};
        struct run_life_end second = {0};
        run_world_live(world, &again, &second);
        /* a run whose creation was refused half way is told to be none; the user begins anew */
        if (second.error != TROUPE_OK && (world->acknowledged > 0 || second.fault.text[0] == '\0'))
            run_violation(world, "then resumed: %s: %.300s", error_name(second.error), second.fault.text);
        there = second.error == TROUPE_OK;
    }
    if (there)
        run_world_check(world, end.error == TROUPE_OK || there);
    run_world_end(world);
    return fired;
}

int main(int argc, char **argv) {
    struct sim_suite suite = sim_suite_start("run_refusal_sim", 151, argc, argv);
    static struct run_world world;
    uint64_t events = 0;
    char facts[300];
    size_t length = 0;
    for (unsigned in_resume = 0; in_resume < 2; in_resume++)
        for (enum refusal refusal = 0; refusal < REFUSALS; refusal++) {
            int64_t step = refusal == REFUSE_MEMORY ? (int64_t)suite.seeds : (int64_t)(suite.seeds + 3) / 4,
                    taken = 0;
            for (int64_t n = (int64_t)suite.first;; n += step) {
                bool fired = live_with(&world, refusal, n, in_resume != 0);
                events += world.events;
                if (world.violation[0] != '\0') {
                    printf("%s %s %lld refused: ", in_resume ? "resume," : "start,", refusal_names[refusal],
                           (long long)n);
                    return sim_suite_violation(&suite, (uint64_t)n, world.violation);
                }
                if (!fired)
                    break;
                taken++;
            }
            length +=
                (size_t)snprintf(facts + length, sizeof facts - length, "%s%lld x %s%s", length ? ", " : "",
                                 (long long)taken, refusal_names[refusal], in_resume ? " on resume" : "");
        }
    printf("run_refusal_sim: one of %llu, %llu events: %s; nothing acknowledged lost, nothing leaked\n",
           (unsigned long long)suite.seeds, (unsigned long long)events, facts);
    return 0;
}
