-- SPDX-License-Identifier: MIT
DROP TABLE held_steps;
DROP TABLE service_breakers;
