/* SPDX-License-Identifier: MIT */
/* node.c - orchestrators: wired as main.c of the node does, on threads of a simulated process; and what
 * befalls them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/clock.h"
#include "io/migrate.h"
#include "orchestrator/breakers.h"
#include "orchestrator/core/task.h"
#include "orchestrator/forward.h"
#include "orchestrator/owners.h"
#include "orchestrator/ownership.h"
#include "orchestrator/schema.h"
#include "orchestrator/worker.h"
#include "world.h"

#define HAND_OVER_US (7 * SECOND_US)
#define FAULTS_MAX 64
#define FOREVER_US (3 * 3600 * SECOND_US)
#define FAULT_TIME_US (60 * SECOND_US)

struct node nodes[WORLD_NODES_MAX];

static struct {
    int incarnations;
    struct chance chance;
} plan;

struct node *node_of(const struct process *process)
{
    for (int i = 0; i < WORLD_NODES_MAX; i++)
        if (nodes[i].process == process)
            return &nodes[i];
    return NULL;
}

static void again(void *context)
{
    struct node *node = context;
    if (node->process == NULL || !node->process->alive)
        node_start(node->place);
}

static void killed(struct process *process)
{
    struct node *node = node_of(process);
    bool told = node != NULL && node->stopping;
    database_break(process);
    broker_break(process);
    services_break(process);
    links_break(process);
    if (node == NULL)
        return;
    if (!told) {
        world_tell(TOLD_FAULT, "%s is killed, at its effect %llu", process->name,
                   (unsigned long long)process->effects);
        sim.count.crashes++;
    }
    node->up = false;
    int64_t after_us = sim.healing ? SECOND_US : chance_between(&plan.chance, 1, 400) * 50000;
    fiber_at(fiber_now_us() + after_us, again, node);
}

static enum error_code open_parts(struct orchestrator *orchestrator, struct error *error)
{
    struct publisher_options options = {
        .config = orchestrator->config,
        .node_id = orchestrator->node_id,
        .incarnation = WORLD_INCARNATION,
        .registry = orchestrator->registry,
        .routes = orchestrator->routes,
        .database_url = orchestrator->database_url,
        .environment = &orchestrator->environment,
    };
    struct postgres *postgres = postgres_new(orchestrator->database_url, "start", NULL);
    enum error_code code = schema_look(orchestrator, postgres, error);
    postgres_free(postgres);
    if (code == ERR_OK)
        code = breakers_open(&orchestrator->breakers, orchestrator, error);
    if (code == ERR_OK)
        code = publisher_open(&orchestrator->publisher, &options, error);
    if (code != ERR_OK)
        return code;
    publisher_start(orchestrator->publisher);
    orchestrator->pool = postgres_pool_new(orchestrator->database_url, "bridge-orchestrator read",
                                           1, 4, 30, 30, 3600);
    orchestrator->forward = forward_new(8);
    orchestrator->workers_count = (int)orchestrator->config->orchestrator_workers;
    for (int i = 0; i < orchestrator->workers_count; i++)
        orchestrator->workers[i] = worker_start(orchestrator, i);
    breakers_start(orchestrator->breakers);
    return ERR_OK;
}

static struct orchestrator *orchestrator_new(int place)
{
    struct orchestrator *orchestrator = must_calloc(1, sizeof *orchestrator);
    char url[32];
    snprintf(url, sizeof url, "http://node-%d", place);
    orchestrator->config = &sim.config;
    orchestrator->started_us = clock_monotonic_us();
    orchestrator->instance_id = clock_uuid_v7();
    uuid_format(&orchestrator->instance_id, orchestrator->node_id);
    orchestrator->database_url = must_strdup("postgresql://twin");
    orchestrator->registry = sim.registry;
    orchestrator->routes = sim.routes;
    orchestrator->shards = WORLD_SHARDS;
    orchestrator->owners = owners_new();
    memset(orchestrator->environment.token_secret, 7,
           sizeof orchestrator->environment.token_secret);
    orchestrator->environment.timeout_ms = sim.config.orchestrator_workflow_timeout_ms;
    task_credential(orchestrator->environment.token_secret, orchestrator->credential);
    orchestrator->own_url = must_strdup(url);
    return orchestrator;
}

static void stop(struct orchestrator *orchestrator)
{
    (void)ownership_leave(orchestrator->ownership, clock_monotonic_us() + HAND_OVER_US);
    atomic_store(&orchestrator->stopping, true);
    for (int i = 0; i < orchestrator->workers_count; i++)
        worker_halt(orchestrator->workers[i]);
    breakers_stop(orchestrator->breakers);
    ownership_close(orchestrator->ownership);
    publisher_close(orchestrator->publisher, 5000);
}

static void *run(void *context)
{
    struct node *node = context;
    struct orchestrator *orchestrator = orchestrator_new(node->place);
    struct error error = {0};
    node->orchestrator = orchestrator;
    enum error_code code = open_parts(orchestrator, &error);
    node->up = code == ERR_OK;
    if (code == ERR_OK) {
        orchestrator->ownership = ownership_new(orchestrator);
        code = ownership_open(orchestrator->ownership, orchestrator->own_url, &error);
    }
    if (code == ERR_OK) {
        ownership_start(orchestrator->ownership);
        while (!node->stopping)
            (void)fiber_wait(node, INT64_MAX - 1);
    }
    node->stopping = true;
    stop(orchestrator);
    node->up = false;
    world_tell(TOLD_FAULT, "%s has ended%s%s", node->process->name, code == ERR_OK ? "" : ": ",
               error.text);
    process_kill(node->process);
    return NULL;
}

void node_start(int place)
{
    struct node *node = &nodes[place];
    char name[16];
    snprintf(name, sizeof name, "node-%d.%d", place, plan.incarnations++);
    *node = (struct node){.process = process_new(name), .place = place};
    node->process->killed = killed;
    node->process->wall_offset_us = sim.healing ? 0 : chance_between(&plan.chance, -200000, 200000);
    process_start(node->process, run, node);
    world_tell(TOLD_FAULT, "%s starts", name);
}

/* -- what befalls them, drawn before anything runs -- */

struct planned {
    int number;
    enum fault fault;
    int64_t at_us, draw;
};

static void strike_node(const struct planned *planned)
{
    int place = (int)(planned->draw % (sim.options.nodes + 1));
    bool of_reducer = place == sim.options.nodes;
    struct node *node = of_reducer ? NULL : &nodes[place];
    struct process *process =
        of_reducer ? reducer_process((int)(planned->draw >> 20)) : node->process;
    if (process == NULL || !process->alive)
        return;
    int64_t small = 1 + planned->draw / 8 % 30;
    switch ((int)planned->fault) {
    case FAULT_CRASH:
        process->kill_in = small;
        break;
    case FAULT_FREEZE:
        process->freeze_in = small;
        process->freeze_us = (planned->draw / 256 % 4 + 1) * 8 * SECOND_US;
        if (place == 0 && sim.options.nodes > 1 && planned->draw / 1024 % 4 == 0)
            process->freeze_us = FOREVER_US; /* the others must do without it */
        sim.count.freezes++;
        break;
    case FAULT_CLOCK:
        process->wall_offset_us += (planned->draw / 8 % 240 - 120) * SECOND_US;
        break;
    case FAULT_STOP:
        if (node != NULL && node->up) {
            node->stopping = true;
            fiber_wake(node);
        }
        break;
    default:
        break;
    }
    world_tell(TOLD_FAULT, "fault %d: %s of %s", planned->number, fault_names[planned->fault],
               process->name);
}

static void strike(void *context)
{
    const struct planned *planned = context;
    if (!world_faulty(planned->fault))
        return;
    if (planned->fault == FAULT_DATABASE) {
        database_away((planned->draw % 200 + 1) * 50000);
        world_tell(TOLD_FAULT, "fault %d: the database is away", planned->number);
    } else if (planned->fault == FAULT_SICK) {
        service_sick((planned->draw % 20 + 1) * SECOND_US);
        world_tell(TOLD_FAULT, "fault %d: a service is sick", planned->number);
    } else if (planned->fault == FAULT_BROKER) {
        broker_away((int)(planned->draw % (WORLD_PARTITIONS + 1)),
                    (planned->draw / 16 % 20 + 1) * SECOND_US);
        world_tell(TOLD_FAULT, "fault %d: a partition does not answer", planned->number);
    } else {
        strike_node(planned);
    }
}

void nodes_plan_faults(void)
{
    static const enum fault kinds[] = {FAULT_CRASH,  FAULT_CRASH, FAULT_CRASH,
                                       FAULT_FREEZE, FAULT_CLOCK, FAULT_DATABASE,
                                       FAULT_BROKER, FAULT_STOP,  FAULT_SICK};
    static struct planned all[FAULTS_MAX];
    plan.chance = chance_of(sim.options.seed, 0xfa17);
    plan.incarnations = 0;
    memset(nodes, 0, sizeof nodes);
    int count = (int)chance_between(&plan.chance, 0, 20);
    for (int i = 0; i < count; i++) {
        all[i] = (struct planned){.number = i,
                                  .fault = kinds[chance_between(&plan.chance, 0, 8)],
                                  .at_us = chance_between(&plan.chance, 0, FAULT_TIME_US),
                                  .draw = chance_between(&plan.chance, 0, 1 << 30)};
        if ((sim.options.skip >> i & 1) == 0)
            fiber_at(WORLD_START_US + all[i].at_us, strike, &all[i]);
    }
}

void nodes_heal(void)
{
    for (int i = 0; i < sim.options.nodes; i++)
        if (nodes[i].process != NULL)
            nodes[i].process->kill_in = nodes[i].process->freeze_in = 0;
    for (int i = 0; i < 2; i++)
        reducer_process(i)->kill_in = reducer_process(i)->freeze_in = 0;
}
