-- SPDX-License-Identifier: MIT
-- Stamps of MetadataStamping: one per namespace and content hash. Rows are written once.
CREATE TABLE metadata_stamps (
    id                uuid PRIMARY KEY,
    workflow_id       uuid,
    file_hash         varchar(64) NOT NULL CHECK (file_hash ~ '^[0-9a-f]{64}$'),
    file_path         text NOT NULL,
    file_size         bigint NOT NULL CHECK (file_size >= 0),
    content_type      varchar(255),
    stamp_data        jsonb NOT NULL,
    protocol_version  varchar(10) NOT NULL DEFAULT '1.0',
    intelligence_data jsonb NOT NULL DEFAULT '{}',
    version           integer NOT NULL DEFAULT 1,
    op_id             uuid NOT NULL,
    namespace         varchar(255) NOT NULL DEFAULT 'omninode.services.metadata',
    metadata_version  varchar(10) NOT NULL DEFAULT '0.1',
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT metadata_stamps_namespace_hash UNIQUE (namespace, file_hash)
);

-- GET /stamp/{hash} without a namespace; GET /namespace/{ns}, newest first; stamps of one workflow.
CREATE INDEX metadata_stamps_file_hash ON metadata_stamps (file_hash);
CREATE INDEX metadata_stamps_namespace_created ON metadata_stamps (namespace, created_at DESC, id DESC);
CREATE INDEX metadata_stamps_workflow ON metadata_stamps (workflow_id) WHERE workflow_id IS NOT NULL;
