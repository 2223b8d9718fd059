/* SPDX-License-Identifier: MIT */
#include "orchestrator/core/engine_internal.h"

void engine_signal(struct engine *engine, const struct engine_event *event,
                   struct engine_effects *effects)
{
    struct workflow *workflow = engine_find(engine, &event->id);
    enum engine_effect_type refusal =
        workflow == NULL                                                    ? ENGINE_UNKNOWN
        : event->key != NULL && workflow_signal_known(workflow, event->key) ? ENGINE_DUPLICATE
                                                                            : ENGINE_RECORDED;
    uint32_t number = workflow == NULL ? 0 : workflow_signal_wait(workflow, event->signal);
    if (refusal == ENGINE_RECORDED && number == 0 && !workflow_signal_fits(workflow, event->result))
        refusal = ENGINE_FULL;
    if (refusal != ENGINE_RECORDED) {
        struct engine_effect *effect = engine_effect_push(effects, refusal);
        effect->id = event->id;
        effect->same_body =
            refusal == ENGINE_DUPLICATE &&
            workflow_signal_repeats(workflow, event->key,
                                    workflow_signal_content(event->signal, event->result));
        return;
    }
    struct json *payload = json_object();
    json_object_set(payload, "name", json_text(event->signal));
    json_object_set(payload, "key", json_text(event->key));
    json_object_set(payload, "data", json_hold(event->result));
    const struct workflow_wait *wait = workflow_wait_find(workflow, number);
    struct workflow_record came = {.kind = RECORD_SIGNAL,
                                   .at_us = event->now_us,
                                   .wait = number,
                                   .attempt = wait == NULL ? 0 : wait->attempt,
                                   .duration_us =
                                       wait == NULL ? 0 : engine_wait_age_us(wait, event->now_us),
                                   .payload = payload};
    size_t index = effects->count;
    (void)engine_record(engine, workflow, &came, effects);
    if (effects->count > index)
        effects->items[index].own_payload = payload;
    else
        json_release(payload);
}

void engine_cancel(struct engine *engine, const struct engine_event *event,
                   struct engine_effects *effects)
{
    struct workflow *workflow = engine_find(engine, &event->id);
    struct workflow_record cancelled = {.kind = RECORD_CANCELLED,
                                        .at_us = event->now_us,
                                        .error = "Workflow.Cancelled",
                                        .cause = event->cause};
    if (workflow == NULL) {
        engine_effect_push(effects, ENGINE_UNKNOWN)->id = event->id;
        return;
    }
    (void)engine_record(engine, workflow, &cancelled, effects);
}

void engine_pause(struct engine *engine, const struct engine_event *event,
                  struct engine_effects *effects)
{
    struct workflow *workflow = engine_find(engine, &event->id);
    bool pauses = event->type == ENGINE_PAUSE;
    struct workflow_record told = {.kind = pauses ? RECORD_PAUSED : RECORD_RESUMED,
                                   .at_us = event->now_us};
    if (workflow != NULL && workflow_paused(workflow) != pauses) {
        if (engine_record(engine, workflow, &told, effects) && pauses)
            engine_gate_pause(engine, workflow, told.at_us, effects);
        return;
    }
    struct engine_effect *effect =
        engine_effect_push(effects, workflow == NULL ? ENGINE_UNKNOWN : ENGINE_HEARD);
    effect->id = event->id;
    effect->workflow = workflow;
}

void engine_retry(struct engine *engine, const struct engine_event *event,
                  struct engine_effects *effects)
{
    struct workflow *workflow = event->workflow;
    struct uuid id = workflow_head(workflow)->id;
    struct workflow_record again = {.kind = RECORD_RETRIED, .at_us = event->now_us};
    size_t before = effects->count;
    bool lives = engine_find(engine, &id) != NULL;
    if (!lives) {
        engine_add_live(engine, workflow);
        if (engine_record(engine, workflow, &again, effects) || effects->count > before)
            return;
        engine_remove_live(engine, &id);
    }
    workflow_free(workflow);
    engine_effect_push(effects, ENGINE_UNKNOWN)->id = id;
}
