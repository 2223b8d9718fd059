/* SPDX-License-Identifier: MIT */
/* main.c - runs seeds and tells the story of one that fails, as short as it can be made.
 *
 *     sim --seeds 500             seeds 1 to 500
 *     sim --seed 7                one seed, run twice: the same seed tells the same story
 *     sim --seed 7 --story        with its story
 *     sim --seeds 500 --first     the first seed that fails, as it is
 *     sim --seed 7 --skip 3,5 --without clock,network --workflows 4 --nodes 1 --story
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/metrics.h"
#include "core/event_routes.h"
#include "io/contract_files.h"
#include "world.h"

#define CHUNK 10 /* seeds of one child process, whose end frees what killed nodes left behind */
#define FAULT_TIME_US (60 * SECOND_US)
#define HEALED_TIME_US (1800 * SECOND_US) /* by then everything must have ended */

/* What a child tells its parent. */
struct outcome {
    uint64_t seeds; /* done */
    uint64_t failed_seed;
    bool failed;
    uint64_t hash;
    uint64_t workflows, commits, crashes, freezes, takeovers, events, repeats, calls, spared;
    char failure[1024];
};

static bool is_done(void)
{
    if (sim.failed)
        return true;
    if (!sim.healing && fiber_now_us() > WORLD_START_US + FAULT_TIME_US) {
        sim.healing = true;
        nodes_heal();
        world_tell(TOLD_FAULT, "nothing goes wrong any more");
    }
    return sim.healing && clients_done() && check_all_ended() && reducers_caught_up();
}

static void start_node(void *context) { node_start((int)(intptr_t)context); }

static void run_seed(const struct world_options *options)
{
    struct chance chance = chance_of(options->seed, 1);
    sim.options = *options;
    sim.hash = options->seed;
    sim.healing = sim.failed = false;
    sim.chance = chance_of(options->seed, 2);
    int64_t drawn_nodes = chance_between(&chance, 1, WORLD_NODES_MAX);
    int64_t drawn_workflows = chance_between(&chance, 1, 24);
    if (sim.options.nodes == 0)
        sim.options.nodes = (int)drawn_nodes;
    if (sim.options.workflows == 0)
        sim.options.workflows = (int)drawn_workflows;
    fiber_world_start(options->seed, WORLD_START_US);
    database_start();
    broker_start();
    services_start();
    links_start();
    checks_start();
    nodes_plan_faults();
    reducers_start();
    for (intptr_t i = 0; i < sim.options.nodes; i++)
        fiber_at(WORLD_START_US + chance_between(&chance, 0, SECOND_US), start_node, (void *)i);
    clients_start(sim.options.workflows);
    enum fiber_end end = fiber_world_run(is_done, WORLD_START_US + FAULT_TIME_US + HEALED_TIME_US);
    if (end != FIBER_DONE) {
        struct buffer why = {0};
        check_tell_unfinished(&why);
        world_fail("no progress (%s): %s%s",
                   end == FIBER_LATE    ? "the time is over"
                   : end == FIBER_STUCK ? "nothing can happen any more"
                                        : "too many steps",
                   clients_done() ? "" : "a client waits; ", buffer_text(&why));
        buffer_fini(&why);
    }
    if (!sim.failed)
        check_end();
    if (!sim.failed)
        reducers_check();
    reducers_end();
    checks_end();
    services_end();
    broker_end();
    database_end();
    fiber_world_end();
}

/* -- children -- */

static void run_child(struct outcome *outcome, const struct world_options *options, uint64_t seeds)
{
    memset(&sim.count, 0, sizeof sim.count);
    for (uint64_t i = 0; i < seeds && !outcome->failed; i++) {
        struct world_options one = *options;
        one.seed += i;
        run_seed(&one);
        outcome->hash = sim.hash;
        if (sim.failed) {
            outcome->failed = true;
            outcome->failed_seed = one.seed;
            memcpy(outcome->failure, sim.failure, sizeof outcome->failure);
            break;
        }
        outcome->seeds++;
    }
    outcome->workflows += sim.count.workflows;
    outcome->commits += sim.count.commits;
    outcome->crashes += sim.count.crashes;
    outcome->freezes += sim.count.freezes;
    outcome->takeovers += sim.count.takeovers;
    outcome->events += sim.count.events;
    outcome->repeats += sim.count.repeats;
    outcome->calls += sim.count.calls;
    outcome->spared += sim.count.spared;
}

/* In a process of its own, so that a crash of the code under test is an outcome too. */
static void run_apart(struct outcome *outcome, const struct world_options *options, uint64_t seeds)
{
    uint64_t before = outcome->seeds;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        run_child(outcome, options, seeds);
        fflush(stdout);
        _exit(0);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 0) {
        outcome->failed = true;
        outcome->failed_seed = options->seed + (outcome->seeds - before);
        snprintf(outcome->failure, sizeof outcome->failure, "the program died (status %d)", status);
    }
}

static struct outcome *outcome_new(void)
{
    struct outcome *outcome =
        mmap(NULL, sizeof *outcome, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    BUG_IF(outcome == MAP_FAILED);
    return outcome;
}

static bool still_fails(const struct world_options *options, struct outcome *outcome)
{
    memset(outcome, 0, sizeof *outcome);
    run_apart(outcome, options, 1);
    return outcome->failed;
}

/* Leaves out what the failure does not need: kinds of faults, planned faults, nodes, workflows. */
static void shorten(struct world_options *options)
{
    struct outcome *outcome = outcome_new();
    for (int fault = 0; fault < FAULTS; fault++) {
        struct world_options less = *options;
        less.without |= 1u << fault;
        if (less.without != options->without && still_fails(&less, outcome))
            *options = less;
    }
    for (int i = 0; i < 20; i++) {
        struct world_options less = *options;
        less.skip |= UINT64_C(1) << i;
        if (less.skip != options->skip && still_fails(&less, outcome))
            *options = less;
    }
    for (int count = 1; count < WORLD_NODES_MAX && options->nodes == 0; count++) {
        struct world_options less = *options;
        less.nodes = count;
        if (still_fails(&less, outcome))
            *options = less;
    }
    for (int workflows = 1; workflows < 24 && options->workflows == 0; workflows++) {
        struct world_options less = *options;
        less.workflows = workflows;
        if (still_fails(&less, outcome))
            *options = less;
    }
}

static void print_command(const struct world_options *options)
{
    const char *comma = "";
    printf("\nsee it again:  make sim SEED=%llu SIM_ARGS=\"--story",
           (unsigned long long)options->seed);
    if (options->without != 0)
        printf(" --without ");
    for (int fault = 0; fault < FAULTS; fault++)
        if (options->without >> fault & 1) {
            printf("%s%s", comma, fault_names[fault]);
            comma = ",";
        }
    if (options->skip != 0)
        printf(" --skip ");
    comma = "";
    for (int i = 0; i < 64; i++)
        if (options->skip >> i & 1) {
            printf("%s%d", comma, i);
            comma = ",";
        }
    if (options->nodes != 0)
        printf(" --nodes %d", options->nodes);
    if (options->workflows != 0)
        printf(" --workflows %d", options->workflows);
    printf("\"\n");
}

static int tell_failure(struct world_options options, const struct outcome *outcome, bool story)
{
    options.seed = outcome->failed_seed;
    printf("\nseed %llu FAILED: %s\n", (unsigned long long)options.seed, outcome->failure);
    if (!story) {
        fflush(stdout);
        shorten(&options);
        struct outcome *again = outcome_new();
        sim.keep_story = true;
        printf("the shortest story found:\n");
        run_apart(again, &options, 1);
        printf("seed %llu FAILED: %s\n", (unsigned long long)options.seed, again->failure);
    }
    print_command(&options);
    return 1;
}

/* -- options -- */

static const char *lookup(const char *name, void *context)
{
    static const char *const values[][2] = {
        {"ENVIRONMENT", "development"},
        {"DATABASE_URL", "postgresql://twin@localhost/twin"},
        {"CONTRACTS_DIR", "tests/sim/contracts"},
        {"ORCHESTRATOR_WORKERS", "2"},
        {"ORCHESTRATOR_CONCURRENCY", "3"},
        {"KAFKA_QUEUE_EVENTS_MAX", "1000"},
        {"MAX_WORKFLOW_QUEUE_SIZE", "10"},
        {"BIND_ADDRESS", "127.0.0.1"},
        {"ORCHESTRATOR_STEP_TIMEOUT_MS", "20000"},
    };
    (void)context;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        if (strcmp(values[i][0], name) == 0)
            return values[i][1];
    return NULL;
}

static void prepare(void)
{
    struct buffer faults = {0};
    struct findings findings = {0};
    if (config_load(&sim.config, FOR_ORCHESTRATOR, lookup, NULL, &faults) != 0 ||
        registry_open(&sim.registry, sim.config.contracts_dir, &faults) != ERR_OK) {
        fprintf(stderr, "%s\n", buffer_text(&faults));
        exit(2);
    }
    sim.config.kafka_queue_events_max = 40; /* less than may be configured: it shall become full */
    sim.routes = event_routes_load(sim.config.contracts_dir, config_topic_environment(&sim.config),
                                   &findings);
    BUG_IF(sim.routes == NULL);
    const struct services *services = registry_services(sim.registry);
    const char *names[METRIC_LABEL_VALUES_MAX];
    for (int i = 0; i < services->count; i++)
        names[i] = services->items[i].name;
    metrics_label_values(METRIC_STEP_DURATION, 0, names, services->count);
}

static unsigned read_faults(const char *text)
{
    unsigned bits = 0;
    for (int fault = 0; fault < FAULTS; fault++) {
        const char *found = strstr(text, fault_names[fault]);
        if (found != NULL)
            bits |= 1u << fault;
    }
    return bits;
}

static uint64_t read_numbers(const char *text)
{
    uint64_t bits = 0;
    for (const char *place = text; *place != '\0';) {
        char *end;
        bits |= UINT64_C(1) << (strtoul(place, &end, 10) & 63);
        place = *end == ',' ? end + 1 : end;
        if (end == place && *place != '\0')
            break;
    }
    return bits;
}

struct wish {
    struct world_options options;
    uint64_t seeds;
    bool one, story;
};

static bool read_options(int argc, char **argv, struct wish *wish)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--story") == 0 || strcmp(argv[i], "--first") == 0) {
            wish->story = true; /* of a failure nothing shorter is looked for */
            continue;
        }
        i++;
        if (strcmp(argv[i - 1], "--seeds") == 0)
            wish->seeds = strtoull(value, NULL, 10);
        else if (strcmp(argv[i - 1], "--from") == 0)
            wish->options.seed = strtoull(value, NULL, 10);
        else if (strcmp(argv[i - 1], "--seed") == 0) {
            wish->options.seed = strtoull(value, NULL, 10);
            wish->one = true;
        } else if (strcmp(argv[i - 1], "--without") == 0)
            wish->options.without = read_faults(value);
        else if (strcmp(argv[i - 1], "--skip") == 0)
            wish->options.skip = read_numbers(value);
        else if (strcmp(argv[i - 1], "--nodes") == 0)
            wish->options.nodes = atoi(value);
        else if (strcmp(argv[i - 1], "--workflows") == 0)
            wish->options.workflows = atoi(value);
        else
            return false;
    }
    return true;
}

static int run_one(const struct wish *wish)
{
    struct outcome *first = outcome_new(), *second = outcome_new();
    run_apart(first, &wish->options, 1);
    sim.keep_story = wish->story;
    run_apart(second, &wish->options, 1);
    sim.keep_story = false;
    if (first->hash != second->hash) {
        printf("seed %llu is not the same twice: %016llx, then %016llx\n",
               (unsigned long long)wish->options.seed, (unsigned long long)first->hash,
               (unsigned long long)second->hash);
        return 1;
    }
    if (second->failed)
        return tell_failure(wish->options, second, wish->story);
    printf("seed %llu: ok, %llu workflows, %llu commits, %llu events, %llu kills; the same twice: "
           "%016llx\n",
           (unsigned long long)wish->options.seed, (unsigned long long)second->workflows,
           (unsigned long long)second->commits, (unsigned long long)second->events,
           (unsigned long long)second->crashes, (unsigned long long)second->hash);
    return 0;
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int run_many(const struct wish *wish)
{
    struct outcome *outcome = outcome_new();
    double began = seconds_now();
    bool terminal = isatty(1) != 0;
    for (uint64_t done = 0; done < wish->seeds && !outcome->failed; done += CHUNK) {
        struct world_options options = wish->options;
        options.seed += done;
        run_apart(outcome, &options, wish->seeds - done < CHUNK ? wish->seeds - done : CHUNK);
        if (terminal || (done + CHUNK) % 1000 == 0)
            printf("%s%llu of %llu seeds, %.1f seeds/s%s", terminal ? "\r" : "",
                   (unsigned long long)outcome->seeds, (unsigned long long)wish->seeds,
                   (double)outcome->seeds / (seconds_now() - began), terminal ? "" : "\n");
    }
    if (outcome->failed)
        return tell_failure(wish->options, outcome, wish->story);
    printf("%s%llu seeds passed in %.1f s: %llu workflows, %llu commits, %llu events and %llu "
           "repeats, %llu calls (%llu spared by breakers), %llu kills, %llu stops longer than the "
           "lease, %llu takeovers\n",
           terminal ? "\r" : "", (unsigned long long)outcome->seeds, seconds_now() - began,
           (unsigned long long)outcome->workflows, (unsigned long long)outcome->commits,
           (unsigned long long)outcome->events, (unsigned long long)outcome->repeats,
           (unsigned long long)outcome->calls, (unsigned long long)outcome->spared,
           (unsigned long long)outcome->crashes, (unsigned long long)outcome->freezes,
           (unsigned long long)outcome->takeovers);
    return 0;
}

int main(int argc, char **argv)
{
    struct wish wish = {.options = {.seed = 1}, .seeds = 100};
    if (!read_options(argc, argv, &wish)) {
        fprintf(stderr, "usage: sim [--seeds N] [--from N] [--seed N] [--story] [--first] "
                        "[--without FAULT,...] "
                        "[--skip N,...] [--nodes N] [--workflows N]\n");
        return 2;
    }
    prepare();
    setvbuf(stdout, NULL, _IOLBF, 0); /* what was told before a crash is seen */
    return wish.one ? run_one(&wish) : run_many(&wish);
}
