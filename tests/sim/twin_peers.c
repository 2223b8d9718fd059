/* SPDX-License-Identifier: MIT */
/* io/peers.h without a network: nothing is known of anybody by its connection, so that locks and leases alone
 * tell who lives. */
#include "io/peers.h"

struct peers {
    char unused;
};

enum error_code peers_open(struct peers **peers, const char *bind_address, int port,
                           const struct uuid *self, struct error *error)
{
    static struct peers none;
    (void)bind_address, (void)port, (void)self, (void)error;
    *peers = &none;
    return ERR_OK;
}

void peers_free(struct peers *peers) { (void)peers; }

int peers_port(const struct peers *peers)
{
    (void)peers;
    return 0;
}

int peers_fd(const struct peers *peers)
{
    (void)peers;
    return -1;
}

bool peers_poll(struct peers *peers, int64_t now_us)
{
    (void)peers, (void)now_us;
    return false;
}

int64_t peers_due_us(const struct peers *peers)
{
    (void)peers;
    return INT64_MAX;
}

void peers_watch(struct peers *peers, const struct uuid *id, const char *address, int64_t now_us)
{
    (void)peers, (void)id, (void)address, (void)now_us;
}

enum peer_state peers_state(const struct peers *peers, const struct uuid *id, int64_t *since_us)
{
    (void)peers, (void)id;
    *since_us = 0;
    return PEER_UNKNOWN;
}

void peers_sweep(struct peers *peers) { (void)peers; }

int peers_linked(const struct peers *peers)
{
    (void)peers;
    return 0;
}
