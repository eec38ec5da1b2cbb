/* replay: a target without a fuzzer. Runs LLVMFuzzerTestOneInput over the files and directories it is given,
 * whole and cut short at every length up to PREFIX_MAX (a cheap family of nasty inputs that needs no clang).
 *
 * One thread. Each input is a block of exactly its size, so that a sanitizer sees a read past its end. Exit
 * status: 0 when all ran, 1 when a file cannot be read or there was none; a failing input ends the process,
 * and its name is the last line on standard error. */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define PREFIX_MAX 400
#define INPUT_MAX (4u << 20)

static unsigned inputs;

static void run_bytes(const uint8_t *bytes, size_t length) {
    uint8_t *exact = malloc(length > 0 ? length : 1);
    CHECK(exact != NULL);
    if (length > 0)
        memcpy(exact, bytes, length);
    CHECK(LLVMFuzzerTestOneInput(exact, length) == 0);
    free(exact);
}

static bool run_file(const char *path) {
    static uint8_t bytes[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return false;
    }
    size_t length = fread(bytes, 1, sizeof bytes, file);
    bool read = !ferror(file);
    fclose(file);
    fprintf(stderr, "%s\n", path);
    run_bytes(bytes, length);
    for (size_t prefix = 0; prefix < length && prefix <= PREFIX_MAX; prefix++)
        run_bytes(bytes, prefix);
    inputs++;
    return read;
}

static bool run_directory(const char *path) {
    DIR *directory = opendir(path);
    if (directory == NULL) {
        perror(path);
        return false;
    }
    bool good = true;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char inside[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
        good = run_file(inside) && good;
    }
    closedir(directory);
    return good;
}

int main(int argc, char **argv) {
    bool good = true;
    for (int i = 1; i < argc; i++) {
        struct stat about;
        bool directory = stat(argv[i], &about) == 0 && S_ISDIR(about.st_mode);
        good = (directory ? run_directory(argv[i]) : run_file(argv[i])) && good;
    }
    fprintf(stderr, "%u inputs\n", inputs);
    return good && inputs > 0 ? 0 : 1;
}
