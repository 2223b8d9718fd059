-- SPDX-License-Identifier: MIT
DROP TABLE node_registrations;
