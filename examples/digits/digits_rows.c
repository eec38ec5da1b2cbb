/* Rows of the digits data: reading, the stratified split, scaling, and the file that `prepare` leaves for
 * `train`.
 *
 * The split is a function of the seed and the file alone: labels are taken one after another, their rows
 * shuffled with a splitmix64 stream, so every stage that is given the same seed sees the same held-out rows.
 */
#include "digits.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char magic[8] = "digits1\n"; /* native byte order: the file never leaves the machine */

static bool fail(char *error, const char *path, const char *text) {
    snprintf(error, ERROR_SIZE, "%s: %s", path, text);
    return false;
}

static bool row_parse(char *line, struct row *row) {
    char *at = line;
    for (int i = 0; i <= FEATURES; i++) {
        char *end;
        long value = strtol(at, &end, 10);
        if (end == at || value < 0 || value > 16 || (i == FEATURES && value >= CLASSES))
            return false;
        if (i < FEATURES)
            row->pixels[i] = (float)value;
        else
            row->label = (uint8_t)value;
        if (i < FEATURES && *end != ',')
            return false;
        at = end + 1;
        if (i == FEATURES && *end != '\n' && *end != '\r' && *end != '\0')
            return false;
    }
    return true;
}

bool rows_read_csv(const char *path, struct rows *ret_rows, char *error) {
    FILE *file = fopen(path, "re");
    if (!file)
        return fail(error, path, strerror(errno));
    struct rows rows = {0};
    int capacity = 0;
    char line[1024], text[ERROR_SIZE] = "";
    while (text[0] == '\0' && fgets(line, sizeof line, file)) {
        if (rows.count == capacity) {
            capacity = capacity ? 2 * capacity : 2048;
            struct row *grown = realloc(rows.items, (size_t)capacity * sizeof *grown);
            if (!grown) {
                snprintf(text, sizeof text, "out of memory");
                break;
            }
            rows.items = grown;
        }
        rows.items[rows.count] = (struct row){0};
        if (!row_parse(line, &rows.items[rows.count]))
            snprintf(text, sizeof text, "line %d: expected 64 pixels from 0 to 16 and a label from 0 to 9",
                     rows.count + 1);
        else if (++rows.count == ROWS_MAX)
            snprintf(text, sizeof text, "more than %d rows", ROWS_MAX);
    }
    if (text[0] == '\0' && ferror(file))
        snprintf(text, sizeof text, "%s", strerror(errno));
    fclose(file);
    if (text[0] != '\0') {
        rows_free(&rows);
        return fail(error, path, text);
    }
    *ret_rows = rows;
    return true;
}

void rows_free(struct rows *rows) {
    free(rows->items);
    *rows = (struct rows){0};
}

static uint64_t splitmix(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Rows of one label, shuffled, into `order`; returns how many. */
static int label_order(const struct rows *all, int label, uint64_t *state, int *order) {
    int count = 0;
    for (int i = 0; i < all->count; i++)
        if (all->items[i].label == label)
            order[count++] = i;
    for (int i = count - 1; i > 0; i--) {
        int j = (int)(splitmix(state) % (unsigned)(i + 1));
        int other = order[i];
        order[i] = order[j];
        order[j] = other;
    }
    return count;
}

bool rows_split(const struct rows *all, uint64_t seed, struct rows *ret_tuning, struct rows *ret_held_out,
                char *error) {
    int per_label[CLASSES] = {0};
    for (int i = 0; i < all->count; i++)
        per_label[all->items[i].label]++;
    for (int label = 0; label < CLASSES; label++)
        if (per_label[label] < 2 * FOLDS || all->count < 2 * HELD_OUT) {
            snprintf(error, ERROR_SIZE, "%d rows, %d of label %d: too few to hold out %d and make %d folds",
                     all->count, per_label[label], label, HELD_OUT, FOLDS);
            return false;
        }
    struct rows tuning = {.items = calloc((size_t)all->count, sizeof(struct row))};
    struct rows held_out = {.items = calloc(HELD_OUT, sizeof(struct row))};
    int *order = calloc((size_t)all->count, sizeof *order);
    if (!tuning.items || !held_out.items || !order) {
        rows_free(&tuning);
        rows_free(&held_out);
        free(order);
        snprintf(error, ERROR_SIZE, "out of memory");
        return false;
    }
    uint64_t state = seed;
    int seen = 0, taken = 0;
    for (int label = 0; label < CLASSES; label++) {
        int count = label_order(all, label, &state, order);
        /* Rounding the running total spreads HELD_OUT over the labels without drift. */
        seen += count;
        int quota = (int)(((int64_t)seen * HELD_OUT + all->count / 2) / all->count) - taken;
        for (int i = 0; i < count; i++) {
            const struct row *row = &all->items[order[i]];
            if (i < quota)
                held_out.items[held_out.count++] = *row;
            else {
                /* Dealing goes on where the label before stopped, so the folds stay of one size. */
                tuning.items[tuning.count] = *row;
                tuning.items[tuning.count].fold = (uint8_t)(tuning.count % FOLDS);
                tuning.count++;
            }
        }
        taken += quota;
    }
    free(order);
    *ret_tuning = tuning;
    *ret_held_out = held_out;
    return true;
}

bool scaling_find(const char *kind, const struct rows *rows, struct scaling *ret_scaling, char *error) {
    bool unit = strcmp(kind, "unit") == 0, standard = strcmp(kind, "standard") == 0;
    if (!unit && !standard && strcmp(kind, "none") != 0) {
        snprintf(error, ERROR_SIZE, "scale is '%s'; expected none, unit or standard", kind);
        return false;
    }
    for (int f = 0; f < FEATURES; f++) {
        ret_scaling->shift[f] = 0;
        ret_scaling->factor[f] = unit ? 1.0f / 16 : 1;
        if (!standard)
            continue;
        double sum = 0, squares = 0;
        for (int i = 0; i < rows->count; i++)
            sum += rows->items[i].pixels[f];
        double mean = sum / rows->count;
        for (int i = 0; i < rows->count; i++)
            squares += (rows->items[i].pixels[f] - mean) * (rows->items[i].pixels[f] - mean);
        double deviation = sqrt(squares / rows->count);
        ret_scaling->shift[f] = (float)mean;
        ret_scaling->factor[f] =
            deviation > 0 ? (float)(1 / deviation) : 0; /* a constant pixel says nothing */
    }
    return true;
}

void scaling_apply(const struct scaling *scaling, struct rows *rows) {
    for (int i = 0; i < rows->count; i++)
        for (int f = 0; f < FEATURES; f++)
            rows->items[i].pixels[f] = (rows->items[i].pixels[f] - scaling->shift[f]) * scaling->factor[f];
}

bool prepared_write(const char *path, const struct rows *tuning, const struct scaling *scaling, char *error) {
    FILE *file = fopen(path, "we");
    if (!file)
        return fail(error, path, strerror(errno));
    bool written =
        fwrite(magic, sizeof magic, 1, file) == 1 &&
        fwrite(&tuning->count, sizeof tuning->count, 1, file) == 1 &&
        fwrite(scaling, sizeof *scaling, 1, file) == 1 &&
        fwrite(tuning->items, sizeof *tuning->items, (size_t)tuning->count, file) == (size_t)tuning->count;
    int cause = errno;
    if (fclose(file) != 0 && written) {
        written = false;
        cause = errno;
    }
    return written || fail(error, path, strerror(cause));
}

bool prepared_read(const char *path, struct rows *ret_tuning, struct scaling *ret_scaling, char *error) {
    FILE *file = fopen(path, "re");
    if (!file)
        return fail(error, path, strerror(errno));
    char found[sizeof magic];
    struct rows rows = {0};
    bool whole = fread(found, sizeof found, 1, file) == 1 && memcmp(found, magic, sizeof magic) == 0 &&
                 fread(&rows.count, sizeof rows.count, 1, file) == 1 && rows.count > 0 &&
                 rows.count <= ROWS_MAX && fread(ret_scaling, sizeof *ret_scaling, 1, file) == 1;
    if (whole)
        rows.items = malloc((size_t)rows.count * sizeof *rows.items);
    bool read =
        rows.items && fread(rows.items, sizeof *rows.items, (size_t)rows.count, file) == (size_t)rows.count;
    for (int i = 0; read && i < rows.count; i++)
        read = rows.items[i].label < CLASSES && rows.items[i].fold < FOLDS;
    fclose(file);
    if (!read) {
        rows_free(&rows);
        return fail(error, path, whole && !rows.items ? "out of memory" : "not what `prepare` writes");
    }
    *ret_tuning = rows;
    return true;
}
