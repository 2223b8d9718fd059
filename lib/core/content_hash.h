/* SPDX-License-Identifier: MIT */
/* content_hash.h - BLAKE3-256 of octets as 64 lower-case hexadecimal digits. Pure.
 *
 * Source    github.com/BLAKE3-team/BLAKE3; held against its published test vectors.
 */
#ifndef CORE_CONTENT_HASH_H
#define CORE_CONTENT_HASH_H

#include <stdbool.h>
#include <stddef.h>

#define CONTENT_HASH_DIGITS 64
#define CONTENT_HASH_TEXT_BYTES 65

char *content_hash(const void *octets, size_t bytes, char text[CONTENT_HASH_TEXT_BYTES]);
/* 64 hexadecimal digits of either case and nothing else. */
bool content_hash_is_text(const char *text, size_t bytes);

#endif
