/* SPDX-License-Identifier: MIT */
#include "io/node.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/metrics.h"
#include "io/log.h"
#include "io/process.h"

static void signal_set(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

static int tell_usage(const char *name, unsigned program, const char *usage, const char *argument)
{
    if (strcmp(argument, "--version") == 0) {
        printf("%s %s\n", name, VERSION);
        return NODE_EXIT_OK;
    }
    struct buffer text = {0};
    config_help(program, usage, &text);
    bool asked = strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0;
    if (!asked)
        fprintf(stderr,
                "%s: unknown argument \"%s\"; options are environment variables, see --help\n",
                name, argument);
    else
        fputs(buffer_text(&text), stdout);
    buffer_fini(&text);
    return asked ? NODE_EXIT_OK : NODE_EXIT_CONFIG;
}

static int load(struct config *config, unsigned program, const char *name)
{
    struct buffer faults = {0};
    int count = config_load(config, program, config_getenv, NULL, &faults);
    char *rest = NULL;
    for (char *line = count > 0 ? strtok_r(faults.data, "\n", &rest) : NULL; line != NULL;
         line = strtok_r(NULL, "\n", &rest))
        fprintf(stderr, "%s: %s\n", name, line);
    buffer_fini(&faults);
    return count;
}

int node_begin(struct node *node, unsigned program, const char *name, const char *usage, int argc,
               char **argv)
{
    *node = (struct node){.name = name, .program = program};
    if (argc > 1)
        return tell_usage(name, program, usage, argv[1]);
    if (load(&node->config, program, name) > 0) {
        config_fini(&node->config);
        return NODE_EXIT_CONFIG;
    }
    sigset_t set;
    signal_set(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    log_init(name, node->config.log_level);
    metrics_init(program);
    process_metrics_start();
    return NODE_GO;
}

int node_fail(struct node *node, const struct error *error)
{
    bool is_setting =
        error->code == ERR_CONFIG || error->code == ERR_SCHEMA || error->code == ERR_NOT_FOUND;
    const char *text = error->text[0] != '\0' ? error->text : error_code_text(error->code);
    fprintf(stderr, "%s: %s\n", node->name, text);
    log_error("start failed", LOG_TEXT("code", error_code_name(error->code)),
              LOG_TEXT("reason", text));
    config_fini(&node->config);
    return is_setting ? NODE_EXIT_CONFIG : NODE_EXIT_FAILED;
}

static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') ||
        strlen(path) >= sizeof address.sun_path)
        return;
    size_t length = strlen(path);
    memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0'; /* a name in the abstract space */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, bytes) < 0)
        log_warning("service manager not told", LOG_TEXT("state", state));
    close(fd);
}

void node_ready(struct node *node, int port)
{
    const char *version = VERSION;
    log_info("ready", LOG_TEXT("version", version),
             LOG_TEXT("environment", node->config.environment), LOG_INT("port", port),
             LOG_INT("pid", getpid()));
    notify("READY=1");
}

static void reload_config(struct node *node, node_reload *reload, void *context)
{
    struct config fresh;
    if (load(&fresh, node->program, node->name) > 0) {
        log_error("reload refused, the old settings stay");
    } else {
        log_set_level(fresh.log_level);
        if (reload != NULL)
            reload(&fresh, context);
        log_info("reloaded", LOG_TEXT("log_level", fresh.log_level));
    }
    config_fini(&fresh);
}

static void *end_when_late(void *argument)
{
    const int64_t *timeout_ms = argument;
    struct timespec left = {*timeout_ms / 1000, *timeout_ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0)
        continue;
    log_error("stop took too long", LOG_INT("timeout_ms", *timeout_ms));
    _exit(NODE_EXIT_FAILED);
}

void node_wait(struct node *node, node_reload *reload, void *context)
{
    static int64_t timeout_ms; /* read by the thread below, which outlives this call */
    sigset_t set;
    int number = 0;
    signal_set(&set);
    for (;;) {
        if (sigwait(&set, &number) != 0)
            continue;
        if (number != SIGHUP)
            break;
        reload_config(node, reload, context);
    }
    log_info("stopping", LOG_INT("signal", number));
    notify("STOPPING=1");
    timeout_ms = node->config.shutdown_timeout_ms;
    pthread_t thread;
    if (pthread_create(&thread, NULL, end_when_late, &timeout_ms) == 0)
        pthread_detach(thread);
}

int node_end(struct node *node)
{
    log_info("stopped");
    config_fini(&node->config);
    return NODE_EXIT_OK;
}
