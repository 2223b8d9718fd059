-- SPDX-License-Identifier: MIT
ALTER TABLE contracts DROP COLUMN source, DROP COLUMN deleted_at;
ALTER TABLE workflow_executions DROP COLUMN parent_token;
ALTER TABLE bridge_identity DROP COLUMN token_secret;
