/* SPDX-License-Identifier: MIT */
#include "orchestrator/notes.h"

#include <string.h>

#include "orchestrator/api.h"
#include "orchestrator/core/task.h"
#include "orchestrator/forward.h"
#include "orchestrator/owners.h"
#include "orchestrator/worker.h"

#define NOTE_PATH "/api/v1/notes"

static const char *const names[] = {
    [NOTE_ENDED] = "ended", [NOTE_LIVES] = "lives", [NOTE_ORPHAN] = "orphan"};

static void send_to(struct orchestrator *orchestrator, const struct owner *owner,
                    const struct note *note)
{
    struct buffer url = {0}, headers = {0}, body = {0};
    char parent[UUID_TEXT_BYTES], child[UUID_TEXT_BYTES];
    buffer_append_format(&url, "%s" NOTE_PATH, owner->url);
    buffer_append_format(&headers,
                         "Content-Type: application/json\n" TASK_HEADER_CREDENTIAL ": %s\n",
                         orchestrator->credential);
    buffer_append_format(
        &body, "{\"note\":\"%s\",\"shard\":%d,\"parent\":\"%s\",\"wait\":%u,\"child\":\"%s\"}",
        names[note->kind], note->shard, uuid_format(&note->parent, parent), note->wait,
        uuid_format(&note->child, child));
    forward_post(orchestrator->forward, buffer_text(&url), buffer_text(&headers),
                 buffer_text(&body));
    buffer_fini(&url);
    buffer_fini(&headers);
    buffer_fini(&body);
}

void notes_send(struct orchestrator *orchestrator, const struct note *note)
{
    struct uuid told[SHARDS_MAX];
    int count = 0;
    bool all = note->kind == NOTE_ORPHAN;
    for (int shard = all ? 0 : note->shard; shard < (all ? orchestrator->shards : note->shard + 1);
         shard++) {
        struct owner owner;
        owners_of(orchestrator, shard, &owner);
        bool known = !owner.known || uuid_equal(&owner.instance, &orchestrator->instance_id);
        for (int i = 0; i < count && !known; i++)
            known = uuid_equal(&told[i], &owner.instance);
        if (known)
            continue;
        told[count++] = owner.instance;
        send_to(orchestrator, &owner, note);
    }
}

/* -- what others tell -- */

static bool read_id(const struct json *body, const char *name, struct uuid *id)
{
    size_t bytes = 0;
    const char *text = json_string_value(json_get(body, name), &bytes);
    return text != NULL && uuid_parse(text, bytes, id);
}

static bool read_int(const struct json *body, const char *name, int64_t max, int64_t *value)
{
    const struct json *member = json_get(body, name);
    *value = json_is_int(member) ? json_int_value(member) : -1;
    return *value >= 0 && *value <= max;
}

static bool read_note(const struct orchestrator *orchestrator, const struct json *body,
                      struct note *note)
{
    const char *name = json_string_or(json_get(body, "note"), "");
    int64_t shard, wait;
    size_t kind = 0;
    while (kind < sizeof names / sizeof names[0] && strcmp(names[kind], name) != 0)
        kind++;
    if (kind == sizeof names / sizeof names[0] || !read_id(body, "parent", &note->parent) ||
        !read_id(body, "child", &note->child) ||
        !read_int(body, "shard", orchestrator->shards - 1, &shard) ||
        !read_int(body, "wait", UINT32_MAX, &wait))
        return false;
    note->kind = (enum note_kind)kind;
    note->shard = (int16_t)shard;
    note->wait = (uint32_t)wait;
    return true;
}

static void post(struct orchestrator *orchestrator, int worker, enum ticket_question question,
                 const struct note *note)
{
    struct ticket *ticket = ticket_new();
    bool orphan = question == TICKET_ORPHAN;
    ticket->question = question;
    ticket->at_shard = note->shard;
    ticket->id = orphan ? note->child : note->parent;
    ticket->parent = note->parent;
    ticket->child = note->child;
    ticket->wait = note->wait;
    ticket->loaded = true;
    worker_post(orchestrator->workers[worker], ticket);
    ticket_release(ticket);
}

static void take_note(struct orchestrator *orchestrator, const struct note *note)
{
    int worker = note->shard % orchestrator->workers_count;
    switch (note->kind) {
    case NOTE_ENDED:
        post(orchestrator, worker, TICKET_LOOK, note);
        break;
    case NOTE_LIVES:
        post(orchestrator, worker, TICKET_LIVES, note);
        break;
    case NOTE_ORPHAN: /* whichever has it */
        for (int i = 0; i < orchestrator->workers_count; i++)
            post(orchestrator, i, TICKET_ORPHAN, note);
        break;
    }
}

void api_note(struct http_request *request, struct http_response *response, void *context)
{
    struct orchestrator *orchestrator = context;
    struct error error = {0};
    struct note note;
    if (!http_trusted(request)) {
        error_set(&error, ERR_NOT_FOUND, "there is nothing at this path");
        api_fail(response, &error);
        return;
    }
    struct json *body = json_parse(request->body, request->body_bytes, &error, NULL);
    if (body != NULL && read_note(orchestrator, body, &note)) {
        take_note(orchestrator, &note);
        response->status = 204;
    } else {
        error_set(&error, ERR_INVALID, "this is not a note of another instance");
        api_fail(response, &error);
    }
    json_release(body);
}
