-- SPDX-License-Identifier: MIT
DROP TABLE reducer_gaps;
