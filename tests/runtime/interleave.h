/* Small exhaustive interleavings: a few bodies run as coroutines on one thread; before every atomic operation of
 * the code under test they may be switched, and every order of switches is tried, depth first, up to a number of
 * preemptions. Orders are sequentially consistent: weaker ones are ThreadSanitizer's to find.
 *
 * Use: include what declares types first, then this header, then the code under test (so that it is compiled with
 * the hooked atomics). Memory: stacks live as long as the program. */
#ifndef TESTS_RUNTIME_INTERLEAVE_H
#define TESTS_RUNTIME_INTERLEAVE_H

#include <stdatomic.h>
#include <ucontext.h>

#include "base/base.h"

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

/* ThreadSanitizer makes a switch some ten times slower, and has nothing to find on one thread: fewer orders. */
#if defined(__SANITIZE_THREAD__)
#define INTERLEAVE_PREEMPTIONS(count) ((count) < 2U ? (count) : 2U)
#else
#define INTERLEAVE_PREEMPTIONS(count) (count)
#endif
#define INTERLEAVE_BODIES_MAX 4U
#define INTERLEAVE_CHOICES_MAX 4096U
#define INTERLEAVE_STACK_BYTES (256U << 10)

struct interleave {
    void (*setup)(void *context);
    void (*bodies[INTERLEAVE_BODIES_MAX])(void *context);
    unsigned count;
    void (*check)(void *context); /* after all bodies have ended */
    void *context;
    unsigned preemptions_max;
};

struct interleave_body {
    ucontext_t context;
    char *stack;
    void *tsan;
    const _Atomic bool *waits; /* runnable when NULL or false */
    bool ended;
};

static struct {
    const struct interleave *scenario;
    struct interleave_body bodies[INTERLEAVE_BODIES_MAX];
    ucontext_t scheduler;
    void *tsan;
    unsigned running; /* bodies_max: none */
    unsigned depth, preemptions;
    unsigned char chosen[INTERLEAVE_CHOICES_MAX], width[INTERLEAVE_CHOICES_MAX];
} interleave_state;

static inline void interleave_switch(ucontext_t *from, ucontext_t *to, void *tsan) {
#if defined(__SANITIZE_THREAD__)
    __tsan_switch_to_fiber(tsan, 0);
#else
    (void)tsan;
#endif
    CHECK(swapcontext(from, to) == 0);
}

/* Gives the turn back to the scheduler; outside of an exploration nothing happens. */
static inline void interleave_point(void) {
    unsigned running = interleave_state.running;
    if (interleave_state.scenario != NULL && running < INTERLEAVE_BODIES_MAX)
        interleave_switch(&interleave_state.bodies[running].context, &interleave_state.scheduler,
                          interleave_state.tsan);
}

/* As a lock would: not chosen again before *held is false. */
static inline void interleave_wait(const _Atomic bool *held) {
    if (interleave_state.scenario != NULL && interleave_state.running < INTERLEAVE_BODIES_MAX)
        interleave_state.bodies[interleave_state.running].waits = held;
    interleave_point();
}

/* A coroutine lives as long as the program and runs its body once a run: ThreadSanitizer keeps a stack of calls
 * for each, which a coroutine that is thrown away half-way would leave behind. */
static void interleave_enter(unsigned index) {
    for (;;) {
        interleave_state.scenario->bodies[index](interleave_state.scenario->context);
        interleave_state.bodies[index].ended = true;
        interleave_switch(&interleave_state.bodies[index].context, &interleave_state.scheduler,
                          interleave_state.tsan);
    }
}

static inline bool interleave_runnable(const struct interleave_body *body) {
    return !body->ended &&
           (body->waits == NULL || !__atomic_load_n((const bool *)body->waits, __ATOMIC_RELAXED));
}

/* The candidates of this moment, the running body first, so that choice 0 means "go on". */
static inline unsigned interleave_candidates(unsigned last, unsigned candidates[INTERLEAVE_BODIES_MAX]) {
    unsigned count = 0;
    bool goes_on = last < INTERLEAVE_BODIES_MAX && interleave_runnable(&interleave_state.bodies[last]);
    if (goes_on)
        candidates[count++] = last;
    if (goes_on && interleave_state.preemptions == interleave_state.scenario->preemptions_max)
        return count;
    for (unsigned index = 0; index < interleave_state.scenario->count; index++)
        if (index != last && interleave_runnable(&interleave_state.bodies[index]))
            candidates[count++] = index;
    return count;
}

/* Alone, because getcontext returns twice as far as the compiler knows. */
static __attribute__((noinline)) void interleave_start(struct interleave_body *body, unsigned index) {
    CHECK(getcontext(&body->context) == 0);
    body->context.uc_stack.ss_sp = body->stack;
    body->context.uc_stack.ss_size = INTERLEAVE_STACK_BYTES;
    body->context.uc_link = NULL;
    makecontext(&body->context, (void (*)(void))interleave_enter, 1, index);
}

static inline void interleave_prepare(const struct interleave *scenario) {
    for (unsigned index = 0; index < scenario->count; index++) {
        struct interleave_body *body = &interleave_state.bodies[index];
        if (body->stack == NULL) {
            body->stack = malloc(INTERLEAVE_STACK_BYTES);
            CHECK(body->stack != NULL);
#if defined(__SANITIZE_THREAD__)
            body->tsan = __tsan_create_fiber(0);
#endif
            interleave_start(body, index);
        }
        body->ended = false;
        body->waits = NULL;
    }
}

/* One run: follows the choices of the path so far, then goes on with choice 0. */
static inline void interleave_run(const struct interleave *scenario, unsigned replayed) {
    unsigned last = INTERLEAVE_BODIES_MAX, at = 0, candidates[INTERLEAVE_BODIES_MAX], count;
    interleave_state.preemptions = 0;
    scenario->setup(scenario->context);
    interleave_prepare(scenario);
    while ((count = interleave_candidates(last, candidates)) > 0) {
        unsigned choice = 0;
        if (count > 1) {
            CHECK(at < INTERLEAVE_CHOICES_MAX);
            choice = at < replayed ? interleave_state.chosen[at] : 0;
            CHECK(choice < count);
            interleave_state.chosen[at] = (unsigned char)choice;
            interleave_state.width[at] = (unsigned char)count;
            at++;
        }
        interleave_state.preemptions += candidates[choice] != last && candidates[0] == last;
        last = candidates[choice];
        interleave_state.bodies[last].waits = NULL;
        interleave_state.running = last;
        interleave_switch(&interleave_state.scheduler, &interleave_state.bodies[last].context,
                          interleave_state.bodies[last].tsan);
        interleave_state.running = INTERLEAVE_BODIES_MAX;
    }
    for (unsigned index = 0; index < scenario->count; index++)
        CHECK(interleave_state.bodies[index].ended); /* else they wait for each other: a deadlock */
    interleave_state.depth = at;
    scenario->check(scenario->context);
}

/* Tries every schedule; returns how many there were. */
static inline uint64_t interleave_explore(const struct interleave *scenario) {
    uint64_t runs = 0;
    unsigned replayed = 0;
    interleave_state.scenario = scenario;
    interleave_state.running = INTERLEAVE_BODIES_MAX;
#if defined(__SANITIZE_THREAD__)
    interleave_state.tsan = __tsan_get_current_fiber();
#endif
    for (;;) {
        interleave_run(scenario, replayed);
        runs++;
        unsigned at = interleave_state.depth;
        while (at > 0 && interleave_state.chosen[at - 1] + 1U == interleave_state.width[at - 1])
            at--;
        if (at == 0)
            break;
        interleave_state.chosen[at - 1]++;
        replayed = at;
    }
    interleave_state.scenario = NULL;
    return runs;
}

/* ---- the hooked atomics: a point before each ---- */
#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_compare_exchange_weak_explicit
#undef atomic_compare_exchange_strong_explicit
#ifdef __clang__
#define atomic_load_explicit(object, order) (interleave_point(), __c11_atomic_load(object, order))
#define atomic_store_explicit(object, value, order)                                                          \
    (interleave_point(), __c11_atomic_store(object, value, order))
#define atomic_exchange_explicit(object, value, order)                                                       \
    (interleave_point(), __c11_atomic_exchange(object, value, order))
#define atomic_fetch_add_explicit(object, value, order)                                                      \
    (interleave_point(), __c11_atomic_fetch_add(object, value, order))
#define atomic_fetch_sub_explicit(object, value, order)                                                      \
    (interleave_point(), __c11_atomic_fetch_sub(object, value, order))
#define atomic_compare_exchange_strong_explicit(object, expected, value, success, failure)                   \
    (interleave_point(), __c11_atomic_compare_exchange_strong(object, expected, value, success, failure))
#else
#define INTERLEAVE_VALUE(object) __typeof__((void)0, *(object))
#define atomic_load_explicit(object, order)                                                                  \
    __extension__({                                                                                          \
        interleave_point();                                                                                  \
        INTERLEAVE_VALUE(object) interleave_value;                                                           \
        __atomic_load(object, &interleave_value, order);                                                     \
        interleave_value;                                                                                    \
    })
#define atomic_store_explicit(object, value, order)                                                          \
    __extension__({                                                                                          \
        INTERLEAVE_VALUE(object) interleave_value = (value);                                                 \
        interleave_point();                                                                                  \
        __atomic_store(object, &interleave_value, order);                                                    \
    })
#define atomic_exchange_explicit(object, value, order)                                                       \
    __extension__({                                                                                          \
        INTERLEAVE_VALUE(object) interleave_new = (value), interleave_old;                                   \
        interleave_point();                                                                                  \
        __atomic_exchange(object, &interleave_new, &interleave_old, order);                                  \
        interleave_old;                                                                                      \
    })
#define atomic_fetch_add_explicit(object, value, order)                                                      \
    (interleave_point(), __atomic_fetch_add(object, value, order))
#define atomic_fetch_sub_explicit(object, value, order)                                                      \
    (interleave_point(), __atomic_fetch_sub(object, value, order))
#define atomic_compare_exchange_strong_explicit(object, expected, value, success, failure)                   \
    __extension__({                                                                                          \
        INTERLEAVE_VALUE(object) interleave_value = (value);                                                 \
        interleave_point();                                                                                  \
        __atomic_compare_exchange(object, expected, &interleave_value, 0, success, failure);                 \
    })
#endif
#define atomic_compare_exchange_weak_explicit atomic_compare_exchange_strong_explicit

#endif
