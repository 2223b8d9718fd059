/* SPDX-License-Identifier: MIT */
/* twin_peers.c - io/peers.h: connections between processes of the simulation. The end of a process ends them,
 * a stopped one keeps them, and now and then one breaks for no reason. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/clock.h"
#include "io/peers.h"
#include "world.h"

#define PORT_FIRST 20000
#define PEERS_MAX 16
#define LISTENERS_MAX 1024
#define AGAIN_US (1 * SECOND_US) /* before one that ended is tried again */

struct peer {
    bool there, watched;
    struct uuid id;
    int port;
    enum peer_state state;
    int64_t since_us; /* by the monotonic clock */
    uint64_t turn;    /* of the connection: what comes for older ones means nothing */
};

struct peers {
    struct process *process;
    struct uuid self;
    int port, socket;
    bool closed, changed;
    struct peer items[PEERS_MAX];
};

/* Something that will happen to a connection. */
struct news {
    struct peers *peers;
    struct peer *peer;
    uint64_t turn;
    enum peer_state state;
};

static struct {
    struct peers *listeners[LISTENERS_MAX];
    int count;
    uint64_t turns;
    struct chance chance;
} net;

void links_start(void)
{
    memset(&net, 0, sizeof net);
    net.chance = chance_of(sim.options.seed, 0x11e7);
}

static struct peers *listener_at(int port)
{
    int place = port - PORT_FIRST;
    struct peers *peers = place < 0 || place >= net.count ? NULL : net.listeners[place];
    return peers == NULL || peers->closed || !peers->process->alive ? NULL : peers;
}

static void set_state(struct peers *peers, struct peer *peer, enum peer_state state)
{
    peer->state = state;
    peer->since_us = clock_monotonic_us();
    peers->changed = true;
    if (peers->process->alive)
        fiber_socket_set(peers->socket, true);
}

static void hear(void *context)
{
    struct news *news = context;
    struct peer *peer = news->peer;
    if (peer->there && peer->turn == news->turn && !news->peers->closed) {
        const struct peers *other = listener_at(peer->port);
        bool same = other != NULL && uuid_equal(&other->self, &peer->id);
        if (news->state == PEER_LINKED && same &&
            other->process->frozen_until_us > fiber_now_us()) {
            fiber_at(other->process->frozen_until_us, hear,
                     news); /* it has not said its name yet */
            return;
        }
        set_state(news->peers, peer,
                  news->state == PEER_LINKED && !same ? PEER_ENDED : news->state);
    }
    free(news);
}

static void will_be(struct peers *peers, struct peer *peer, enum peer_state state, int64_t after_us)
{
    struct news *news = must_calloc(1, sizeof *news);
    *news = (struct news){peers, peer, peer->turn, state};
    fiber_at(fiber_now_us() + after_us, hear, news);
}

static void connect_to(struct peers *peers, struct peer *peer)
{
    peer->turn = ++net.turns;
    peer->state = PEER_TRYING;
    peer->since_us = clock_monotonic_us();
    will_be(peers, peer, PEER_LINKED, chance_between(&net.chance, 100, 3000));
    if (world_faulty(FAULT_NETWORK) && chance_one_in(&net.chance, 10))
        will_be(peers, peer, PEER_ENDED, chance_between(&net.chance, 1, 30) * SECOND_US);
}

/* Both ends hear of it, as a TCP connection says. */
void links_break(struct process *process)
{
    for (int i = 0; i < net.count; i++)
        for (int k = 0; k < PEERS_MAX; k++) {
            struct peer *peer = &net.listeners[i]->items[k];
            const struct peers *other = listener_at(peer->port);
            bool gone = peer->there && net.listeners[i]->process != process &&
                        (other == NULL || other->process == process);
            if (gone && peer->state != PEER_ENDED)
                will_be(net.listeners[i], peer, PEER_ENDED, chance_between(&net.chance, 50, 2000));
        }
}

enum error_code peers_open(struct peers **out, const char *bind_address, int port,
                           const struct uuid *self, struct error *error)
{
    struct peers *peers = must_calloc(1, sizeof *peers);
    (void)bind_address, (void)port, (void)error;
    BUG_IF(net.count == LISTENERS_MAX);
    peers->process = fiber_process();
    peers->self = *self;
    peers->port = PORT_FIRST + net.count;
    peers->socket = fiber_socket();
    net.listeners[net.count++] = peers;
    *out = peers;
    return ERR_OK;
}

void peers_free(struct peers *peers)
{
    if (peers == NULL)
        return;
    peers->closed = true;
    fiber_socket_close(peers->socket);
    links_break(peers->process);
}

int peers_port(const struct peers *peers) { return peers->port; }
int peers_fd(const struct peers *peers) { return peers->socket; }
int64_t peers_due_us(const struct peers *peers)
{
    (void)peers;
    return INT64_MAX;
}

bool peers_poll(struct peers *peers, int64_t now_us)
{
    bool changed = peers->changed;
    (void)now_us;
    peers->changed = false;
    fiber_socket_set(peers->socket, false);
    return changed;
}

static struct peer *find(const struct peers *peers, const struct uuid *id)
{
    for (int i = 0; i < PEERS_MAX; i++)
        if (peers->items[i].there && uuid_equal(&peers->items[i].id, id))
            return (struct peer *)(uintptr_t)&peers->items[i];
    return NULL;
}

void peers_watch(struct peers *peers, const struct uuid *id, const char *address, int64_t now_us)
{
    struct peer *peer = find(peers, id);
    const char *colon = strrchr(address, ':');
    for (int i = 0; i < PEERS_MAX && peer == NULL; i++)
        if (!peers->items[i].there) {
            peer = &peers->items[i];
            *peer = (struct peer){.there = true, .id = *id, .port = atoi(colon + 1)};
            connect_to(peers, peer);
        }
    BUG_IF(peer == NULL);
    peer->watched = true;
    if (peer->state == PEER_ENDED && now_us - peer->since_us > AGAIN_US &&
        listener_at(peer->port) != NULL)
        connect_to(peers, peer);
}

enum peer_state peers_state(const struct peers *peers, const struct uuid *id, int64_t *since_us)
{
    const struct peer *peer = find(peers, id);
    *since_us = peer == NULL ? 0 : peer->since_us;
    return peer == NULL ? PEER_UNKNOWN : peer->state;
}

void peers_sweep(struct peers *peers)
{
    for (int i = 0; i < PEERS_MAX; i++) {
        peers->items[i].there = peers->items[i].there && peers->items[i].watched;
        peers->items[i].watched = false;
    }
}

int peers_linked(const struct peers *peers)
{
    int count = 0;
    for (int i = 0; i < PEERS_MAX; i++)
        count += peers->items[i].there && peers->items[i].state == PEER_LINKED;
    return count;
}
