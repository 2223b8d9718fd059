/* SPDX-License-Identifier: MIT */
/* Random machines with random results: replay.h says what must hold. */
#include "replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    replay_bytes(bytes, count);
    return 0;
}
