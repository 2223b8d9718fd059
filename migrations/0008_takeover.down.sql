-- SPDX-License-Identifier: MIT
ALTER TABLE instances DROP COLUMN peer_address;
DROP TABLE held_steps;
DROP TABLE service_breakers;
