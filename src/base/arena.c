/* Arena blocks double from 1 KiB to 256 KiB; what does not fit in a block of that size gets one of its own.
 * Invariants: memory handed out is zero and 16-byte aligned; `used` <= `size` of the newest block.
 * Threads: one at a time.
 * Memory:  the blocks belong to the arena's account. */
#include "base/arena.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

struct arena_block {
    struct arena_block *next;
    size_t size;
    /* the bytes follow, 16-byte aligned */
};
_Static_assert(sizeof(struct arena_block) % 16 == 0, "contents stay aligned");

#define BLOCK_FIRST ((size_t)1024)
#define BLOCK_LAST ((size_t)256 * 1024)

void arena_init(struct arena *arena, struct account *account) {
    *arena = (struct arena){.account = account};
}

static char *block_bytes(struct arena_block *block) {
    return (char *)(block + 1);
}

static struct arena_block *block_new(struct arena *arena, size_t size) {
    struct arena_block *block = memory_alloc(arena->account, sizeof(*block) + size);
    if (block != NULL)
        block->size = size;
    return block;
}

void *arena_alloc(struct arena *arena, size_t bytes) {
    if (bytes > SIZE_MAX / 4)
        return NULL;
    size_t rounded = bytes == 0 ? 16 : (bytes + 15) & ~(size_t)15;
    if (rounded <= arena->size - arena->used) {
        void *at = block_bytes(arena->blocks) + arena->used;
        arena->used += rounded;
        arena->total += rounded;
        return at;
    }
    size_t next = arena->size == 0 ? BLOCK_FIRST : arena->size * 2;
    next = next > BLOCK_LAST ? BLOCK_LAST : next;
    if (rounded > next / 4 && arena->blocks != NULL) {
        /* A large piece goes behind the newest block, whose rest stays usable. */
        struct arena_block *own = block_new(arena, rounded);
        if (own == NULL)
            return NULL;
        own->next = arena->blocks->next;
        arena->blocks->next = own;
        arena->total += rounded;
        return block_bytes(own);
    }
    struct arena_block *block = block_new(arena, rounded > next ? rounded : next);
    if (block == NULL)
        return NULL;
    block->next = arena->blocks;
    arena->blocks = block;
    arena->size = block->size;
    arena->used = rounded;
    arena->total += rounded;
    return block_bytes(block);
}

char *arena_copy(struct arena *arena, const char *text, size_t length) {
    if (length > SIZE_MAX / 8)
        return NULL;
    char *copy = arena_alloc(arena, length + 1);
    if (copy != NULL && length > 0)
        memcpy(copy, text, length);
    return copy;
}

char *arena_format(struct arena *arena, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(length >= 0);
    char *text = arena_alloc(arena, (size_t)length + 1);
    if (text != NULL)
        (void)vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

void arena_free(struct arena *arena) {
    struct arena_block *block = arena->blocks;
    while (block != NULL) {
        struct arena_block *next = block->next;
        memory_free(arena->account, block);
        block = next;
    }
    arena_init(arena, arena->account);
}
