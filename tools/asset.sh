#!/bin/sh
# SPDX-License-Identifier: MIT
# asset.sh FILE - writes a C source that holds the file as struct asset (lib/io/assets.h).
# nodes/orchestrator/openapi.json becomes asset_orchestrator_openapi_json.
set -eu
name=asset_$(printf '%s' "${1#nodes/}" | tr -c 'a-z0-9' '_')
echo '#include "io/assets.h"'
echo 'static const char data[] = {'
od -An -v -tu1 "$1" | sed 's/\([0-9][0-9]*\)/(char)\1,/g'
echo '0};'
echo "const struct asset $name = {data, sizeof data - 1};"
