/* SPDX-License-Identifier: MIT */
/* The rules of consumer groups: who is a member, when a generation begins, and what static members keep. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/broker_messages.h"
#include "core/group_coordinator.h"

#define SESSION_MS 6000
#define REBALANCE_MS 60000
#define SECOND_US 1000000
#define TICKETS_MAX 64

/* What a ticket was answered; the texts are copied. */
struct told {
    bool answered;
    enum group_code code;
    int32_t generation;
    bool leads;
    char member_id[128], leader_id[128], assignment[128];
};

static struct group_coordinator coordinator;
static struct told told[TICKETS_MAX];
static uint64_t tickets;
static int64_t now_us;

static struct group_octets octets(const char *text)
{
    return (struct group_octets){.data = text, .bytes = text ? strlen(text) : 0};
}

static void note(void *context, const struct group_answer *answer)
{
    (void)context;
    struct told *place = &told[answer->ticket];
    ck_assert_msg(!place->answered, "ticket %d is answered twice", (int)answer->ticket);
    *place = (struct told){
        .answered = true,
        .code = answer->code,
        .generation = answer->generation,
        .leads = answer->leads,
    };
    if (answer->member_id)
        snprintf(place->member_id, sizeof(place->member_id), "%s", answer->member_id);
    if (answer->leader_id)
        snprintf(place->leader_id, sizeof(place->leader_id), "%s", answer->leader_id);
    snprintf(place->assignment, sizeof(place->assignment), "%.*s", (int)answer->assignment.bytes,
             answer->assignment.data ? answer->assignment.data : "");
}

static void setup(void)
{
    memset(told, 0, sizeof(told));
    tickets = 0;
    now_us = SECOND_US;
    group_coordinator_init(&coordinator, 7, note, NULL);
}

static void teardown(void) { group_coordinator_fini(&coordinator); }

static void pass(double seconds)
{
    now_us += (int64_t)(seconds * SECOND_US);
    group_coordinator_tick(&coordinator, now_us);
}

static const struct told *ask(struct group_request request)
{
    request.ticket = ++tickets;
    ck_assert_uint_lt(tickets, TICKETS_MAX);
    request.group = octets("g");
    group_coordinator_request(&coordinator, now_us, &request);
    return &told[request.ticket];
}

static const struct told *join(const char *member_id, const char *instance_id, const char *metadata)
{
    return ask((struct group_request){
        .kind = GROUP_JOIN,
        .member_id = octets(member_id),
        .instance_id = octets(instance_id),
        .session_ms = SESSION_MS,
        .rebalance_ms = REBALANCE_MS,
        .client_id = octets("client"),
        .protocol_type = octets("consumer"),
        .protocols = {{.name = octets("sticky"), .metadata = octets(metadata)}},
        .protocols_count = 1,
    });
}

static const struct told *synchronize(const struct told *joined, const char *instance_id,
                                      const struct group_assignment *assignments, int count)
{
    return ask((struct group_request){
        .kind = GROUP_SYNC,
        .generation = joined->generation,
        .member_id = octets(joined->member_id),
        .instance_id = octets(instance_id),
        .assignments = assignments,
        .assignments_count = count,
    });
}

static enum group_code beat(const struct told *joined, const char *instance_id)
{
    const struct told *answer = ask((struct group_request){
        .kind = GROUP_HEARTBEAT,
        .generation = joined->generation,
        .member_id = octets(joined->member_id),
        .instance_id = octets(instance_id),
    });
    ck_assert(answer->answered);
    return answer->code;
}

static enum group_code leave(const struct told *joined)
{
    const struct told *answer = ask((struct group_request){
        .kind = GROUP_LEAVE,
        .member_id = octets(joined->member_id),
    });
    ck_assert(answer->answered);
    return answer->code;
}

/* Two static members, a and b, each with an assignment; a leads. */
static void make_pair(struct told *a, struct told *b)
{
    *a = *join("", "a", "m");
    const struct told *b_joins = join("", "b", "m");
    ck_assert(!b_joins->answered);
    ck_assert_int_eq(beat(a, "a"), GROUP_REBALANCE_IN_PROGRESS);
    *a = *join(a->member_id, "a", "m");
    *b = *b_joins;
    ck_assert(a->answered && b->answered && a->leads && !b->leads);
    ck_assert_int_eq(a->generation, b->generation);
    const struct told *b_waits = synchronize(b, "b", NULL, 0);
    ck_assert(!b_waits->answered);
    const struct group_assignment assignments[] = {
        {.member_id = octets(a->member_id), .assignment = octets("of a")},
        {.member_id = octets(b->member_id), .assignment = octets("of b")},
    };
    ck_assert_str_eq(synchronize(a, "a", assignments, 2)->assignment, "of a");
    ck_assert_str_eq(b_waits->assignment, "of b");
}

START_TEST(a_single_member_leads_at_once)
{
    const struct told *joined = join("", NULL, "m");
    ck_assert(joined->answered && joined->leads);
    ck_assert_int_eq(joined->code, GROUP_OK);
    ck_assert_str_eq(joined->leader_id, joined->member_id);
    const struct group_assignment all = {.member_id = octets(joined->member_id),
                                         .assignment = octets("all")};
    ck_assert_str_eq(synchronize(joined, NULL, &all, 1)->assignment, "all");
    ck_assert_int_eq(beat(joined, NULL), GROUP_OK);
}
END_TEST

START_TEST(a_restarted_static_member_has_what_it_had_and_nobody_notices)
{
    struct told a, b;
    make_pair(&a, &b);
    pass(3);
    ck_assert_int_eq(beat(&a, "a"), GROUP_OK);
    const struct told *again = join("", "b", "m, and nothing is owned");
    ck_assert(again->answered);
    ck_assert_int_eq(again->code, GROUP_OK);
    ck_assert_int_eq(again->generation, b.generation);
    ck_assert_str_ne(again->member_id, b.member_id);
    ck_assert(!again->leads);
    ck_assert_str_eq(synchronize(again, "b", NULL, 0)->assignment, "of b");
    ck_assert_int_eq(beat(&a, "a"), GROUP_OK);
    ck_assert_int_eq(beat(again, "b"), GROUP_OK);
}
END_TEST

START_TEST(a_restarted_leader_does_not_assign_anew)
{
    struct told a, b;
    make_pair(&a, &b);
    const struct told *again = join("", "a", "m");
    ck_assert(again->answered && !again->leads);
    ck_assert_str_eq(again->leader_id, a.member_id);
    ck_assert_str_eq(synchronize(again, "a", NULL, 0)->assignment, "of a");
    ck_assert_int_eq(beat(&b, "b"), GROUP_OK);
    /* It leads again when there is something to assign. */
    const struct told *c = join("", "c", "m");
    const struct told *b_again = join(b.member_id, "b", "m");
    const struct told *a_again = join(again->member_id, "a", "m");
    ck_assert(a_again->leads && !b_again->leads && !c->leads);
}
END_TEST

START_TEST(whoever_uses_a_static_id_that_another_process_took_is_fenced)
{
    struct told a, b;
    make_pair(&a, &b);
    const struct told *again = join("", "b", "m");
    ck_assert_int_eq(beat(&b, "b"), GROUP_FENCED_INSTANCE);
    ck_assert_int_eq(synchronize(&b, "b", NULL, 0)->code, GROUP_FENCED_INSTANCE);
    ck_assert_int_eq(join(b.member_id, "b", "m")->code, GROUP_FENCED_INSTANCE);
    ck_assert_int_eq(beat(again, "b"), GROUP_OK);
    /* One that joins while another process waits in the same place ends that wait. */
    const struct told *c = join("", "c", "m");
    const struct told *c_again = join("", "c", "m");
    ck_assert_int_eq(c->code, GROUP_FENCED_INSTANCE);
    ck_assert(!c_again->answered);
}
END_TEST

START_TEST(a_silent_member_is_gone_after_its_session_and_not_before)
{
    struct told a, b;
    make_pair(&a, &b);
    pass(5.9);
    ck_assert_int_eq(beat(&a, "a"), GROUP_OK);
    pass(0.2);
    ck_assert_int_eq(beat(&a, "a"), GROUP_REBALANCE_IN_PROGRESS);
    a = *join(a.member_id, "a", "m");
    ck_assert(a.answered && a.leads);
    ck_assert_int_eq(beat(&b, "b"), GROUP_UNKNOWN_MEMBER); /* it was stopped, and wakes up */
    const struct told *again = join("", "b", "m");
    ck_assert(!again->answered); /* a new member now: the others gather first */
    a = *join(a.member_id, "a", "m");
    ck_assert(again->answered);
}
END_TEST

START_TEST(a_member_that_leaves_is_replaced_at_once)
{
    struct told a, b;
    make_pair(&a, &b);
    ck_assert_int_eq(leave(&b), GROUP_OK);
    ck_assert_int_eq(leave(&b), GROUP_UNKNOWN_MEMBER);
    ck_assert_int_eq(beat(&a, "a"), GROUP_REBALANCE_IN_PROGRESS);
    a = *join(a.member_id, "a", "m");
    ck_assert(a.answered && a.leads);
    ck_assert_int_eq(leave(&a), GROUP_OK);
    ck_assert_ptr_null(group_coordinator_find(&coordinator, octets("g")));
    ck_assert_int_eq(beat(&a, "a"), GROUP_UNKNOWN_MEMBER);
}
END_TEST

START_TEST(a_dead_leader_does_not_keep_the_others_waiting_for_assignments)
{
    struct told a, b;
    make_pair(&a, &b);
    const struct told *c = join("", "c", "m");
    const struct told *a_joins = join(a.member_id, "a", "m");
    const struct told *b_joins = join(b.member_id, "b", "m");
    ck_assert(c->answered && a_joins->leads);
    const struct told *b_waits = synchronize(b_joins, "b", NULL, 0);
    const struct told *c_waits = synchronize(c, "c", NULL, 0);
    pass(6.1); /* a died; who waits for an answer is alive */
    ck_assert_int_eq(b_waits->code, GROUP_REBALANCE_IN_PROGRESS);
    ck_assert_int_eq(c_waits->code, GROUP_REBALANCE_IN_PROGRESS);
    const struct told *b_again = join(b.member_id, "b", "m");
    const struct told *c_again = join(c->member_id, "c", "m");
    ck_assert(b_again->leads && c_again->answered);
}
END_TEST

START_TEST(a_closed_connection_ends_the_wait_not_the_membership)
{
    struct told a, b;
    make_pair(&a, &b);
    const struct told *c = join("", "c", "m");
    group_coordinator_forget(&coordinator, now_us, tickets);
    a = *join(a.member_id, "a", "m");
    b = *join(b.member_id, "b", "m");
    ck_assert(!a.answered && !c->answered);
    pass(6.1); /* nobody came back for c */
    a = told[tickets - 1];
    ck_assert(a.answered && told[tickets].answered && !c->answered);
    ck_assert_int_eq(group_coordinator_find(&coordinator, octets("g"))->members_count, 2);
}
END_TEST

START_TEST(who_never_joins_again_is_passed_over)
{
    const struct told first = *join("", NULL, "m");
    const struct told *second = join("", NULL, "m");
    for (int i = 0; i < REBALANCE_MS / 5000; i++) { /* it lives, and does not join */
        ck_assert(!second->answered);
        ck_assert_int_eq(beat(&first, NULL), GROUP_REBALANCE_IN_PROGRESS);
        pass(5);
    }
    ck_assert(second->answered && second->leads);
    ck_assert_int_eq(beat(&first, NULL), GROUP_UNKNOWN_MEMBER);
}
END_TEST

START_TEST(requests_of_an_older_generation_are_refused)
{
    struct told a, b;
    make_pair(&a, &b);
    struct told old = b;
    old.generation--;
    ck_assert_int_eq(beat(&old, "b"), GROUP_ILLEGAL_GENERATION);
    ck_assert_int_eq(synchronize(&old, "b", NULL, 0)->code, GROUP_ILLEGAL_GENERATION);
    ck_assert_int_eq(beat(&b, "b"), GROUP_OK);
}
END_TEST

START_TEST(joins_that_do_not_fit_are_refused)
{
    struct told a, b;
    make_pair(&a, &b);
    struct group_request request = {
        .kind = GROUP_JOIN,
        .session_ms = SESSION_MS,
        .rebalance_ms = REBALANCE_MS,
        .protocol_type = octets("consumer"),
        .protocols = {{.name = octets("range"), .metadata = octets("m")}},
        .protocols_count = 1,
    };
    ck_assert_int_eq(ask(request)->code, GROUP_INCONSISTENT_PROTOCOL);
    request.protocols[0].name = octets("sticky");
    request.protocol_type = octets("connect");
    ck_assert_int_eq(ask(request)->code, GROUP_INCONSISTENT_PROTOCOL);
    request.protocol_type = octets("consumer");
    request.session_ms = GROUP_SESSION_MS_MAX + 1;
    ck_assert_int_eq(ask(request)->code, GROUP_INVALID_SESSION_TIMEOUT);
    request.session_ms = SESSION_MS;
    request.member_id = octets("nobody");
    ck_assert_int_eq(ask(request)->code, GROUP_UNKNOWN_MEMBER);
    ck_assert_int_eq(beat(&a, "a"), GROUP_OK);
    ck_assert_int_eq(beat(&b, "b"), GROUP_OK);
}
END_TEST

/* -- messages -- */

static const char join_message[] = "\0\0\0\x49\0\x0b\0\5\0\0\0\x2a\0\1x" /* head, client id */
                                   "\0\1g\0\0\x17\x70\0\0\xea\x60" /* group, session, rebalance */
                                   "\0\0\0\5inst1\0\x08"
                                   "consumer\0\0\0\1\0\6sticky\0\0\0\4meta";
enum { JOIN_BYTES = sizeof join_message - 1 };

START_TEST(a_join_is_read_and_every_cut_of_it_refused)
{
    struct group_request request;
    struct group_assignment *assignments;
    struct broker_request head = broker_request_head(join_message);
    ck_assert_int_eq(head.key, BROKER_JOIN_GROUP);
    ck_assert_int_eq(head.correlation, 42);
    ck_assert(broker_request_is_of_group(&head));
    ck_assert(broker_group_request(join_message, JOIN_BYTES, &request, &assignments));
    ck_assert_int_eq(request.kind, GROUP_JOIN);
    ck_assert_int_eq(request.session_ms, 6000);
    ck_assert_int_eq(request.rebalance_ms, 60000);
    ck_assert_uint_eq(request.member_id.bytes, 0);
    ck_assert_mem_eq(request.instance_id.data, "inst1", 5);
    ck_assert_int_eq(request.protocols_count, 1);
    ck_assert_mem_eq(request.protocols[0].metadata.data, "meta", 4);
    for (size_t bytes = 0; bytes < JOIN_BYTES; bytes++) {
        ck_assert(!broker_group_request(join_message, bytes, &request, &assignments));
        free(assignments);
    }
}
END_TEST

START_TEST(answers_say_their_length_and_whom_they_answer)
{
    const struct broker_request head = {.key = BROKER_HEARTBEAT, .version = 3, .correlation = 9};
    const struct group_answer answer = {.kind = GROUP_HEARTBEAT, .code = GROUP_FENCED_INSTANCE};
    struct buffer buffer = {0};
    broker_group_answer(&buffer, &head, &answer);
    ck_assert_uint_eq(buffer.bytes, 14);
    ck_assert_mem_eq(buffer.data, "\0\0\0\x0a\0\0\0\x09\0\0\0\0\0\x52", 14);
    buffer_fini(&buffer);
}
END_TEST

START_TEST(ports_of_brokers_are_shown_as_the_fronts)
{
    const struct broker_port ports[] = {{.own = 0x1234, .shown = 0x5678}, {.own = 1, .shown = 2}};
    char metadata[] = "\0\0\0\x1f\0\0\0\1\0\0\0\2"
                      "\0\0\0\1\0\1h\0\0\x12\x34\xff\xff"
                      "\0\0\0\2\0\1h\0\0\0\1\xff\xff";
    const struct broker_request head = {.key = BROKER_METADATA, .version = 2};
    ck_assert(broker_show_ports(metadata, sizeof metadata - 1, &head, ports, 2));
    ck_assert_mem_eq(metadata + 19, "\0\0\x56\x78", 4);
    ck_assert_mem_eq(metadata + 32, "\0\0\0\2", 4);
    ck_assert(!broker_show_ports(metadata, 30, &head, ports, 2));
    char coordinator_answer[] = "\0\0\0\x18\0\0\0\1\0\0\0\0\0\0\xff\xff\0\0\0\1\0\1h\0\0\x12\x34";
    const struct broker_request find = {.key = BROKER_FIND_COORDINATOR, .version = 2};
    ck_assert(
        broker_show_ports(coordinator_answer, sizeof coordinator_answer - 1, &find, ports, 2));
    ck_assert_mem_eq(coordinator_answer + 23, "\0\0\x56\x78", 4);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("group_coordinator");
    TCase *tests = tcase_create("all");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, a_single_member_leads_at_once);
    tcase_add_test(tests, a_restarted_static_member_has_what_it_had_and_nobody_notices);
    tcase_add_test(tests, a_restarted_leader_does_not_assign_anew);
    tcase_add_test(tests, whoever_uses_a_static_id_that_another_process_took_is_fenced);
    tcase_add_test(tests, a_silent_member_is_gone_after_its_session_and_not_before);
    tcase_add_test(tests, a_member_that_leaves_is_replaced_at_once);
    tcase_add_test(tests, a_dead_leader_does_not_keep_the_others_waiting_for_assignments);
    tcase_add_test(tests, a_closed_connection_ends_the_wait_not_the_membership);
    tcase_add_test(tests, who_never_joins_again_is_passed_over);
    tcase_add_test(tests, requests_of_an_older_generation_are_refused);
    tcase_add_test(tests, joins_that_do_not_fit_are_refused);
    tcase_add_test(tests, a_join_is_read_and_every_cut_of_it_refused);
    tcase_add_test(tests, answers_say_their_length_and_whom_they_answer);
    tcase_add_test(tests, ports_of_brokers_are_shown_as_the_fronts);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
