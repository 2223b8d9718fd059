/* SPDX-License-Identifier: MIT */
/* Connections between processes: a name is said, and the end is heard. */
#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/clock.h"
#include "io/peers.h"

#define PATIENCE_US 120000000

static const struct uuid first = {.octets = {1}}, second = {.octets = {2}}, third = {.octets = {3}};

static struct peers *open_peers(const struct uuid *self)
{
    struct peers *peers = NULL;
    struct error error = {0};
    ck_assert_msg(peers_open(&peers, "127.0.0.1", 0, self, &error) == ERR_OK, "%s", error.text);
    return peers;
}

static void watch(struct peers *peers, const struct uuid *id, int port)
{
    char address[PEER_ADDRESS_BYTES];
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    peers_watch(peers, id, address, clock_monotonic_us());
}

/* Lets both work until the first sees the peer so. */
static void wait_state(struct peers *peers, struct peers *other, const struct uuid *id,
                       enum peer_state state)
{
    int64_t until_us = clock_monotonic_us() + PATIENCE_US, since_us;
    while (peers_state(peers, id, &since_us) != state) {
        ck_assert_msg(clock_monotonic_us() < until_us, "the peer is in state %d, not %d",
                      peers_state(peers, id, &since_us), state);
        poll(&(struct pollfd){.fd = peers_fd(peers), .events = POLLIN}, 1, 5);
        peers_poll(peers, clock_monotonic_us());
        if (other != NULL)
            peers_poll(other, clock_monotonic_us());
    }
}

START_TEST(the_end_of_a_peer_is_heard)
{
    struct peers *here = open_peers(&first), *there = open_peers(&second);
    watch(here, &second, peers_port(there));
    wait_state(here, there, &second, PEER_LINKED);
    ck_assert_int_eq(peers_linked(here), 1);
    peers_free(there);
    wait_state(here, NULL, &second, PEER_ENDED);
    ck_assert_int_eq(peers_linked(here), 0);
    peers_free(here);
}
END_TEST

START_TEST(a_killed_process_is_heard)
{
    struct peers *here = open_peers(&first);
    int pipes[2], port = 0;
    ck_assert_int_eq(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        struct peers *there = open_peers(&second);
        port = peers_port(there);
        if (write(pipes[1], &port, sizeof port) != sizeof port)
            _exit(1);
        for (;;) {
            poll(&(struct pollfd){.fd = peers_fd(there), .events = POLLIN}, 1, 1000);
            peers_poll(there, clock_monotonic_us());
        }
    }
    ck_assert_int_eq(read(pipes[0], &port, sizeof port), sizeof port);
    watch(here, &second, port);
    wait_state(here, NULL, &second, PEER_LINKED);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    wait_state(here, NULL, &second, PEER_ENDED);
    peers_free(here);
    close(pipes[0]);
    close(pipes[1]);
}
END_TEST

START_TEST(another_at_the_same_address_is_not_the_peer)
{
    struct peers *here = open_peers(&first), *there = open_peers(&second);
    watch(here, &third, peers_port(there));
    wait_state(here, there, &third, PEER_ENDED);
    peers_free(there);
    peers_free(here);
}
END_TEST

START_TEST(a_refused_connection_is_an_end_and_no_address_is_none)
{
    struct peers *here = open_peers(&first), *there = open_peers(&second);
    int port = peers_port(there);
    int64_t since_us;
    peers_free(there);
    watch(here, &second, port);
    wait_state(here, NULL, &second, PEER_ENDED);
    peers_watch(here, &third, "nowhere", clock_monotonic_us());
    ck_assert_int_eq(peers_state(here, &third, &since_us), PEER_UNKNOWN);
    peers_free(here);
}
END_TEST

START_TEST(who_is_not_watched_any_more_is_forgotten)
{
    struct peers *here = open_peers(&first), *there = open_peers(&second);
    int64_t since_us;
    watch(here, &second, peers_port(there));
    wait_state(here, there, &second, PEER_LINKED);
    peers_sweep(here);
    ck_assert_int_eq(peers_state(here, &second, &since_us), PEER_LINKED);
    peers_sweep(here);
    ck_assert_int_eq(peers_state(here, &second, &since_us), PEER_UNKNOWN);
    peers_free(there);
    peers_free(here);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("peers");
    TCase *tests = tcase_create("peers");
    tcase_set_timeout(tests, 300);
    tcase_add_test(tests, the_end_of_a_peer_is_heard);
    tcase_add_test(tests, a_killed_process_is_heard);
    tcase_add_test(tests, another_at_the_same_address_is_not_the_peer);
    tcase_add_test(tests, a_refused_connection_is_an_end_and_no_address_is_none);
    tcase_add_test(tests, who_is_not_watched_any_more_is_forgotten);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
