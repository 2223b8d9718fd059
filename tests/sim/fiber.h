/* SPDX-License-Identifier: MIT */
/* fiber.h - the machine of the simulation: processes whose threads are fibers, on a virtual clock, within
 * one thread. pthread_create, epoll, eventfd and poll of the linked code come here (ld --wrap).
 *
 * Only one fiber runs at a time, until it waits; which one runs next is drawn from the seed. Code takes no
 * time: the clock moves when everybody waits, to the next thing that happens.
 *
 * Owns      A killed process leaves its memory behind: the simulation runs in a child of its own, which
 *           ends after some seeds (main.c).
 * Units     *_us microseconds; fiber_now_us is the world's time, since 1970.
 */
#ifndef SIM_FIBER_H
#define SIM_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chance {
    uint64_t state;
};
struct chance chance_of(uint64_t seed, uint64_t purpose);
uint64_t chance_draw(struct chance *chance);
int64_t chance_between(struct chance *chance, int64_t from, int64_t to); /* both may come */
bool chance_one_in(struct chance *chance, int64_t n);

struct process {
    int number;
    char name[16];
    bool alive;
    int64_t frozen_until_us; /* stopped until then, as by SIGSTOP; 0: not */
    int64_t wall_offset_us;  /* of its wall clock */
    int64_t kill_in;         /* effects until it is killed; 0: never */
    int64_t freeze_in;       /* likewise stopped, for freeze_us */
    int64_t freeze_us;
    uint64_t effects;
    struct chance chance;
    void (*killed)(struct process *process);
};

typedef void *fiber_run(void *context);
typedef void fiber_happening(void *context);

void fiber_world_start(uint64_t seed, int64_t now_us);
void fiber_world_end(void);
/* Runs until `done` says so, or the time is over, or nothing can happen any more. */
enum fiber_end {
    FIBER_DONE,
    FIBER_LATE,
    FIBER_STUCK,
    FIBER_SPINS
} fiber_world_run(bool (*done)(void), int64_t until_us);
int64_t fiber_now_us(void);
struct process *fiber_process(void); /* whose fiber runs; NULL outside */

struct process *process_new(const char *name);
void process_kill(struct process *process); /* of the running fiber: does not come back */
void process_freeze(struct process *process, int64_t us);
void process_start(struct process *process, fiber_run *run, void *context);

/* Waits until something wakes `object`, or until the time; false when the time came. */
bool fiber_wait(const void *object, int64_t until_us);
void fiber_wake(const void *object);
void fiber_sleep_us(int64_t us);
/* Something the process does that others can see: here it may be killed or stopped. */
void fiber_effect(void);
/* Happens at that time, outside of all processes; it must not wait. */
void fiber_at(int64_t at_us, fiber_happening *happening, void *context);

/* A file number of the running process that can become readable. */
int fiber_socket(void);
void fiber_socket_set(int number, bool readable);
void fiber_socket_close(int number);

#endif
