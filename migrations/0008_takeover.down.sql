-- SPDX-License-Identifier: MIT
DROP TRIGGER workflow_events_pause ON workflow_events;
DROP FUNCTION workflow_note_pause();
DROP INDEX workflow_executions_paused;
ALTER TABLE workflow_executions DROP COLUMN paused_at;
ALTER TABLE instances DROP COLUMN peer_address;
DROP TABLE held_steps;
DROP TABLE service_breakers;
