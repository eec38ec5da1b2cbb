/* Grace periods as their users meet them: what is freed when, the bounds of readers and of retired blocks,
 * reservations, refused memory; and readers on threads beside a writer, for the sanitizers. Fails if a block is
 * freed under a reader, if a bound can be passed, or if a block is forgotten. */
#include "../base/cmocka_base.h"

#include <pthread.h>
#include <stdatomic.h>

#include "runtime/runtime.h"

#define OK(call) assert_int_equal((call), TROUPE_OK)

static struct account account;

static struct grace *begin(unsigned readers_max, size_t retired_max) {
    struct grace *grace = NULL;
    account = ACCOUNT("grace_test");
    OK(grace_create(&account, readers_max, retired_max, &grace));
    return grace;
}

static void end(struct grace *grace) {
    grace_free(grace);
    assert_int_equal(account.bytes, 0);
    assert_int_equal(account.blocks, 0);
}

static size_t waiting(const struct grace *grace) {
    size_t most;
    return grace_retired(grace, &most);
}

static void count_free(void *context, void *block) {
    assert_null(block);
    ++*(unsigned *)context;
}

static void freed_after_every_reader_was_quiescent(void **state) {
    (void)state;
    struct grace *grace = begin(3, 10);
    unsigned freed = 0, readers[3];
    for (unsigned at = 0; at < 3; at++)
        OK(grace_register(grace, &readers[at]));
    grace_offline(grace, readers[2]);
    OK(grace_retire(grace, count_free, &freed, NULL));
    grace_collect(grace);
    assert_int_equal(freed, 0);
    grace_quiescent(grace, readers[0]);
    grace_collect(grace);
    assert_int_equal(freed, 0);
    grace_quiescent(grace, readers[0]); /* twice the same one is not both */
    grace_collect(grace);
    assert_int_equal(freed, 0);
    grace_quiescent(grace, readers[1]);
    grace_collect(grace);
    assert_int_equal(freed, 1);
    assert_int_equal(waiting(grace), 0);

    /* A quiescent moment before the block was retired counts for nothing. */
    grace_quiescent(grace, readers[0]);
    grace_quiescent(grace, readers[1]);
    OK(grace_retire(grace, count_free, &freed, NULL));
    grace_collect(grace);
    assert_int_equal(freed, 1);
    grace_offline(grace, readers[0]);
    grace_unregister(grace, readers[1]);
    grace_collect(grace);
    assert_int_equal(freed, 2);
    end(grace);
}

/* What is retired while a period runs waits for the next one. */
static void periods_follow_each_other(void **state) {
    (void)state;
    struct grace *grace = begin(2, 100);
    unsigned freed = 0, reader;
    OK(grace_register(grace, &reader));
    OK(grace_retire(grace, count_free, &freed, NULL));
    grace_collect(grace); /* begins a period */
    OK(grace_retire(grace, count_free, &freed, NULL));
    OK(grace_retire(grace, count_free, &freed, NULL));
    grace_collect(grace);
    assert_int_equal(freed, 0);
    grace_quiescent(grace, reader);
    grace_collect(grace); /* ends it and begins the next */
    assert_int_equal(freed, 1);
    grace_collect(grace);
    assert_int_equal(freed, 1);
    grace_quiescent(grace, reader);
    grace_collect(grace);
    assert_int_equal(freed, 3);
    size_t most;
    assert_int_equal(grace_retired(grace, &most), 0);
    assert_int_equal(most, 3);
    end(grace);
}

static void retired_blocks_are_bounded(void **state) {
    (void)state;
    struct grace *grace = begin(1, 4);
    unsigned freed = 0, reader;
    OK(grace_register(grace, &reader));
    for (unsigned at = 0; at < 4; at++)
        OK(grace_retire(grace, count_free, &freed, NULL));
    assert_int_equal(grace_retire(grace, count_free, &freed, NULL), TROUPE_FULL);
    assert_int_equal(grace_reserve(grace, 1), TROUPE_FULL);
    grace_collect(grace);
    grace_quiescent(grace, reader);
    grace_collect(grace);
    assert_int_equal(freed, 4);
    OK(grace_reserve(grace, 3));
    assert_int_equal(grace_reserve(grace, 2), TROUPE_FULL);
    OK(grace_reserve(grace, 1));
    grace_unreserve(grace, 4);
    assert_int_equal(waiting(grace), 0);
    end(grace);
}

struct noded {
    struct grace_node node;
    unsigned *freed;
};

static void noded_free(void *context, struct grace_node *node) {
    struct noded *noded = (struct noded *)(void *)node;
    ++*noded->freed;
    memory_free(context, noded);
}

/* Blocks with a node of their own: reserved before, so that deferring cannot fail; grace_free runs the rest. */
static void reserved_blocks_are_deferred(void **state) {
    (void)state;
    struct grace *grace = begin(1, 8);
    unsigned freed = 0, reader;
    OK(grace_register(grace, &reader));
    OK(grace_reserve(grace, 3));
    for (unsigned at = 0; at < 2; at++) {
        struct noded *noded = memory_alloc(&account, sizeof(*noded));
        assert_non_null(noded);
        *noded = (struct noded){.node = {.fn = noded_free, .context = &account}, .freed = &freed};
        grace_defer(grace, &noded->node);
    }
    grace_unreserve(grace, 1);
    assert_int_equal(waiting(grace), 2);
    grace_collect(grace);
    OK(grace_retire(grace, count_free, &freed, NULL));
    assert_int_equal(freed, 0);
    end(grace);
    assert_int_equal(freed, 3); /* two that waited, one that had not begun to */
    grace_free(NULL);
}

static void readers_are_bounded_and_recycled(void **state) {
    (void)state;
    struct grace *grace = begin(2, 1);
    unsigned readers[2], third;
    OK(grace_register(grace, &readers[0]));
    OK(grace_register(grace, &readers[1]));
    assert_int_equal(grace_register(grace, &third), TROUPE_LIMIT);
    grace_unregister(grace, readers[0]);
    OK(grace_register(grace, &third));
    assert_int_equal(third, readers[0]);
    end(grace);
}

/* A block freed by fn may retire another one. */
struct chain {
    struct grace *grace;
    unsigned left;
};

static void chain_free(void *context, void *block) {
    struct chain *chain = block;
    (void)context;
    if (chain->left-- > 0)
        OK(grace_retire(chain->grace, chain_free, NULL, chain));
}

static void freeing_may_retire(void **state) {
    (void)state;
    struct grace *grace = begin(1, 4);
    struct chain chain = {.grace = grace, .left = 2};
    OK(grace_retire(grace, chain_free, NULL, &chain));
    for (unsigned at = 0; at < 3; at++)
        grace_collect(grace);
    assert_int_equal(waiting(grace), 0);
    assert_int_equal(chain.left, UINT32_MAX);
    end(grace);
}

static void refused_memory_leaks_nothing(void **state) {
    (void)state;
    FOR_EACH_FAILING_ALLOCATION(n) {
        struct grace *grace = NULL;
        unsigned freed = 0;
        account = ACCOUNT("grace_test");
        enum troupe_error error = grace_create(&account, 2, 2, &grace);
        if (error == TROUPE_OK) {
            error = grace_retire(grace, count_free, &freed, NULL);
            assert_int_equal(waiting(grace), error == TROUPE_OK);
        }
        assert_int_equal(error, memory_fail_fired() ? TROUPE_NOMEM : TROUPE_OK);
        assert_int_equal(freed, 0);
        end(grace);
    }
}

/* ---- threads: readers follow a pointer that the writer keeps replacing ---- */

#define READERS 3
#define REPLACEMENTS 4000

struct shared {
    struct grace *grace;
    _Atomic(uint64_t *) block; /* release by the writer, acquire by readers */
    _Atomic bool over;
};

static void block_poison(void *context, void *block) {
    (void)context;
    memset(block, 0xdd, 2 * sizeof(uint64_t));
    memory_free(&account, block);
}

static void *follow(void *arg) {
    struct shared *shared = arg;
    unsigned reader, rounds = 0;
    OK(grace_register(shared->grace, &reader));
    while (!atomic_load(&shared->over)) {
        for (unsigned looks = 0; looks < 20; looks++) {
            const uint64_t *block = atomic_load_explicit(&shared->block, memory_order_acquire);
            CHECK(block[0] + block[1] == UINT64_MAX); /* whole, and not freed */
        }
        grace_quiescent(shared->grace, reader);
        if (++rounds % 64 == 0) {
            grace_offline(shared->grace, reader);
            grace_collect(shared->grace);
            grace_online(shared->grace, reader);
        }
    }
    grace_unregister(shared->grace, reader);
    return NULL;
}

static uint64_t *block_new(uint64_t value) {
    uint64_t *block = memory_alloc(&account, 2 * sizeof(uint64_t));
    assert_non_null(block);
    block[0] = value;
    block[1] = UINT64_MAX - value;
    return block;
}

static void readers_beside_a_writer(void **state) {
    (void)state;
    struct shared shared = {.grace = begin(READERS, 64)};
    pthread_t threads[READERS];
    atomic_store(&shared.block, block_new(0));
    for (unsigned at = 0; at < READERS; at++)
        assert_int_equal(pthread_create(&threads[at], NULL, follow, &shared), 0);
    for (uint64_t value = 1; value <= REPLACEMENTS; value++) {
        while (grace_reserve(shared.grace, 1) != TROUPE_OK) /* the bound: wait for readers */
            grace_collect(shared.grace);
        grace_unreserve(shared.grace, 1);
        uint64_t *old = atomic_exchange_explicit(&shared.block, block_new(value), memory_order_acq_rel);
        OK(grace_retire(shared.grace, block_poison, NULL, old));
        grace_collect(shared.grace);
    }
    atomic_store(&shared.over, true);
    for (unsigned at = 0; at < READERS; at++)
        assert_int_equal(pthread_join(threads[at], NULL), 0);
    size_t most;
    IGNORE(grace_retired(shared.grace, &most) > 64, "the most is what counts");
    assert_in_range(most, 1, 64);
    memory_free(&account, atomic_load(&shared.block));
    end(shared.grace);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(freed_after_every_reader_was_quiescent),
        cmocka_unit_test(periods_follow_each_other),
        cmocka_unit_test(retired_blocks_are_bounded),
        cmocka_unit_test(reserved_blocks_are_deferred),
        cmocka_unit_test(readers_are_bounded_and_recycled),
        cmocka_unit_test(freeing_may_retire),
        cmocka_unit_test(refused_memory_leaks_nothing),
        cmocka_unit_test(readers_beside_a_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
