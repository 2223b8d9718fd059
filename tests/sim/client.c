/* SPDX-License-Identifier: MIT */
/* client.c - those who submit: with a key they ask until they are told, whatever gets lost on the way. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "world.h"

#define CLIENTS 4
#define LATE_US (60 * SECOND_US)
#define PAUSE_MAX_US (3 * SECOND_US)

static struct {
    struct process *process;
    int left; /* clients that have not done yet */
    int workflows;
    int next;
} clients;

static char *text_of(const struct http_reply *reply, const char *member)
{
    struct json *object = json_parse(buffer_text(&reply->body), reply->body.bytes, NULL, NULL);
    char *text = must_strdup(json_string_or(json_get(object, member), ""));
    json_release(object);
    return text;
}

/* The same number is the same submission, whoever makes it. */
static void write_body(int number, struct buffer *body)
{
    static const char *const names[] = {"sim_chain", "sim_fan", "metadata_stamping", "sim_parent"};
    struct chance chance = chance_of(sim.options.seed, 0xb0d7 + (uint64_t)number);
    const char *name = names[chance_between(&chance, 0, 3)];
    buffer_clear(body);
    if (strcmp(name, "metadata_stamping") == 0)
        buffer_append_format(
            body, "{\"workflow\":\"%s\",\"namespace\":\"n%d\",\"input\":{\"content\":\"c%d\"}}",
            name, number % 3, number);
    else
        buffer_append_format(body,
                             "{\"workflow\":\"%s\",\"namespace\":\"n%d\",\"input\":{\"n\":%d,"
                             "\"items\":[1,2,3]}}",
                             name, number % 3, number);
}

/* Asks some node until the answer is one that ends the matter; its status. */
static int insist(struct chance *chance, const char *path, const char *key, const char *body,
                  struct http_reply *reply)
{
    for (;;) {
        int place = (int)chance_between(chance, 0, sim.options.nodes - 1);
        http_ask(place, "POST", path, key, body, chance_between(chance, 1, 20) * SECOND_US, reply);
        bool later = reply->status == 0 || reply->status == 429 || reply->status >= 500;
        if (!later || key == NULL)
            return reply->status;
        fiber_sleep_us(chance_between(chance, 1000, PAUSE_MAX_US));
    }
}

static void command(struct chance *chance, const char *id, const char *name,
                    struct http_reply *reply)
{
    char path[128];
    snprintf(path, sizeof path, "/api/v1/workflows/%s/%s", id, name);
    int status = insist(chance, path, "-", "", reply);
    if (status != 200 && status != 202 && status != 409)
        world_fail("%s of %s was answered %d %s", name, id, status, buffer_text(&reply->body));
    world_tell(TOLD_CLIENT, "%s of %s: %d", name, id, status);
    if (status == 409 && strcmp(name, "retry") != 0)
        check_has_ended(id, name);
}

static void meddle(struct chance *chance, const char *id, struct http_reply *reply)
{
    int64_t draw = chance_between(chance, 0, 9);
    fiber_sleep_us(chance_between(chance, 1, 6 * SECOND_US));
    if (draw == 0)
        command(chance, id, "cancel", reply);
    else if (draw == 1) {
        command(chance, id, "pause", reply);
        fiber_sleep_us(chance_between(chance, 1, 10 * SECOND_US));
        command(chance, id, "resume", reply);
    } else if (draw == 2) {
        command(chance, id, "retry", reply);
    }
}

static void submit(struct chance *chance, int number, struct http_reply *reply)
{
    struct buffer body = {0};
    char key[32];
    bool keyed = number % 5 != 4;
    snprintf(key, sizeof key, "key-%d", number);
    write_body(number, &body);
    const char *path =
        chance_one_in(chance, 3) ? "/api/v1/workflows?wait=3000" : "/api/v1/workflows";
    int status = insist(chance, path, keyed ? key : NULL, buffer_text(&body), reply);
    if (status == 200 || status == 202) {
        char *id = text_of(reply, "workflow_id");
        world_tell(TOLD_CLIENT, "%s is %s: %d", keyed ? key : "(no key)", id, status);
        check_accepted(id, keyed ? key : NULL);
        if (keyed && chance_one_in(chance, 4)) { /* says it once more */
            status = insist(chance, "/api/v1/workflows", key, buffer_text(&body), reply);
            char *other = text_of(reply, "workflow_id");
            if (strcmp(id, other) != 0)
                world_fail("%s was answered with %s, and later %d with %s", key, id, status, other);
            free(other);
        }
        meddle(chance, id, reply);
        free(id);
    } else if (keyed || (status != 0 && status != 429 && status < 500)) {
        world_fail("%s was answered %d %s", key, status, buffer_text(&reply->body));
    }
    buffer_fini(&body);
}

static void *run(void *context)
{
    struct chance chance = chance_of(sim.options.seed, 0xc11e47 + (uint64_t)(uintptr_t)context);
    struct http_reply reply = {0};
    while (clients.next < clients.workflows) {
        int number = clients.next;
        bool shared = number % 5 != 4 && chance_one_in(&chance, 4); /* another one says it too */
        clients.next += !shared;
        fiber_sleep_us(chance_between(&chance, 1, 4 * SECOND_US));
        submit(&chance, number, &reply);
    }
    clients.left--;
    buffer_fini(&reply.body);
    return NULL;
}

/* A request to pause that nobody waits for any more may arrive late, after the one to resume. */
static void *resume_late(void *context)
{
    struct chance chance = chance_of(sim.options.seed, 0x1a7e);
    struct http_reply reply = {0};
    (void)context;
    for (;;) {
        fiber_sleep_us(LATE_US);
        const char *id = sim.healing ? check_paused() : NULL;
        if (id != NULL)
            command(&chance, id, "resume", &reply);
    }
    return NULL;
}

void clients_start(int workflows)
{
    clients.process = process_new("clients");
    clients.left = CLIENTS;
    clients.workflows = workflows;
    clients.next = 0;
    for (uintptr_t i = 0; i < CLIENTS; i++)
        process_start(clients.process, run, (void *)i); /* NOLINT: a number */
    process_start(clients.process, resume_late, NULL);
}

bool clients_done(void) { return clients.left == 0; }
