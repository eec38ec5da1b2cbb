/* Accounted memory over malloc: a 16-byte header before each block holds its size and its account.
 * Invariants: an account's bytes and blocks are the sums over its live blocks; a block is freed to the
 * account it came from (checked). A limit is never exceeded, not even for a moment by what succeeds. Threads:
 * any. The counters order nothing, so they are relaxed; whoever reads them as exact has joined the threads
 * that changed them. */
#include "base/account.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct header {
    uint64_t size; /* bytes asked for; the top byte is log2 of the alignment of aligned blocks, else 0 */
    struct account *account;
};
_Static_assert(sizeof(struct header) == 16, "blocks stay 16-byte aligned");
_Static_assert(_Alignof(max_align_t) >= 16, "malloc gives 16-byte alignment");

#define SIZE_MASK ((UINT64_C(1) << 56) - 1)
#define SIZE_MAX_BLOCK (UINT64_C(1) << 46) /* beyond any address space; keeps sums from overflowing */

/* Allocations left until one is refused; 0: off. Tests only, so the fast path is one relaxed load. */
static _Atomic int64_t fail_countdown;
static _Atomic int fail_reached;

void memory_fail_after(int64_t n) {
    CHECK(n >= 0);
    atomic_store(&fail_reached, 0);
    atomic_store(&fail_countdown, n);
}

int memory_fail_fired(void) {
    return atomic_load(&fail_reached);
}

static bool refused(void) {
    /* Relaxed: pairs with nothing. A test sets the count before it starts the threads that allocate. */
    int64_t left = atomic_load_explicit(&fail_countdown, memory_order_relaxed);
    if (__builtin_expect(left == 0, 1))
        return false;
    while (left > 0)
        if (atomic_compare_exchange_weak(&fail_countdown, &left, left - 1)) {
            if (left > 1)
                return false;
            atomic_store(&fail_reached, 1);
            return true;
        }
    return false;
}

static bool charge(struct account *account, uint64_t bytes) {
    int64_t before = atomic_fetch_add_explicit(&account->bytes, (int64_t)bytes, memory_order_relaxed);
    if (account->limit_bytes == 0 || before + (int64_t)bytes <= account->limit_bytes)
        return true;
    atomic_fetch_sub_explicit(&account->bytes, (int64_t)bytes, memory_order_relaxed);
    return false;
}

static void discharge(struct account *account, uint64_t bytes) {
    atomic_fetch_sub_explicit(&account->bytes, (int64_t)bytes, memory_order_relaxed);
}

bool account_charge(struct account *account, size_t bytes, bool refusable) {
    if (charge(account, bytes))
        return true;
    if (refusable)
        return false;
    atomic_fetch_add_explicit(&account->bytes, (int64_t)bytes, memory_order_relaxed);
    return true;
}

void account_discharge(struct account *account, size_t bytes) {
    discharge(account, bytes);
}

void *memory_alloc(struct account *account, size_t bytes) {
    CHECK(account != NULL);
    if (refused() || bytes > SIZE_MAX_BLOCK || !charge(account, bytes))
        return NULL;
    struct header *header = calloc(1, sizeof(*header) + bytes);
    if (header == NULL) {
        discharge(account, bytes);
        return NULL;
    }
    header->size = bytes;
    header->account = account;
    atomic_fetch_add_explicit(&account->blocks, 1, memory_order_relaxed);
    return header + 1;
}

void *memory_alloc_aligned(struct account *account, size_t alignment, size_t bytes) {
    CHECK(account != NULL);
    CHECK(alignment > 0 && (alignment & (alignment - 1)) == 0 && alignment <= (1U << 30));
    if (alignment <= 16)
        return memory_alloc(account, bytes);
    if (refused() || bytes > SIZE_MAX_BLOCK || !charge(account, bytes))
        return NULL;
    /* One alignment unit in front keeps the header next to the block, where memory_free looks. */
    size_t total = (alignment + bytes + alignment - 1) & ~(alignment - 1);
    char *raw = aligned_alloc(alignment, total);
    if (raw == NULL) {
        discharge(account, bytes);
        return NULL;
    }
    memset(raw, 0, total);
    struct header *header = (struct header *)(void *)(raw + alignment) - 1;
    header->size = bytes | (uint64_t)__builtin_ctzl(alignment) << 56;
    header->account = account;
    atomic_fetch_add_explicit(&account->blocks, 1, memory_order_relaxed);
    return header + 1;
}

void *memory_resize(struct account *account, void *block, size_t bytes) {
    if (block == NULL)
        return memory_alloc(account, bytes);
    struct header *header = (struct header *)block - 1;
    CHECK(header->account == account && header->size <= SIZE_MASK);
    uint64_t before = header->size;
    if (refused() || bytes > SIZE_MAX_BLOCK)
        return NULL;
    if (bytes > before && !charge(account, bytes - before))
        return NULL;
    struct header *moved = realloc(header, sizeof(*moved) + bytes);
    if (moved == NULL) {
        if (bytes > before)
            discharge(account, bytes - before);
        return NULL;
    }
    moved->size = bytes;
    if (bytes > before)
        memset((char *)(moved + 1) + before, 0, bytes - before);
    else
        discharge(account, before - bytes);
    return moved + 1;
}

char *memory_text(struct account *account, const char *text) {
    size_t bytes = strlen(text) + 1;
    char *copy = memory_alloc(account, bytes);
    if (copy != NULL)
        memcpy(copy, text, bytes);
    return copy;
}

void memory_free(struct account *account, void *block) {
    if (block == NULL)
        return;
    struct header *header = (struct header *)block - 1;
    CHECK(header->account == account);
    unsigned shift = (unsigned)(header->size >> 56);
    discharge(account, header->size & SIZE_MASK);
    atomic_fetch_sub_explicit(&account->blocks, 1, memory_order_relaxed);
    header->account = NULL; /* a second free of the block fails the check above, while the memory is ours */
    free(shift == 0 ? (char *)header : (char *)block - (UINT64_C(1) << shift));
}

void *memory_library_alloc(size_t bytes) {
    return refused() ? NULL : malloc(bytes);
}

void *memory_library_resize(void *block, size_t bytes) {
    return refused() ? NULL : realloc(block, bytes);
}

void memory_library_free(void *block) {
    free(block);
}
