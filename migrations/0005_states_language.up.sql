-- SPDX-License-Identifier: MIT
-- Task tokens, child workflows, published contract versions.

-- Signs task tokens, so that nobody can make one up. gen_random_uuid() draws from the strong source.
ALTER TABLE bridge_identity ADD COLUMN token_secret bytea;
UPDATE bridge_identity SET token_secret =
    sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));
ALTER TABLE bridge_identity ALTER COLUMN token_secret SET NOT NULL;

-- The task token of the parent's step that waits for the end of this workflow.
ALTER TABLE workflow_executions ADD COLUMN parent_token text;

-- Where a version came from, and when it was taken out of offer: its row stays, since finished
-- workflows are read with it.
ALTER TABLE contracts
    ADD COLUMN source text NOT NULL DEFAULT 'file' CHECK (source IN ('file', 'published')),
    ADD COLUMN deleted_at timestamptz;
