-- SPDX-License-Identifier: MIT
DROP TABLE metadata_stamps;
