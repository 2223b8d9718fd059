/* SPDX-License-Identifier: MIT */
#include "io/assets.h"

#include <string.h>

void http_asset(struct http_response *response, const struct asset *asset, const char *content_type)
{
    response->content_type = content_type;
    if (strcmp(content_type, ASSET_PAGE) == 0)
        http_response_header(
            response, "Content-Security-Policy",
            "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    buffer_append(&response->body, asset->data, asset->bytes);
}
