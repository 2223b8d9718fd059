/* SPDX-License-Identifier: MIT */
/* The files of a corpus through their target, without libFuzzer: run_corpus DIRECTORY|FILE... */
#include <dirent.h>
#include <sys/stat.h>

#include "fuzz.h"

static bool run_file(const char *path)
{
    struct stat about;
    FILE *file = stat(path, &about) == 0 && S_ISREG(about.st_mode) ? fopen(path, "rb") : NULL;
    if (!file)
        return false;
    size_t count = (size_t)about.st_size;
    uint8_t *bytes = must_alloc(count + 1);
    bool whole = fread(bytes, 1, count, file) == count;
    fclose(file);
    if (whole) {
        bytes = must_realloc(bytes, count ? count : 1); /* a look behind its end is seen by ASan */
        (void)LLVMFuzzerTestOneInput(bytes, count);
    }
    free(bytes);
    return whole;
}

static int run_directory(const char *path, DIR *directory)
{
    int files = 0;
    for (struct dirent *entry; (entry = readdir(directory));) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.')
            files += run_file(name);
    }
    return files;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        DIR *directory = opendir(argv[i]);
        int files = directory ? run_directory(argv[i], directory) : run_file(argv[i]);
        if (directory)
            closedir(directory);
        if (files == 0) {
            fprintf(stderr, "%s: no file there to run\n", argv[i]);
            return 1;
        }
        printf("%s: %d\n", argv[i], files);
    }
    return 0;
}
