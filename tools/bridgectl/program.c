/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

bool program_exists(const char *name)
{
    const char *path = getenv("PATH");
    bool found = false;
    for (const char *at = path ? path : ""; *at && !found;) {
        size_t bytes = strcspn(at, ":");
        struct buffer file = {0};
        buffer_append(&file, at, bytes);
        buffer_append_format(&file, "/%s", name);
        found = access(buffer_text(&file), X_OK) == 0;
        buffer_fini(&file);
        at += bytes + (at[bytes] == ':');
    }
    return found;
}

/* A file without a name that holds the input, so that neither side waits for the other. */
static int input_open(const struct buffer *input)
{
    if (!input)
        return open("/dev/null", O_RDONLY | O_CLOEXEC);
    FILE *stream = tmpfile();
    if (!stream)
        return -1;
    bool written =
        fwrite(buffer_text(input), 1, input->bytes, stream) == input->bytes && fflush(stream) == 0;
    int file = written ? dup(fileno(stream)) : -1;
    fclose(stream);
    if (file >= 0)
        lseek(file, 0, SEEK_SET);
    return file;
}

static void child_run(const char *const *argv, const char *directory, int input, int output)
{
    if (dup2(input, STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0 &&
        dup2(output, STDERR_FILENO) >= 0 && (!directory || chdir(directory) == 0))
        execvp(argv[0], (char *const *)(size_t)argv);
    _exit(127);
}

static int child_wait(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int program_run(const char *const *argv, const char *directory, const struct buffer *input,
                struct buffer *output)
{
    int ends[2] = {-1, -1}, file = input_open(input), outcome = -1;
    if (file < 0 || pipe(ends) != 0) {
        if (file >= 0)
            close(file);
        return -1;
    }
    pid_t child = fork();
    if (child == 0)
        child_run(argv, directory, file, ends[1]);
    close(ends[1]);
    close(file);
    char piece[4096];
    for (ssize_t bytes; child > 0 && (bytes = read(ends[0], piece, sizeof piece)) != 0;) {
        if (bytes > 0)
            buffer_append(output, piece, (size_t)bytes);
        else if (errno != EINTR)
            break;
    }
    close(ends[0]);
    if (child > 0)
        outcome = child_wait(child);
    return outcome == 127 ? -1 : outcome;
}
