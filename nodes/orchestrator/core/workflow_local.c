/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "orchestrator/core/workflow_event.h"
#include "orchestrator/core/workflow_internal.h"

/* -- kept signals -- */

static void keep(struct signals *signals, const char *name, const struct json *data)
{
    if (signals->kept_count == signals->kept_capacity) {
        signals->kept_capacity = signals->kept_capacity == 0 ? 4 : signals->kept_capacity * 2;
        signals->kept = must_realloc(signals->kept, signals->kept_capacity * sizeof *signals->kept);
    }
    struct kept_signal *kept = &signals->kept[signals->kept_count++];
    *kept = (struct kept_signal){must_strdup(name), json_hold(data), json_text_bytes(data)};
    signals->kept_bytes += kept->bytes;
}

/* The data of the oldest kept signal of this name, a reference of the caller's; NULL when none is kept. */
static struct json *take_kept(struct signals *signals, const char *name)
{
    for (size_t i = 0; i < signals->kept_count; i++) {
        struct kept_signal kept = signals->kept[i];
        if (strcmp(kept.name, name) != 0)
            continue;
        free(kept.name);
        signals->kept_bytes -= kept.bytes;
        signals->kept_count--;
        memmove(signals->kept + i, signals->kept + i + 1,
                (signals->kept_count - i) * sizeof *signals->kept);
        return kept.data;
    }
    return NULL;
}

/* -- their idempotency keys -- */

/* Where the key stands, or belongs. */
static size_t key_place(const struct signals *signals, const struct signal_key *key, bool *found)
{
    size_t low = 0, high = signals->keys_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct signal_key *at = &signals->keys[middle];
        if (at->high < key->high || (at->high == key->high && at->low < key->low))
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < signals->keys_count && signals->keys[low].high == key->high &&
             signals->keys[low].low == key->low;
    return low;
}

static struct signal_key hash_key(const char *key)
{
    XXH128_hash_t hash = XXH3_128bits(key, strlen(key));
    return (struct signal_key){.high = hash.high64, .low = hash.low64};
}

uint64_t workflow_signal_content(const char *name, const struct json *data)
{
    struct buffer text = {0};
    json_write(data, &text);
    uint64_t content = XXH3_64bits_withSeed(text.data, text.bytes, XXH3_64bits(name, strlen(name)));
    buffer_fini(&text);
    return content;
}

static void remember_key(struct signals *signals, const char *text, uint64_t content)
{
    struct signal_key key = hash_key(text);
    key.content = content;
    bool found;
    size_t place = key_place(signals, &key, &found);
    if (found)
        return;
    if (signals->keys_count == signals->keys_capacity) {
        signals->keys_capacity = signals->keys_capacity == 0 ? 4 : signals->keys_capacity * 2;
        signals->keys = must_realloc(signals->keys, signals->keys_capacity * sizeof *signals->keys);
    }
    memmove(signals->keys + place + 1, signals->keys + place,
            (signals->keys_count - place) * sizeof *signals->keys);
    signals->keys[place] = key;
    signals->keys_count++;
}

bool workflow_signal_known(const struct workflow *workflow, const char *key)
{
    struct signal_key hash = hash_key(key);
    bool found;
    (void)key_place(&workflow->signals, &hash, &found);
    return found;
}

bool workflow_signal_repeats(const struct workflow *workflow, const char *key, uint64_t content)
{
    struct signal_key hash = hash_key(key);
    bool found;
    size_t place = key_place(&workflow->signals, &hash, &found);
    return found && workflow->signals.keys[place].content == content;
}

uint32_t workflow_signal_wait(struct workflow *workflow, const char *name)
{
    for (size_t i = 0; i < workflow->waits_count; i++) {
        const struct workflow_wait *wait = workflow_wait_at(workflow, i);
        if (wait != NULL && wait->signal_name != NULL && !wait->answered &&
            strcmp(wait->signal_name, name) == 0)
            return wait->wait;
    }
    return 0;
}

bool workflow_signal_fits(const struct workflow *workflow, const struct json *data)
{
    const struct signals *signals = &workflow->signals;
    return signals->kept_count < SIGNALS_KEPT_MAX && signals->keys_count < SIGNAL_KEYS_MAX &&
           signals->kept_bytes + json_text_bytes(data) <= SIGNALS_KEPT_BYTES_MAX;
}

enum error_code workflow_signal_take(struct workflow *workflow,
                                     const struct workflow_record *record)
{
    const char *name = json_string_value(json_get(record->payload, "name"), NULL);
    const char *key = json_string_value(json_get(record->payload, "key"), NULL);
    if (name == NULL || workflow_signal_wait(workflow, name) != record->wait)
        return ERR_CONFLICT;
    if (key != NULL)
        remember_key(&workflow->signals, key,
                     workflow_signal_content(name, json_get(record->payload, "data")));
    if (record->wait == 0)
        keep(&workflow->signals, name, json_get(record->payload, "data"));
    return ERR_OK;
}

void workflow_signals_free(struct workflow *workflow)
{
    for (size_t i = 0; i < workflow->signals.kept_count; i++) {
        free(workflow->signals.kept[i].name);
        json_release(workflow->signals.kept[i].data);
    }
    free(workflow->signals.kept);
    free(workflow->signals.keys);
}

/* -- local tasks -- */

static struct json *publish(struct workflow *workflow, const struct task_event *event,
                            const struct workflow_record *record, struct workflow_outcome *outcome)
{
    char id[UUID_TEXT_BYTES];
    struct uuid event_id = workflow_event_id(workflow, record->n, outcome->events_numbered);
    struct json *result = json_object();
    workflow->local_bytes += event->payload_bytes;
    json_object_set(result, "event_type", json_text(event->type));
    json_object_set(result, "event_id", json_text(uuid_format(&event_id, id)));
    if (outcome->silent) {
        outcome->events_numbered++;
        return result;
    }
    char *type = must_strdup(event->type);
    workflow_outcome_publish(outcome, type, type,
                             workflow_event_own_payload(workflow, record, event->payload));
    return result;
}

bool workflow_local_begin(struct workflow *workflow, struct workflow_wait *wait,
                          const struct workflow_record *record, struct workflow_outcome *outcome,
                          struct asl_event *event, struct http_task_failure *failure)
{
    struct task_event published;
    struct json *result = NULL;
    if (wait->task->kind == TASK_EVENT) {
        if (task_event_read(wait->parameters, &published, failure))
            result = publish(workflow, &published, record, outcome);
        if (result != NULL && wait->task->waits_for_token) {
            json_release(result);
            return false;
        }
    } else {
        wait->signal_name = task_signal_name(wait->parameters, failure);
        if (wait->signal_name != NULL) {
            result = take_kept(&workflow->signals, wait->signal_name);
            if (result == NULL)
                return false;
        }
    }
    *event = (struct asl_event){
        .type = result == NULL ? ASL_TASK_FAILED : ASL_TASK_SUCCEEDED,
        .now_us = record->at_us,
        .wait = wait->wait,
        .result = result,
        .error = failure->error,
        .cause = result == NULL ? buffer_text(&failure->cause) : NULL,
        .random = record->random,
        .at_once = true,
    };
    return true;
}
