/* SPDX-License-Identifier: MIT */
#include "orchestrator/core/task_token.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/error.h"

#define BODY_BYTES 22
#define MAC_BYTES 16
#define TOKEN_OCTETS (BODY_BYTES + MAC_BYTES)
#define TEXT_BYTES 51 /* 38 octets in base64 without padding */
#define DIGEST_BYTES 32
#define BLOCK_BYTES 64
#define MESSAGE_BYTES_MAX 64

_Static_assert(TEXT_BYTES == (TOKEN_OCTETS * 8 + 5) / 6, "length of a token's text");
_Static_assert(TEXT_BYTES < TASK_TOKEN_BYTES_MAX, "a token must fit its bound");

static void digest(const uint8_t *octets, size_t bytes, uint8_t out[DIGEST_BYTES])
{
    unsigned out_bytes = 0;
    int done = EVP_Digest(octets, bytes, out, &out_bytes, EVP_sha256(), NULL);
    BUG_IF(done != 1 || out_bytes != DIGEST_BYTES);
}

/* RFC 2104 with SHA-256. */
static void sign(const uint8_t *secret, const void *message, size_t bytes,
                 uint8_t out[DIGEST_BYTES])
{
    uint8_t inner[BLOCK_BYTES + MESSAGE_BYTES_MAX], outer[BLOCK_BYTES + DIGEST_BYTES];
    BUG_IF(bytes > MESSAGE_BYTES_MAX);
    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        uint8_t key = i < TASK_SECRET_BYTES ? secret[i] : 0;
        inner[i] = key ^ 0x36;
        outer[i] = key ^ 0x5c;
    }
    memcpy(inner + BLOCK_BYTES, message, bytes);
    digest(inner, BLOCK_BYTES + bytes, outer + BLOCK_BYTES);
    digest(outer, sizeof outer, out);
}

static void encode(const uint8_t octets[TOKEN_OCTETS], char text[TASK_TOKEN_BYTES_MAX])
{
    unsigned char padded[TEXT_BYTES + 2];
    EVP_EncodeBlock(padded, octets, TOKEN_OCTETS);
    for (size_t i = 0; i < TEXT_BYTES; i++)
        text[i] = padded[i] == '+' ? '-' : padded[i] == '/' ? '_' : (char)padded[i];
    text[TEXT_BYTES] = '\0';
}

void task_token_write(const uint8_t secret[TASK_SECRET_BYTES], const struct task_token *token,
                      char text[TASK_TOKEN_BYTES_MAX])
{
    uint8_t octets[TOKEN_OCTETS], mac[DIGEST_BYTES];
    octets[0] = (uint8_t)((uint16_t)token->shard >> 8);
    octets[1] = (uint8_t)token->shard;
    memcpy(octets + 2, token->workflow_id.octets, 16);
    for (int i = 0; i < 4; i++)
        octets[18 + i] = (uint8_t)(token->wait >> (24 - 8 * i));
    sign(secret, octets, BODY_BYTES, mac);
    memcpy(octets + BODY_BYTES, mac, MAC_BYTES);
    encode(octets, text);
}

static bool decode(const char *text, uint8_t octets[TOKEN_OCTETS])
{
    unsigned char padded[TEXT_BYTES + 1], decoded[TOKEN_OCTETS + 1];
    if (strlen(text) != TEXT_BYTES || strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrst"
                                                   "uvwxyz0123456789-_") != TEXT_BYTES)
        return false;
    for (size_t i = 0; i < TEXT_BYTES; i++)
        padded[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : (unsigned char)text[i];
    padded[TEXT_BYTES] = '=';
    if (EVP_DecodeBlock(decoded, padded, TEXT_BYTES + 1) != TOKEN_OCTETS + 1)
        return false;
    memcpy(octets, decoded, TOKEN_OCTETS);
    return true;
}

bool task_token_read(const uint8_t secret[TASK_SECRET_BYTES], const char *text,
                     struct task_token *token)
{
    uint8_t octets[TOKEN_OCTETS];
    char again[TASK_TOKEN_BYTES_MAX];
    if (!decode(text, octets))
        return false;
    token->shard = (int16_t)((octets[0] << 8) | octets[1]);
    memcpy(token->workflow_id.octets, octets + 2, 16);
    token->wait = 0;
    for (int i = 0; i < 4; i++)
        token->wait = token->wait << 8 | octets[18 + i];
    task_token_write(secret, token, again);
    volatile uint8_t difference = 0;
    for (size_t i = 0; i < TEXT_BYTES; i++)
        difference |= (uint8_t)(text[i] ^ again[i]);
    return difference == 0;
}

void task_credential(const uint8_t secret[TASK_SECRET_BYTES], char text[TASK_CREDENTIAL_BYTES])
{
    static const char purpose[] = "between instances", digits[] = "0123456789abcdef";
    uint8_t mac[DIGEST_BYTES];
    sign(secret, purpose, sizeof purpose, mac);
    for (int i = 0; i < DIGEST_BYTES; i++) {
        text[2 * i] = digits[mac[i] >> 4];
        text[2 * i + 1] = digits[mac[i] & 15];
    }
    text[2 * DIGEST_BYTES] = '\0';
}
