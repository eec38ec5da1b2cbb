/* sim_content: a file's bytes on the simulated disk, twice: as the machine shows them and as they would be
 * found after a power cut, with the writes between the two.
 *
 * Invariants: `shown` is `kept` with every write of the list applied in order. What a cut leaves is what some
 * disk could have left: a sector shows one of the states it went through, so a later write to it that is kept
 * brings the earlier ones with it, and a truncation is never missing below something later that is kept. Such
 * a sector is 512 bytes; a write that covers several may be torn at each of them.
 *
 * Threads: one. Memory: the disk's. */
#include <string.h>

#include "env/sim_disk.h"

enum { CONTENT_BYTES_FIRST = 4096 };

static void content_reserve(struct env_disk *disk, struct sim_content *content, uint64_t length) {
    if (length <= content->capacity)
        return;
    uint64_t capacity = content->capacity ? content->capacity : CONTENT_BYTES_FIRST;
    while (capacity < length)
        capacity *= 2;
    unsigned char *grown = sim_disk_take(disk, capacity);
    if (content->length)
        memcpy(grown, content->bytes, content->length);
    memory_free(disk->account, content->bytes);
    content->bytes = grown;
    content->capacity = capacity;
}

static void content_put(struct env_disk *disk, struct sim_content *content, uint64_t offset,
                        const void *bytes, uint64_t length) {
    if (length == 0)
        return;
    content_reserve(disk, content, offset + length);
    memcpy(content->bytes + offset, bytes, length);
    if (content->length < offset + length)
        content->length = offset + length;
}

static void content_cut(struct env_disk *disk, struct sim_content *content, uint64_t length) {
    content_reserve(disk, content, length);
    if (length < content->length)
        memset(content->bytes + length, 0, content->length - length);
    content->length = length;
}

/* ---- the list ---- */

static void write_apply(struct sim_inode *file, const struct sim_write *write) {
    if (write->truncates)
        content_cut(file->disk, &file->kept, write->offset);
    else
        content_put(file->disk, &file->kept, write->offset, write->bytes, write->length);
}

static struct sim_write *write_pop(struct sim_inode *file) {
    struct sim_write *write = file->writes;
    file->writes = write->next;
    if (!file->writes)
        file->writes_last = &file->writes;
    file->writes_count--;
    return write;
}

static void write_add(struct sim_inode *file, const struct sim_write *write, const void *bytes) {
    if (!file->writes)
        file->writes_last = &file->writes;
    if (file->writes_count == SIM_UNSETTLED_MAX) { /* a kernel writes back in time, too */
        struct sim_write *oldest = write_pop(file);
        write_apply(file, oldest);
        memory_free(file->disk->account, oldest);
    }
    struct sim_write *made = sim_disk_take(file->disk, sizeof *made + write->length);
    *made = *write;
    made->next = NULL;
    if (bytes != NULL)
        memcpy(made->bytes, bytes, write->length);
    *file->writes_last = made;
    file->writes_last = &made->next;
    file->writes_count++;
}

void sim_content_write(struct sim_inode *file, uint64_t offset, const void *bytes, uint64_t length) {
    if (length == 0)
        return;
    uint64_t before = file->shown.length;
    content_put(file->disk, &file->shown, offset, bytes, length);
    file->disk->bytes_shown += file->shown.length - before;
    write_add(file, &(struct sim_write){.offset = offset, .length = length}, bytes);
}

void sim_content_truncate(struct sim_inode *file, uint64_t length) {
    file->disk->bytes_shown -= file->shown.length;
    content_cut(file->disk, &file->shown, length);
    file->disk->bytes_shown += length;
    write_add(file, &(struct sim_write){.truncates = true, .offset = length}, NULL);
}

void sim_content_settle(struct sim_inode *file) {
    while (file->writes) {
        struct sim_write *write = write_pop(file);
        write_apply(file, write);
        memory_free(file->disk->account, write);
    }
}

/* ---- chance ---- */

/* The newest write that each sector shows, as (number of the write from 1) by sector. */
struct sectors {
    struct map *newest;
    bool any_kept;
};

static uint64_t sector_first(const struct sim_write *write) {
    return write->offset / SIM_SECTOR_BYTES;
}

static uint64_t sector_end(const struct sim_write *write) {
    return (write->offset + write->length + SIM_SECTOR_BYTES - 1) / SIM_SECTOR_BYTES;
}

static void sectors_put(struct sectors *sectors, uint64_t sector, uintptr_t number) {
    enum troupe_error error = map_put_u64(sectors->newest, sector, (void *)number);
    if (error) /* refused: asked for again, as everywhere here */
        error = map_put_u64(sectors->newest, sector, (void *)number);
    CHECK(!error);
    sectors->any_kept = true;
}

/* Draws what becomes of one write; the later ones are drawn. True for a truncation that is kept. */
static bool write_draw(struct sectors *sectors, const struct sim_write *write, uintptr_t number, double keep,
                       struct random_stream *random) {
    bool kept = random_unit(random) < keep, torn = random_below(random, 2) == 0;
    if (write->truncates) {
        kept = kept || sectors->any_kept;
        sectors->any_kept = kept;
        return kept;
    }
    for (uint64_t sector = sector_first(write); sector < sector_end(write); sector++) {
        bool this_one = kept || (torn && random_below(random, 2) == 0);
        if (this_one && !map_get_u64(sectors->newest, sector))
            sectors_put(sectors, sector, number);
    }
    return false;
}

/* The parts of a write whose sectors show it or something newer. */
static void write_apply_drawn(struct sim_inode *file, const struct sim_write *write, uintptr_t number,
                              const struct sectors *sectors) {
    uint64_t end = write->offset + write->length;
    for (uint64_t sector = sector_first(write); sector < sector_end(write); sector++) {
        if ((uintptr_t)map_get_u64(sectors->newest, sector) < number)
            continue;
        uint64_t from = sector * SIM_SECTOR_BYTES, to = from + SIM_SECTOR_BYTES;
        from = from > write->offset ? from : write->offset;
        to = to < end ? to : end;
        content_put(file->disk, &file->kept, from, write->bytes + (from - write->offset), to - from);
    }
}

void sim_content_chance(struct sim_inode *file, struct random_stream *random) {
    if (!file->writes)
        return;
    struct env_disk *disk = file->disk;
    unsigned count = file->writes_count;
    struct sim_write **all = sim_disk_take(disk, count * sizeof(struct sim_write *));
    bool *truncated = sim_disk_take(disk, count);
    for (unsigned i = 0; i < count; i++)
        all[i] = write_pop(file);
    struct sectors sectors = {0};
    enum troupe_error error = map_create(disk->account, &sectors.newest);
    if (error)
        error = map_create(disk->account, &sectors.newest);
    CHECK(!error);
    double keep = (double)random_below(random, 5) / 4; /* some cuts take almost all, some almost nothing */
    for (unsigned i = count; i-- > 0;)
        truncated[i] = write_draw(&sectors, all[i], i + 1, keep, random);
    for (unsigned i = 0; i < count; i++) {
        if (!all[i]->truncates)
            write_apply_drawn(file, all[i], i + 1, &sectors);
        else if (truncated[i])
            content_cut(disk, &file->kept, all[i]->offset);
        memory_free(disk->account, all[i]);
    }
    map_free(sectors.newest);
    memory_free(disk->account, truncated);
    memory_free(disk->account, all);
}

void sim_content_forget(struct sim_inode *file) {
    CHECK(!file->writes);
    content_cut(file->disk, &file->shown, 0);
    content_put(file->disk, &file->shown, 0, file->kept.bytes, file->kept.length);
    file->locker = NULL;
}

void sim_content_free(struct sim_inode *file) {
    while (file->writes)
        memory_free(file->disk->account, write_pop(file));
    memory_free(file->disk->account, file->shown.bytes);
    memory_free(file->disk->account, file->kept.bytes);
}
